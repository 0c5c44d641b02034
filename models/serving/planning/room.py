"""Who may hold keys and values when there is not room for all: each takes what it needs of the whole.

A request comes in when what it holds by then, and a piece of an answer for each who is there, fit. They grow; when they
no longer fit, one is put out, and comes back as it was once there is room. Laws: what is held never exceeds the room;
whoever asked first of those inside is never put out for others; nobody comes in before one who asked earlier. So the
first always gets to its end, and nobody starves. A beginning that several share is there once, and counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from models.serving.planning.step_time import StepTime, work

# An answer takes about so much more room; counted for each before another one is let in.
RESERVE_TOKENS = 128


class Stretch(NamedTuple):
    """Places from `start` up to `end` of a sequence, which were computed for whoever has the number `owner`. Others may
    share them from the beginning on, up to an end of their own."""

    owner: int
    start: int
    end: int


def clipped(stretches: Iterable[Stretch], end: int) -> tuple[Stretch, ...]:
    """Their beginning, up to place `end`."""
    return tuple(one._replace(end=min(one.end, end)) for one in stretches if one.start < end)


def distinct_tokens(sequences: Iterable[Iterable[Stretch]]) -> int:
    """Tokens that are kept for all of them together: what several share is kept once."""
    ends: dict[tuple[int, int], int] = {}
    for stretches in sequences:
        for one in stretches:
            key = one.owner, one.start
            ends[key] = max(one.end, ends.get(key, 0))
    return sum(end - start for (_, start), end in ends.items())


@dataclass(frozen=True, slots=True)
class Place:
    """order: of asking. stretches: what it holds after the next step, its whole prompt among them. may_say: how many
    tokens it may still add. here: whether it holds any. waits_s: how long its next token may take. begun: not while it
    is filled from elsewhere; it can't be put out then."""

    name: int
    order: int
    stretches: tuple[Stretch, ...]
    may_say: int
    here: bool
    waits_s: float = 0.0
    begun: bool = True

    @property
    def reserve(self) -> int:
        return min(RESERVE_TOKENS, self.may_say)


@dataclass(frozen=True)
class Moves:
    out: tuple[int, ...] = ()
    come: tuple[int, ...] = ()


def moves(places: Sequence[Place], room: int) -> Moves:
    """room: tokens for all of them."""
    here = sorted((one for one in places if one.here), key=lambda one: one.order)
    out: list[int] = []
    while _used(here) > room:
        # The first is put out last: only where others that are not planned here hold what it would need.
        able = [one for one in here[1:] if one.begun] or [one for one in here[:1] if one.begun]
        if not able:
            break
        victim = max(able, key=lambda one: (one.waits_s, one.order))
        here.remove(victim)
        out.append(victim.name)
    if out:
        return Moves(tuple(out))
    come: list[int] = []
    for one in sorted((one for one in places if not one.here), key=lambda one: one.order):
        reserve = sum(other.reserve for other in here)
        if _used([*here, one]) + (reserve + one.reserve if here else 0) > room:
            break
        here.append(one)
        come.append(one.name)
    return Moves((), tuple(come))


def _used(places: Iterable[Place]) -> int:
    return distinct_tokens(one.stretches for one in places)


def is_kept(context: int, token_s: float, time: StepTime) -> bool:
    """Whether to put its keys and values aside rather than to compute them again. token_s: what putting one token aside
    and back took lately, 0 before anything was."""
    return token_s * context <= time.expected_s(work(context, 0))
