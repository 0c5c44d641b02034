"""Answers and the room that they share: who is in, who waits for room. The decision is planning/room.py's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from models.serving.fifo import Seat
from models.serving.planning.room import Place, Stretch, clipped, distinct_tokens, moves
from models.serving.prefix.keys import BLOCK_TOKENS


class House:
    """shares: whether beginnings can be shared. taken: tokens of sequences that are not answers under way: held ones,
    and those that are being emptied."""

    def __init__(self, context_tokens: int, *, shares: bool) -> None:
        self._context_tokens, self.shares = context_tokens, shares
        self._seats: list[Seat] = []
        self._coming: dict[int, asyncio.Future[None]] = {}
        self.taken: dict[int, int] = {}

    def __contains__(self, seat: object) -> bool:
        return seat in self._seats

    @property
    def room(self) -> int:
        return self._context_tokens - sum(self.taken.values())

    @property
    def used(self) -> int:
        return distinct_tokens(seat.stretches for seat in self._seats if seat.here)

    @property
    def held(self) -> int:
        """With what is held by no answer under way."""
        return self.used + sum(self.taken.values())

    @property
    def aside_bytes(self) -> int:
        return sum(len(seat.aside.data) for seat in self._seats if seat.aside is not None)

    def enters(self, seat: Seat) -> asyncio.Future[None]:
        """Done once there is room for it."""
        seat.here = False
        self._seats.append(seat)
        self._coming[id(seat)] = asyncio.get_running_loop().create_future()
        return self._coming[id(seat)]

    def at(self, sequence: int) -> Seat | None:
        """Who has that sequence."""
        return next((seat for seat in self._seats if seat.here and seat.sequence == sequence), None)

    def beginning(self, prompt: Sequence[int], tenant: str) -> tuple[Seat | None, int]:
        """Who of the same tenant holds, or will, the most of a prompt's beginning, and how many tokens both begin with;
        never the last one, which gives the first logits."""
        others = [seat for seat in self._seats if seat.here and seat.turn is not None and seat.tenant == tenant]
        found = ((other, min(common_tokens(prompt, other.tokens), len(prompt) - 1)) for other in others)
        return max(found, key=lambda one: one[1], default=(None, 0))

    def leaves(self, seat: Seat) -> int:
        """Tokens that nobody holds once its sequence is emptied."""
        self._coming.pop(id(seat), None)
        if seat not in self._seats:
            return len(seat.tokens)
        before = self.used
        self._seats.remove(seat)
        return before - self.used if seat.here else len(seat.tokens)

    def close(self, error: BaseException) -> None:
        """For those who wait for room."""
        for coming in self._coming.values():
            if not coming.done():
                coming.set_exception(error)
        self._coming.clear()

    def settle(
        self, waits_s: Callable[[], Mapping[int, float]] = dict, *, outs: bool = True
    ) -> tuple[list[Seat], list[Seat]]:
        """Who is put out, and who comes back: for the caller to do, between two steps. Those who wait for their first
        room are told. waits_s: by name, how long each one's next token may take. outs: no moves of those who have
        begun, since a step may be under way."""
        if not self._coming and all(seat.here for seat in self._seats) and self.used <= self.room:
            return [], []
        waits = waits_s()
        by_name = {id(seat): seat for seat in self._seats}
        places = [
            Place(
                name,
                order,
                self._expected(seat),
                seat.turn.may_say if seat.turn is not None else len(seat.tokens),
                seat.here,
                waits.get(name, 0.0),
                seat.turn is not None,
            )
            for order, (name, seat) in enumerate(by_name.items())
        ]
        found = moves(places, self.room)
        back = []
        for name in found.come:
            seat, coming = by_name[name], self._coming.pop(name, None)
            if coming is None and not outs:
                break  # the next step's turn; nobody behind it comes before it
            if coming is None:
                back.append(seat)
            elif not coming.done():
                seat.lent = self._expected(seat)[:-1]
                coming.set_result(None)
            seat.here = True
        out = [by_name[name] for name in found.out] if outs else []
        for seat in out:
            seat.emptied()
        return out, back

    def _expected(self, seat: Seat) -> tuple[Stretch, ...]:
        """What it will take: of who has not come in yet, with a beginning that somebody could lend it."""
        if not self.shares or id(seat) not in self._coming:
            return seat.stretches
        other, common = self.beginning(seat.prompt, seat.tenant)
        lent = () if other is None else clipped(other.stretches, whole_blocks(min(common, other.context)))
        own = seat.stretches[-1]
        return (*lent, own._replace(start=lent[-1].end if lent else 0))


def common_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    most = min(len(one), len(other))
    return next((place for place in range(most) if one[place] != other[place]), most)


def whole_blocks(tokens: int) -> int:
    """As many of them as fill blocks of the prefix cache."""
    return tokens - tokens % BLOCK_TOKENS
