"""What may be asked: text that a person wrote. Everything else is refused before a model sees it."""

from __future__ import annotations

import re
import unicodedata

from models.assistant.summary import TooLong, fitted
from models.errors import QuestionUnfit

LIMIT = 2_000
# Of a text that is to be shortened.
MOST = 4_000_000
# What templates of language models separate their parts with. No road, device or note has such a word in it.
_CONTROL_WORD = re.compile(
    r"<\|[^|<>]{1,40}\|>|</?(?:s|bos|eos|unk|pad|mask|think|tool_call|tool_response|start_of_turn|end_of_turn)>"
    r"|\[/?(?:INST|SYS|TOOL_CALLS)\]|<</?SYS>>",
    re.IGNORECASE,
)
_YES = frozenset(("do it", "do so", "go ahead", "ja", "ok", "okay", "sure", "y", "yes", "yes please", "please do"))
_NO = frozenset(("cancel", "do not", "don't", "n", "nein", "no", "no thanks", "no thank you", "stop"))


def read_question(given: str | bytes) -> str:
    """The question as it is answered: without space around it, and in one Unicode form (NFC). Raises QuestionUnfit
    (KF487)."""
    return shortened(given, "refuse")[0]


def shortened(given: str | bytes, too_long: TooLong) -> tuple[str, str]:
    """As `read_question`, of what is left of a question that is too long; and what was done with it, "" for nothing."""
    if isinstance(given, bytes):
        try:
            given = given.decode("utf-8")
        except UnicodeDecodeError as error:
            raise QuestionUnfit(detail="it is no text in UTF-8", limit=LIMIT) from error
    most = LIMIT if too_long == "refuse" else MOST
    if len(given) > most:
        detail = f"it has {len(given)} characters, {len(given) - most} more than can be read"
        raise QuestionUnfit(detail=detail, limit=LIMIT)
    given = unicodedata.normalize("NFC", given)
    text = checked(" ".join(given.split()))
    if len(text) <= LIMIT:
        return text, ""
    # Lines end sentences: a summary is made while they are there.
    left = " ".join(fitted(given.strip(), LIMIT, too_long).split())
    return (
        left,
        f"{'its newest' if too_long == 'newest' else 'a summary in'} {len(left)} of {len(text)} characters read",
    )


def checked(text: str) -> str:
    """Raises QuestionUnfit (KF487)."""
    if not text:
        raise QuestionUnfit(detail="it is empty", limit=LIMIT)
    # Cc: controls, Cs: half a character, Co and Cn: none at all. U+FFFD stands where something could not be read.
    if any(unicodedata.category(one) in {"Cc", "Cs", "Co", "Cn"} or one == "\ufffd" for one in text):
        raise QuestionUnfit(detail="it holds what is no text", limit=LIMIT)
    if found := _CONTROL_WORD.search(text):
        raise QuestionUnfit(detail=f"{found[0]} is a control word of language models", limit=LIMIT)
    return text


def answers(text: str) -> bool | None:
    """Whether an answer to what was asked back means yes (True) or no (False); None for anything else."""
    plain = " ".join(text.lower().strip(" .!").split())
    return True if plain in _YES else False if plain in _NO else None
