"""Documents as tokens, kept on disk, and batches of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.kin.documents import SOURCES, Document, documents, held_back
from models.training.kin.tokenizer import Tokenizer, learn

# Letters of each source that the vocabulary is learnt from, and that are read at all.
LEARN_LETTERS = {"books": 3_000_000, "dialogues": 4_000_000, "factbook": 260_000, "smalltalk": 150_000}
READ_LETTERS = {"books": 12_000_000, "dialogues": 14_000_000, "factbook": 300_000, "smalltalk": 200_000}
# How much of what is read is of each source. There are 43,000 tokens of small talk: read more often
# it is learnt by heart.
SHARES = {"books": 0.27, "dialogues": 0.65, "factbook": 0.06, "smalltalk": 0.02}

Tokens = NDArray[np.uint16]


def learn_vocabulary(data: Path, phrases: list[str], size: int) -> Tokenizer:
    texts = list(phrases) * 12
    for source in SOURCES:
        left = LEARN_LETTERS[source]
        for document in documents(data, source):
            said = [text for kind, text in document if kind == "text"]
            texts += [*said, *(text.lower() for text in said)] if source != "books" else said
            left -= sum(map(len, said))
            if left < 0:
                break
    return learn(texts, size, least=3)


def encoded(document: Document, tokenizer: Tokenizer) -> list[int]:
    tokens: list[int] = []
    for kind, text in document:
        tokens += tokenizer.encode(text) if kind == "text" else [tokenizer.control(text)]
    return tokens


def read(data: Path, tokenizer: Tokenizer, cache: Path) -> dict[str, tuple[Tokens, Tokens]]:
    """By source, what is learnt from and what is held back. Books are read a part each, spread over all of them."""
    found = {}
    for source in SOURCES:
        path = cache / f"{source}.npz"
        if not path.exists():
            learnt: list[int] = []
            held: list[int] = []
            left = READ_LETTERS[source]
            for number, document in enumerate(documents(data, source)):
                if source == "books" and number % 5:
                    continue
                (held if held_back(document) else learnt).extend(encoded(document, tokenizer))
                left -= sum(len(text) for _, text in document)
                if left < 0:
                    break
            np.savez(path, learnt=np.array(learnt, np.uint16), held=np.array(held, np.uint16))
        with np.load(path) as file:
            found[source] = (file["learnt"], file["held"])
    return found


def batch(
    sources: dict[str, tuple[Tokens, Tokens]], rows: int, tokens: int, chance: np.random.Generator
) -> NDArray[np.int64]:
    """rows x (tokens + 1), each row a stretch of one source."""
    names = list(SHARES)
    picked = chance.choice(len(names), rows, p=[SHARES[name] for name in names])
    out = np.empty((rows, tokens + 1), np.int64)
    for row, place in enumerate(picked):
        text = sources[names[place]][0]
        begin = int(chance.integers(0, len(text) - tokens - 1))
        out[row] = text[begin : begin + tokens + 1]
    return out
