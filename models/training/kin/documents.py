"""What kin reads: documents from the data whose licences let them train, as turns of a conversation or as plain text.

Nothing here is shipped; the folder with the data is given. A document is a list of parts: the name of a control token
(tokenizer.py), or text.
"""

from __future__ import annotations

import hashlib
import html
import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Part = tuple[str, str]  # ("control", name) or ("text", what it says)
Document = list[Part]
SOURCES = ("books", "dialogues", "factbook", "smalltalk")
# One document of so many is held back, by the hash of its text.
HELD_BACK_OF = 50
# Of the factbook, what people ask for: heading, entry, field (empty for the entry itself), and the question.
FACTS = (
    ("Government", "Capital", "name", "What is the capital of {country}?"),
    ("Geography", "Location", "", "Where is {country}?"),
    ("Geography", "Area", "total ", "How large is {country}?"),
    ("Geography", "Climate", "", "What is the climate of {country}?"),
    ("People and Society", "Population", "total", "How many people live in {country}?"),
    ("People and Society", "Languages", "Languages", "Which languages are spoken in {country}?"),
    ("People and Society", "Religions", "", "Which religions are there in {country}?"),
    ("Government", "Government type", "", "How is {country} governed?"),
    ("Economy", "Industries", "", "Which industries does {country} have?"),
    ("Communications", "Internet country code", "", "What is the internet code of {country}?"),
)
BOOK_LETTERS = 1200


def turns(*said: str) -> Document:
    """The user begins; the two take turns."""
    parts: Document = []
    for place, text in enumerate(said):
        parts += [("control", "kin" if place % 2 else "user"), ("text", " " + text.strip())]
    return [*parts, ("control", "end")]


def documents(data: Path, source: str) -> Iterator[Document]:
    """data: the folder of shared/data/README.md. Raises OSError."""
    yield from {"books": _books, "dialogues": _dialogues, "factbook": _factbook, "smalltalk": _smalltalk}[source](
        data / "text"
    )


def held_back(document: Document) -> bool:
    digest = hashlib.sha256("\0".join(text for _, text in document).encode()).digest()
    return digest[0] * 256 + digest[1] < 65536 // HELD_BACK_OF


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _books(folder: Path) -> Iterator[Document]:
    for row in _rows(folder / "books.jsonl.xz"):
        held, size = [], 0
        for paragraph in row["text"].split("\n\n"):
            plain = " ".join(re.sub(r"[#_*>]+", " ", paragraph).split())
            if len(plain) < 20 or plain.startswith("---"):
                continue
            held.append(plain)
            size += len(plain)
            if size > BOOK_LETTERS:
                yield [("text", "\n".join(held)), ("control", "end")]
                held, size = [], 0


def _dialogues(folder: Path) -> Iterator[Document]:
    for row in _rows(folder / "dialogues.jsonl.xz"):
        said = [text for _, text in row["turns"]]
        for begin in range(0, len(said), 6):
            yield turns(*said[begin : begin + 6])


def _factbook(folder: Path) -> Iterator[Document]:
    for row in _rows(folder / "factbook.jsonl.xz"):
        facts = row["facts"]
        country = _plain(_at(facts, "Government", "Country name", "conventional short form")) or _plain(
            _at(facts, "Government", "Country name", "conventional long form")
        )
        if not country or country.lower() == "none":
            continue
        for heading, entry, field, question in FACTS:
            answer = _plain(_at(facts, heading, entry, field))
            if answer:
                yield turns(question.format(country=country), answer.split(";")[0][:160])
        background = _plain(_at(facts, "Introduction", "Background", ""))
        if background:
            yield turns(f"Tell me about {country}.", " ".join(re.split(r"(?<=\.) ", background)[:2])[:400])


def _at(facts: dict[str, Any], *path: str) -> str:
    value: Any = facts
    for key in path:
        if key:
            value = value.get(key, {}) if isinstance(value, dict) else {}
    if isinstance(value, dict):
        value = value.get("text", "")
    return value if isinstance(value, str) else ""


def _plain(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def _smalltalk(folder: Path) -> Iterator[Document]:
    """Question and answer on one line each; answers over several lines, such as programs, are left out."""
    for path in sorted((folder / "chatterbot").glob("*.yml")):
        said: list[str] = []
        for line in [*path.read_text(encoding="utf-8").splitlines(), "- - "]:
            begins, goes_on = line.startswith("- - "), line.startswith("  - ")
            text = line[4:].strip().strip("'\"")
            if begins:
                if len(said) >= 2 and all(said) and "|" not in said:
                    yield turns(*said[:4])
                said = [text]
            elif goes_on and said:
                said.append(text)
