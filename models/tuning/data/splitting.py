"""Texts to tokens by the vocabulary of the very model that is trained, once, before training: who trains then needs no
llama.cpp beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from models.errors import DataUnusable
from models.family.shelf import open_trust
from protocol.errors import KinflowError

# A text is cut into stretches anyway; this is a bound against a line that is no text.
_LONGEST_TOKENS = 1 << 20


def split(data: Path, model: Path, out: Path) -> None:
    """Lines {"text": ..} become {"tokens": ..}, all others stay as they are, for their reader to judge. Raises
    WeightsQuarantined (KF392) for a model that nobody has accepted yet, DataUnusable (KF371)."""
    try:
        lines = data.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataUnusable(path=data, detail=str(error)) from error
    tokens: Callable[[str], list[int]] | None = None
    done: list[str] = []
    for number, line in enumerate(lines, 1):
        text = _text(line)
        if text is None:
            done.append(line)
            continue
        tokens = tokens or _tokenizer(model)
        try:
            done.append(json.dumps({"tokens": tokens(text)}))
        except KinflowError as error:
            raise DataUnusable(path=data, detail=f"line {number}: {error}") from error
    beside = out.with_name(f".{out.name}.new")
    beside.write_text("\n".join(done) + "\n", "utf-8")
    beside.replace(out)


def _text(line: str) -> str | None:
    try:
        given = json.loads(line)
    except ValueError:
        return None
    text = given.get("text") if isinstance(given, dict) and "tokens" not in given else None
    return text if isinstance(text, str) else None


def _tokenizer(model: Path) -> Callable[[str], list[int]]:
    from models.engine.llama.library import library  # noqa: PLC0415 (loads llama.cpp, only where there are texts)
    from models.engine.llama.weights import load  # noqa: PLC0415
    from models.engine.llama.words import Words  # noqa: PLC0415

    weights = load(model, open_trust(), accelerate=False)
    words = Words(library(), weights.vocabulary, weights.tokens, _LONGEST_TOKENS)
    return lambda text: words.tokens(text, begin=weights.begin is not None, control=False)
