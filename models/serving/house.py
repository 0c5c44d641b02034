"""Answers and the room that they share: who is in, who waits for room. The decision is planning/room.py's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from models.serving.fifo import Seat
from models.serving.planning.room import Place, moves


class House:
    """taken: tokens of sequences that are not answers under way: held ones, and those that are being emptied."""

    def __init__(self, context_tokens: int) -> None:
        self._context_tokens = context_tokens
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
        return sum(len(seat.tokens) for seat in self._seats if seat.here)

    @property
    def aside_bytes(self) -> int:
        return sum(len(seat.aside.data) for seat in self._seats if seat.aside is not None)

    def enters(self, seat: Seat) -> asyncio.Future[None]:
        """Done once there is room for it."""
        seat.here = False
        self._seats.append(seat)
        self._coming[id(seat)] = asyncio.get_running_loop().create_future()
        return self._coming[id(seat)]

    def leaves(self, seat: Seat) -> None:
        self._coming.pop(id(seat), None)
        if seat in self._seats:
            self._seats.remove(seat)

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
                len(seat.tokens),
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
            seat.here = True
            if coming is None:
                back.append(seat)
            elif not coming.done():
                coming.set_result(None)
        out = [by_name[name] for name in found.out] if outs else []
        for seat in out:
            seat.here = False
        return out, back
