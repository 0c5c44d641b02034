"""A request in no protocol's own words: what every door makes of what it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.assistant.summary import TooLong
from models.engine.sampling import Sampling
from models.escalation.receipt import STAYS, Receipt, Terms
from models.serving.template import Said
from models.serving.tools import Call, Toolbox


@dataclass(frozen=True)
class Ask:
    """said: a conversation to answer; or else prompt, a text or tokens to go on with. too_long: what is done with a
    context that does not fit (fitting.py). deterministic: computed alone, so that nobody else's
    presence changes a bit of it. terms: how high it may go. tenant: for whom it is."""

    model: str
    sampling: Sampling
    said: Sequence[Said] = ()
    prompt: str | Sequence[int] | None = None
    too_long: TooLong = "refuse"
    stream: bool = False
    deterministic: bool = False
    tools: Toolbox | None = None
    terms: Terms = STAYS
    tenant: str = ""


@dataclass(frozen=True)
class Prepared:
    """A request, ready to be answered. text: the same for a server with another vocabulary, as text or as messages."""

    ask: Ask
    model: str
    prompt: Sequence[int]
    text: str | Sequence[dict[str, str]]
    sampling: Sampling

    @property
    def calls(self) -> bool:
        """Whether the answer may be calls."""
        return self.ask.tools is not None and bool(self.ask.tools.used)


@dataclass(frozen=True)
class Bit:
    """text: what the answer now says more. calls: at its end. tokens: that came since the last one, and logprobs of
    them."""

    text: str = ""
    calls: Sequence[Call] = ()
    tokens: int = 0
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class End:
    """reason: "stop", "length", or "calls". stop: the stop text that ended it, "" for none. receipt: what it took.
    known: tokens of the prompt whose keys and values were there before."""

    reason: str
    prompt_tokens: int
    tokens: int
    stop: str = ""
    receipt: Receipt | None = None
    known: int = 0

    @property
    def told(self) -> Mapping[str, Any] | None:
        return None if self.receipt is None else self.receipt.told()


@dataclass
class Answer:
    """An answer as far as it has come, for forms that tell it whole."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    logprobs: list[dict[str, Any]] | None = None
    end: End | None = None

    def take(self, bit: Bit) -> None:
        self.text += bit.text
        self.calls += bit.calls
        if bit.logprobs is not None:
            self.logprobs = (self.logprobs or []) + bit.logprobs
