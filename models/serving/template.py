"""A conversation as tokens. The form is ours, chosen by the control tokens that a vocabulary has; a template from a
file of weights is never looked at. What people wrote is always text: a control token that it spells is read letter by
letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.engine.port import Engine
from models.errors import RequestUnserved

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Said:
    role: Role
    text: str


# kin's own (models/training/kin), then ChatML as many public families have it.
_OPENS = {
    "kin": {"system": "", "user": "<|user|>", "assistant": "<|kin|>"},
    "chatml": {
        "system": "<|im_start|>system\n",
        "user": "<|im_start|>user\n",
        "assistant": "<|im_start|>assistant\n",
    },
}
_CLOSES = {"kin": "", "chatml": "<|im_end|>\n"}
_MARKS = {"kin": ("<|user|>", "<|kin|>"), "chatml": ("<|im_start|>", "<|im_end|>")}
# Without control tokens: names in front of lines, and the answer ends where a person would speak again.
PLAIN_STOP = "\nuser:"


def form_of(engine: Engine) -> str:
    for form, marks in _MARKS.items():
        if all(len(engine.tokenize(mark, control=True)) == 1 for mark in marks):
            return form
    return "plain"


def tokens_of(engine: Engine, said: Sequence[Said]) -> list[int]:
    """Up to where the assistant speaks. Raises ContextTooLong (KF394), RequestUnserved (KF501)."""
    if not said or said[-1].role == "assistant":
        raise RequestUnserved(detail="the last message is not one that can be answered")
    form = form_of(engine)
    # The vocabulary's file says whether texts begin with a token of their own; kin's don't.
    begin = engine.tokenize("", begin=True)
    if form == "plain":
        lines = "".join(f"{one.role}: {one.text.strip()}\n" for one in said)
        return begin + engine.tokenize(f"{lines}assistant:")
    tokens = begin
    for one in said:
        tokens += engine.tokenize(_OPENS[form][one.role], control=True) if _OPENS[form][one.role] else []
        tokens += engine.tokenize(f" {one.text.strip()}" if form == "kin" else one.text)
        tokens += engine.tokenize(_CLOSES[form], control=True) if _CLOSES[form] else []
    return tokens + engine.tokenize(_OPENS[form]["assistant"], control=True)


def begin_of_user(engine: Engine) -> list[int]:
    """What stands before the words of a first message that a user says: a picture goes behind it."""
    form, begin = form_of(engine), engine.tokenize("", begin=True)
    return begin if form == "plain" else begin + engine.tokenize(_OPENS[form]["user"], control=True)


def stops_of(engine: Engine) -> tuple[str, ...]:
    """Texts that end an answer besides the model's own end."""
    return (PLAIN_STOP,) if form_of(engine) == "plain" else ()


def prompt_of(engine: Engine, text: str) -> list[int]:
    """A text to go on with, as it is."""
    tokens = engine.tokenize(text, begin=True)
    if not tokens:
        raise RequestUnserved(detail="prompt: it is empty")
    return tokens
