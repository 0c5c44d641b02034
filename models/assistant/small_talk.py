"""Words for a greeting, for thanks, for a goodbye. Which one was said is told by its words, not by the model."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Talk:
    """introduces: whether it should be told beside it what can be asked."""

    answer: str
    introduces: bool = False


_SAID = (
    (
        r"many thanks|thanks|thank (?:you|u)|thx|ty|cheers|much appreciated|danke|merci|gracias|grazie",
        "You're welcome.",
    ),
    (r"good ?bye|(?:bye ?)+|see (?:you|ya)|good ?night|cu|so long|farewell|take care|tschüss|adieu", "Goodbye."),
    (r"how (?:are|r) (?:you|u|things)|how(?:'s| is) it going|how do you do|are you (?:ok|okay|well|fine)", "I run."),
    (
        r"who (?:are|r) (?:you|u)|what are you|what(?:'s| is) your name|what can you do|what do you (?:do|know)|help"
        r"|introduce yourself|what can i ask(?: you)?",
        "I am Kinflow's assistant, a program on this machine.",
    ),
    (
        r"hello|hi|hey|hiya|howdy|yo|greetings|(?:good )?(?:morning|afternoon|evening|day)|hallo"
        r"|guten (?:tag|morgen|abend)|bonjour|hola|moin|servus|ciao|buongiorno",
        "Hello.",
    ),
)
_INTRODUCES = frozenset(answer for _, answer in _SAID[3:])
# Besides that, words that change nothing about it.
_BESIDE = (
    r"(?:[ ,]+(?:there|you|all|again|mate|friend|folks|everyone|everybody|kinflow|kin|(?:so|very) much|a lot|today|then"
    r"|now|later|please|for (?:that|it|(?:your|the) help)|that was all))*"
)
_EACH = tuple((re.compile(rf"(?:{said}){_BESIDE}"), Talk(answer, answer in _INTRODUCES)) for said, answer in _SAID)
_LONGEST = 60


def small_talk(text: str) -> Talk | None:
    """The answer to one of these; None for anything else."""
    plain = " ".join(text[:_LONGEST].lower().replace("’", "'").split()).strip(" .,!?")
    return next((talk for said, talk in _EACH if said.fullmatch(plain)), None) if len(text) <= _LONGEST else None
