"""JSON lines for language models: {"tokens": [..]}, or {"text": ".."} whose bytes are the tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from models.errors import DataUnusable
from models.tuning.data.examples import IGNORED, Examples
from models.tuning.graph import Array
from models.tuning.losses import LABELS

_BYTES = 256


def texts(path: Path, input_name: str, places: int, vocabulary: int) -> Examples:
    """Each line gives stretches of `places` tokens, of which each is to foretell the next. Raises DataUnusable (KF371)
    for a line that is none, and for a token that the network does not know."""
    stretches: list[Array] = []
    keys: list[str] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataUnusable(path=path, detail=str(error)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        tokens = _tokens(path, number, line, vocabulary)
        for start in range(0, max(len(tokens) - 1, 0), places):
            stretches.append(tokens[start : start + places + 1])
            keys.append(f"{number}:{start}")
    if not stretches:
        raise DataUnusable(path=path, detail="it holds no line with two tokens")

    def load(number: int) -> dict[str, Array]:
        stretch = stretches[number]
        given, wanted = np.zeros(places, np.int64), np.full(places, IGNORED, np.int64)
        given[: len(stretch) - 1], wanted[: len(stretch) - 1] = stretch[:-1], stretch[1:]
        return {input_name: given, LABELS: wanted}

    return Examples(tuple(keys), load)


def _tokens(path: Path, number: int, line: str, vocabulary: int) -> Array:
    try:
        given = json.loads(line)
        tokens = given["tokens"] if "tokens" in given else list(given["text"].encode())
        values = np.asarray(tokens, np.int64)
        if values.ndim != 1 or any(isinstance(one, float) for one in tokens):
            raise TypeError("tokens is no list of whole numbers")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataUnusable(
            path=path, detail=f"line {number} is not {{'text': ..}} or {{'tokens': [..]}} ({error})"
        ) from error
    if "tokens" not in given and vocabulary < _BYTES:
        raise DataUnusable(
            path=path, detail=f"the network knows {vocabulary} tokens, text as bytes takes {_BYTES}: give tokens"
        )
    if values.size and not 0 <= values.min() <= values.max() < vocabulary:
        raise DataUnusable(path=path, detail=f"line {number} has a token outside 0 to {vocabulary - 1}")
    return values
