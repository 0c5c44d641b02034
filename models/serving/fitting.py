"""A request's text as tokens that fit into a context, with room for one token more: something is to be said."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from models.assistant.summary import TooLong, newest, summary
from models.engine.port import Engine
from models.errors import ContextTooLong, RequestUnserved
from models.serving.template import Said, prompt_of, tokens_of

# What stands before a summary of what was said earlier.
EARLIER = "Said earlier, in short: "
# Of more letters than these (and than 16 a token) the newest are looked at alone: others wait meanwhile.
MOST_LETTERS = 200_000


def fitting_chat(engine: Engine, said: Sequence[Said], limit: int, too_long: TooLong) -> list[int]:
    """What the system said stays, and so does what is to be answered, as far as it fits. newest: the oldest messages
    are left out. summarise: sentences of them are kept, as the system's last word (models/assistant/summary.py). Raises
    ContextTooLong (KF394), RequestUnserved (KF501)."""
    try:
        return _whole(tokens_of(engine, said), limit)
    except ContextTooLong:
        if too_long == "refuse":
            raise
    system, last = [one for one in said[:-1] if one.role == "system"], said[-1]
    left = limit - 1 - len(tokens_of(engine, [*system, Said(last.role, "")]))
    takes = _count(engine, last.text)
    if takes > left:
        shorter = Said(last.role, _shorter(engine, last.text, left, too_long))
        return _whole(tokens_of(engine, [*system, shorter]), limit)
    if too_long == "summarise":
        return _summarised(engine, said, system, left - takes, limit)
    while (oldest := next((place for place, one in enumerate(said[:-1]) if one.role != "system"), None)) is not None:
        said = [*said[:oldest], *said[oldest + 1 :]]
        with suppress(ContextTooLong):
            return _whole(tokens_of(engine, said), limit)
    return _whole(tokens_of(engine, said), limit)


def fitting_text(engine: Engine, text: str, limit: int, too_long: TooLong) -> list[int]:
    """Raises ContextTooLong (KF394), RequestUnserved (KF501)."""
    left = limit - 1 - len(engine.tokenize("", begin=True))
    if too_long == "refuse" or _count(engine, text) <= left:
        return _whole(prompt_of(engine, text), limit)
    return _whole(prompt_of(engine, _shorter(engine, text, left, too_long)), limit)


def fitting_tokens(tokens: list[int], limit: int, too_long: TooLong) -> list[int]:
    """Raises ContextTooLong (KF394), RequestUnserved (KF501)."""
    excess = len(tokens) + 1 - limit
    if excess > 0 and too_long == "summarise":
        raise RequestUnserved(detail="too_long: a summary is made of text, and the prompt is tokens")
    return tokens[excess:] if excess > 0 and too_long == "newest" else _whole(tokens, limit)


def _summarised(engine: Engine, said: Sequence[Said], system: list[Said], left: int, limit: int) -> list[int]:
    earlier = "\n".join(one.text for one in said[:-1] if one.role != "system")
    # What stands before it, and where it ends, takes some, too.
    while left > 0:
        told = Said("system", EARLIER + _shorter(engine, earlier, left, "summarise"))
        tokens = tokens_of(engine, [*system, told, said[-1]])
        if len(tokens) < limit:
            return tokens
        left -= len(tokens) + 1 - limit
    return tokens_of(engine, [*system, said[-1]])


def _shorter(engine: Engine, text: str, limit: int, too_long: TooLong) -> str:
    """limit: tokens."""
    limit = max(0, limit)
    text = text[-max(MOST_LETTERS, 16 * limit) :]

    def size(part: str) -> int:
        return _count(engine, part)

    return newest(text, limit, size) if too_long == "newest" else summary(text, limit, size)


def _count(engine: Engine, text: str) -> int:
    """Of tokens; of bytes, which are no fewer, where the engine does not take the time to find those of so many."""
    try:
        return len(engine.tokenize(text))
    except ContextTooLong:
        return len(text.encode("utf-8", "replace"))


def _whole(tokens: list[int], limit: int) -> list[int]:
    excess = len(tokens) + 1 - limit
    if excess > 0:
        raise ContextTooLong(tokens=len(tokens), excess_tokens=excess, limit_tokens=limit - 1)
    return tokens
