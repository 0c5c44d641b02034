"""Nobody who speaks is kept waiting by somebody else's prompt (models/serving/planning).

No knob: how long a gap between two tokens may be is reckoned from what a step of those who speak takes on this machine,
and how soon a first token should be there from what the prompt would take alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from models.engine.port import Facts
from models.engine.thread import EngineThread
from models.serving.fifo import MOST_WAITING, FifoScheduler, Seat
from models.serving.planning.admission import retry_after_s, wait_s
from models.serving.planning.planner import plan
from models.serving.planning.request import Request
from models.serving.planning.step_time import NOTHING, StepTime, work
from models.serving.planning.tenants import arrived, served

# A gap may be as long as so many steps without any prompt: a tenth of the step's work then goes to those who speak, and
# prompts lose no more than that.
GAP_STEPS = 10.0
LEAST_GAP_S = 0.05
# Of a first token: so many times what its prompt would take alone (the serving benchmark's SLO), and a moment.
FIRST_FACTOR, FIRST_S = 5.0, 1.0
# Of one engine's step.
MOST_ROWS = 512
# An answer says about so much; for what is told to those who are refused.
USUAL_TOKENS = 128


class StallFreeScheduler(FifoScheduler):
    """A FifoScheduler whose steps are planned."""

    def __init__(self, thread: EngineThread, facts: Facts, most_waiting: int = MOST_WAITING) -> None:
        super().__init__(thread, facts, most_waiting)
        self._given: dict[str, float] = {}
        self._relegated: set[int] = set()
        self._known: set[int] = set()

    @property
    def step_time(self) -> StepTime:
        """What has been learnt of this machine."""
        return self._time

    def _requests(self, seats: Sequence[Seat]) -> list[Request]:
        beside = sum((work(1, one.context) for one in seats if not one.prompt_left), start=NOTHING)
        gap_s = max(LEAST_GAP_S, GAP_STEPS * self._time.expected_s(beside))
        return [self._request(seat, gap_s) for seat in seats]

    def _request(self, seat: Seat, gap_s: float) -> Request:
        alone_s = self._time.expected_s(work(seat.prompt_left + seat.context, 0))
        return Request(
            name=id(seat),
            tenant=seat.tenant,
            arrived_s=seat.arrived_s,
            prompt_left=seat.prompt_left,
            context=seat.context,
            due_s=seat.arrived_s + FIRST_S + FIRST_FACTOR * alone_s,
            gap_s=gap_s,
            spoke_s=seat.spoke_s,
            relegated=id(seat) in self._relegated,
        )

    def _chosen(self, seats: Sequence[Seat]) -> list[tuple[Seat, int]]:
        by_name = {id(seat): seat for seat in seats}
        self._relegated &= by_name.keys()
        self._known &= by_name.keys()
        for seat in seats:
            if id(seat) not in self._known:
                self._known.add(id(seat))
                self._given = arrived(self._given, seat.tenant, {one.tenant for one in seats} - {seat.tenant})
        found = plan(self._requests(seats), self._time, self._given, MOST_ROWS, time.monotonic())
        self._relegated.update(found.relegated)
        self.tally.budget_rows.add(found.budget)
        return [(by_name[share.name], share.rows) for share in found.shares]

    def _ran(self, steps: Sequence[tuple[Seat, int]], seconds: float) -> None:
        super()._ran(steps, seconds)
        for seat, rows in steps:
            self._given = served(self._given, seat.tenant, rows, speaks=not seat.prompt_left)

    def _next(self, tenants: Sequence[str]) -> int:
        return min(range(len(tenants)), key=lambda place: self._given.get(tenants[place], 0.0))

    def _wait_s(self) -> int:
        requests = self._requests(self._seats)
        waiting = [USUAL_TOKENS] * (len(requests) + len(self._waiting))
        return retry_after_s(wait_s(requests, waiting, self._time, self._facts.sequences))
