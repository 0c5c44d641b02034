"""The port behind which weights run: what every engine answers to, llama.cpp's and the fake alike.

An engine belongs to one thread. Only `stop` may be called from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Wanted = Literal["none", "last", "all"]


class Memory(StrEnum):
    """What a model keeps of a context. full: keys and values of every token. window: some blocks look at the newest
    tokens only. recurrent: a state that each token overwrites. hybrid: both."""

    FULL = "full attention"
    WINDOW = "sliding window"
    RECURRENT = "recurrent"
    HYBRID = "hybrid"

    @property
    def has_ranges(self) -> bool:
        """Whether a part of a context can be cut off or taken out. A recurrent state is whole or nothing."""
        return self in (Memory.FULL, Memory.WINDOW)


@dataclass(frozen=True)
class Facts:
    """fingerprint: SHA-256 of the weights. width: numbers in a hidden state. context_tokens: room for all sequences
    together. sequence_tokens: room for each, where they don't share it; else 0. window_tokens: how far sliding windows
    look back, 0 without. trained_tokens: the longest text that it was made for, 0 where its file does not tell. begin:
    the token that opens a text, or None. ends: tokens that end an answer. layout: how contexts are kept. engine: name
    and version of what computes. source: fingerprint of the file that these weights were cut from, their own when they
    were not; first_block: where in that whole they begin; whole_blocks: how many it has."""

    fingerprint: str
    architecture: str
    memory: Memory
    vocabulary: int
    width: int
    blocks: int
    context_tokens: int
    sequences: int
    sequence_tokens: int = 0
    window_tokens: int = 0
    trained_tokens: int = 0
    experts: int = 0
    begin: int | None = None
    ends: frozenset[int] = frozenset()
    layout: str = ""
    engine: str = ""
    source: str = ""
    first_block: int = 0
    whole_blocks: int = 0

    @property
    def longest_tokens(self) -> int:
        """The most that one sequence can hold."""
        return self.sequence_tokens or self.context_tokens

    @property
    def takes_tokens(self) -> bool:
        return self.first_block == 0

    @property
    def gives_logits(self) -> bool:
        return self.first_block + self.blocks == self.whole_blocks


@dataclass(frozen=True)
class Piece:
    """What one sequence adds in a step, behind what it holds: either tokens, or hidden states (rows x width) of the
    block before this engine's first. wanted: which rows' logits are given."""

    sequence: int
    tokens: Sequence[int] = ()
    hidden: Floats | None = None
    wanted: Wanted = "last"

    @property
    def rows(self) -> int:
        return len(self.tokens) if self.hidden is None else len(self.hidden)


@dataclass(frozen=True)
class Routing:
    """What a block's router said. logits: rows x experts. chosen: rows x used, best first. weights: rows x used, before
    any normalising."""

    logits: Floats
    chosen: NDArray[np.int32]
    weights: Floats

    def rows(self, begin: int, end: int) -> Routing:
        return Routing(self.logits[begin:end], self.chosen[begin:end], self.weights[begin:end])


@dataclass(frozen=True)
class Seen:
    """A stretch of what a picture became: tokens, or rows (rows x width) in their place."""

    tokens: tuple[int, ...] = ()
    rows: Floats | None = None

    @property
    def length(self) -> int:
        return len(self.tokens) if self.rows is None else len(self.rows)


@dataclass(frozen=True)
class Output:
    """logits: wanted rows x vocabulary. hidden: rows x width behind the tapped block, None without a tap. routing: by
    block, empty unless asked for."""

    logits: Floats
    hidden: Floats | None = None
    routing: Mapping[int, Routing] | None = None


@dataclass(frozen=True)
class Portion:
    """Tokens start..end of a context as data. whole: all that the memory holds, which is the only kind that a recurrent
    state knows. Bound to one model (fingerprint) and one way to keep it (layout)."""

    fingerprint: str
    layout: str
    start: int
    end: int
    whole: bool
    data: bytes
    sha256: str


class Engine(Protocol):
    """One context on one model."""

    @property
    def facts(self) -> Facts: ...

    def length(self, sequence: int) -> int:
        """Tokens that the sequence holds."""
        ...

    def decode(self, pieces: Sequence[Piece]) -> list[Output]:
        """Compute all pieces together; one output each. Raises ContextTooLong (KF394) and EngineFull (KF398) before
        anything changed, EngineStopped (KF400) with the step undone, EngineFailed (KF399)."""
        ...

    def rollback(self, sequence: int, length: int) -> None:
        """Forget all behind the first `length` tokens; 0 forgets the sequence, on every memory.
        Raises PrimitiveImpossible (KF395)."""
        ...

    def copy(self, source: int, target: int) -> None:
        """Let `target`, which is empty, hold what `source` holds; in a room that all share, it takes no more of it."""
        ...

    def export(self, sequence: int, start: int = 0, end: int | None = None) -> Portion:
        """Raises PrimitiveImpossible (KF395) for a range where there are none."""
        ...

    def exports(self, sequence: int, start: int, size: int) -> Iterator[Portion]:
        """All whole portions of `size` tokens from `start` on, each as it is asked for. Raises as `export`."""
        ...

    def adopt(self, sequence: int, *portions: Portion) -> None:
        """Put portions behind what the sequence holds, one after the other, all or none. Raises StateForeign (KF396),
        EngineFull (KF398), the sequence as it was."""
        ...

    def steer(self, directions: Mapping[int, NDArray[Any]]) -> None:
        """Add a direction (width) to the residual behind each block named, from the next step on; none: as it was.
        Raises PrimitiveImpossible (KF395)."""
        ...

    def tokenize(self, text: str, *, begin: bool = False, control: bool = False) -> list[int]:
        """control: read the spelling of control tokens as those; never for what a person wrote. Raises ContextTooLong
        (KF394), with an estimate of how much, for a text that can't fit into any context here."""
        ...

    def piece(self, token: int) -> bytes:
        """What the token adds to a text; nothing for a control token. A letter may be spread over several."""
        ...

    def masker(self, grammar: str) -> Masker:
        """Raises SchemaRefused (KF397)."""
        ...

    def stop(self) -> None:
        """From any thread: end the step that runs. Without one, nothing happens."""
        ...

    def close(self) -> None: ...


class Masker(Protocol):
    """A grammar over one answer."""

    def mask(self, logits: Floats) -> Floats:
        """A copy in which every token that may not come next has -inf."""
        ...

    def allows(self, token: int) -> bool: ...

    def accept(self, token: int) -> None:
        """Go on behind a token that was allowed."""
        ...

    def close(self) -> None: ...
