"""The port to the tier above: what a lower tier asks of it, whichever wire lies between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from models.assistant.reply import Tier
from models.engine.sampling import Sampling
from protocol.tiers import Opened, Opening, Round, Verdict


@dataclass(frozen=True)
class Question:
    """tokens: for a member of the same family, whose vocabulary they are of. text: for any other server, as messages
    (role, content) or as a text to go on with."""

    tokens: Sequence[int]
    text: str | Sequence[dict[str, str]]


@dataclass(frozen=True)
class Told:
    """What a whole question brings: text, and at the end why it ended and what the upper tier counted."""

    text: str
    ended: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    tier: str = ""
    receipt: dict[str, Any] | None = None


class Above(Protocol):
    """Used by one thread at a time. Every call raises TierUnreachable (KF493) when it is away, or takes longer than
    `timeout_s`; and the error that the tier itself gave, as TierUnreachable with its code in `detail`, else."""

    timeout_s: float

    @property
    def tier(self) -> Tier: ...

    @property
    def same_family(self) -> bool:
        """Whether it speaks our frames; any other server is asked whole questions alone."""
        ...

    @property
    def bytes_sent(self) -> int:
        """Since it was made, all headers included."""
        ...

    @property
    def bytes_received(self) -> int: ...

    def open(self, opening: Opening) -> Opened: ...

    def round(self, one: Round) -> Verdict: ...

    def end(self, session: str) -> None:
        """Never raises."""
        ...

    def ask(self, question: Question, sampling: Sampling) -> Iterator[Told]: ...

    def close(self) -> None: ...
