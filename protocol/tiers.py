"""What two tiers say to each other while they make one answer together: MessagePack over HTTP, small and strict.

Opening -> Opened, then Round -> Verdict until the answer ends. The lower tier drafts (draft), or has computed the first
blocks of each token (hidden), or both; the upper one checks, chooses, and keeps what stands. Of three tiers the middle
one says the same upwards: it computes its blocks, hands their hidden states on, and passes the verdict down.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from protocol.errors import MessageMalformed, MessageTooLarge, MessageVersionUnknown

VERSION = 2
# What fits through every door on the way; longer contexts go in several rounds.
LIMIT_BYTES = 60 * 1024
MOST_DRAFTED = 32

Way = Literal["hidden", "draft"]
TierName = Literal["device", "edge", "cloud"]
Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Short = Annotated[str, Meta(max_length=80)]
Words = Annotated[str, Meta(max_length=500)]
F = TypeVar("F", bound=Struct)


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tokens are chosen, as models/engine/sampling.py has it. Ends and lengths are the lower tier's own affair."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    bias: dict[int, float] = {}
    schema: dict[str, Any] | None = None
    logprobs: int | None = None


class Opening(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who begins. tokenizer, source: hashes, of the tokenizer and of the family file that the weights were cut from
    (empty: from none). after: the last block of the whole that the lower tier computes; -1 for the way draft. max_tier:
    the highest that may take part; hidden states are handed on to it where they can be."""

    v: int = VERSION
    family: Short
    version: Short
    tokenizer: Sha256
    source: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    way: Way
    after: Annotated[int, Meta(ge=-1, le=10_000)] = -1
    max_tier: TierName = "edge"
    wish: Wish = Wish()


class Opened(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """tier: that chooses, "" for the one that was asked. blocks: how many are computed above for each row, by all tiers
    together; further: of these, by tiers above the one that was asked. limit_tokens: the longest context. step_s,
    row_s: what a step takes, and each row more in it, as measured lately; 0 where nothing was. seconds: that opening
    took. why: what keeps a tier out that was allowed, "" for nothing."""

    session: Short
    member: Short
    blocks: Count
    limit_tokens: Count
    tier: TierName | Literal[""] = ""
    further: dict[TierName, Count] = {}
    step_s: float = 0.0
    row_s: float = 0.0
    seconds: float = 0.0
    why: Words = ""


class Spread(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """A distribution over few tokens: uint32 tokens and uint16 weights, little-endian. What a drafted token was drawn
    from, exactly: probability = weight / sum of weights."""

    tokens: bytes
    weights: bytes


class Round(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """number: 1, 2, 3 ...; the same one again is answered with the same verdict and computed once. start: how many rows
    the upper tier holds. tokens: way draft: all rows, the last `drafted` of them a draft; way hidden: the draft alone.
    hidden: way hidden: all rows (models/family/handover.py). wants: whether tokens are to be chosen; else rows only go
    in. spreads: one for each drafted token when they were drawn, none when they were the best."""

    session: Short
    number: Count
    start: Count
    tokens: Annotated[tuple[Count, ...], Meta(max_length=20_000)]
    drafted: Annotated[int, Meta(ge=0, le=MOST_DRAFTED)]
    wants: bool
    spreads: tuple[Spread, ...] = ()
    hidden: bytes = b""


class Chosen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    token: Count
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class Verdict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """accepted: how many of the draft stand. chosen: those, and one more; the upper tier holds all but that last one.
    seconds: of computing and of waiting for its turn. tier: that has chosen, "" for the one that was asked. why: what
    keeps the tier above out since, "" for nothing."""

    number: Count
    accepted: Count
    chosen: tuple[Chosen, ...]
    held: Count
    seconds: float
    tier: TierName | Literal[""] = ""
    why: Words = ""


class Closing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    session: Short


def encode(frame: Struct) -> bytes:
    return msgspec.msgpack.encode(frame)


def decode(kind: type[F], data: bytes) -> F:
    """Raises MessageTooLarge (KF12), MessageMalformed (KF11), MessageVersionUnknown (KF13)."""
    name = kind.__name__.lower()
    if len(data) > LIMIT_BYTES:
        raise MessageTooLarge(topic=name, size_bytes=len(data), limit_bytes=LIMIT_BYTES)
    if kind is Opening:
        _refuse_other_version(data, name)
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageMalformed(topic=name, detail=str(error)[:200]) from error


class _Version(Struct):
    v: int


def _refuse_other_version(data: bytes, name: str) -> None:
    """An opening of another version need not parse as ours: say so, rather than that it is malformed."""
    try:
        version = msgspec.msgpack.decode(data, type=_Version).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if version != VERSION:
        raise MessageVersionUnknown(topic=name, version=version, supported=VERSION)
