"""One intersection under a controller of the edge, the edge's safety check and the lamps of a simulated controller.

What lies between them in a real site (messages, heartbeats, leases) is a delay here; it has tests of its own
(tests/sim_devices/controller). No SUMO in here.
"""

from __future__ import annotations

import time
from collections import deque

from edge_server.signals.calling import wanted_phases
from edge_server.signals.controller import Decide
from edge_server.signals.guide import Guide, NoGuide
from edge_server.signals.layout import Layout
from edge_server.signals.safety import Memory, Proposal, SafeCommand, judge, sent
from edge_server.signals.sight import Sights
from edge_server.signals.view import View
from protocol.ids import BootId, DeviceId, PhaseId, new_message_id
from protocol.messages import Heartbeat
from protocol.messages.heartbeat import PhaseState
from sim_devices.controller.lamps import Lamps, advance, all_red
from sim_devices.controller.wiring import Wiring
from sim_devices.sumo.net import Net
from sim_devices.sumo.programme import GREEN
from sim_devices.sumo.signals import Steered

_SERVING = ("green", "walk")


class SignalLoop:
    def __init__(
        self, one: Steered, layout: Layout, net: Net, decide: Decide, name: str, *, now_ms: int, delay_ms: int
    ) -> None:
        self.one = one
        self.layout = layout
        self.guide: Guide = NoGuide()
        self.overruled = 0
        # Processor time of decisions and safety checks so far.
        self.spent_ns = 0
        self._wiring = Wiring.of(one.intersection)
        self._decide = decide
        self._name = name
        self._delay_ms = delay_ms
        self.lamps: Lamps = all_red(self._wiring, now_ms - 60_000)
        self._target: frozenset[PhaseId] = frozenset()
        self._cuts_walk = False
        self._memory = Memory()
        self._called_ms: dict[PhaseId, int] = {}
        self._views: deque[tuple[int, View]] = deque()
        self._commands: deque[tuple[int, SafeCommand]] = deque()
        self._beat = _heartbeat(layout, now_ms)
        self._signs = Signs(one, net)

    def call(self, phase: PhaseId, now_ms: int) -> None:
        """Somebody waits to walk."""
        if self.lamps[phase].aspect != "walk":
            self._called_ms.setdefault(phase, now_ms)

    def step(self, sights: Sights, now_ms: int) -> tuple[str, ...]:
        """Lamps, then decision. Returns what each traffic light shows from now on, in SUMO's letters."""
        while self._commands and self._commands[0][0] <= now_ms:
            self._obey(self._commands.popleft()[1])
        self._move(now_ms)
        view = self._seen(now_ms)
        if view is not None:
            begun_ns = time.thread_time_ns()
            self._command(view, sights, now_ms)
            self.spent_ns += time.thread_time_ns() - begun_ns
            if not self._delay_ms:
                self._move(now_ms)
        return self._signs.show(self.lamps)

    def _obey(self, command: SafeCommand) -> None:
        self._target, self._cuts_walk = frozenset(command.phases), command.cuts_walk

    def _move(self, now_ms: int) -> None:
        self.lamps = advance(self._wiring, self.lamps, self._target, now_ms, cuts_walk=self._cuts_walk)
        for phase in tuple(self._called_ms):
            if self.lamps[phase].aspect == "walk":
                del self._called_ms[phase]

    def _seen(self, now_ms: int) -> View | None:
        shown = {phase: PhaseState(phase, lamp.aspect, now_ms - lamp.since_ms) for phase, lamp in self.lamps.items()}
        serving = frozenset(phase for phase, lamp in self.lamps.items() if lamp.aspect in _SERVING)
        view = View(self._beat, now_ms, shown, serving, self._target, dict(self._called_ms))
        if not self._delay_ms:
            return view
        self._views.append((now_ms + self._delay_ms, view))
        arrived = None
        while self._views and self._views[0][0] <= now_ms:
            arrived = self._views.popleft()[1]
        return arrived

    def _command(self, view: View, sights: Sights, now_ms: int) -> None:
        calling = wanted_phases(self.layout, sights, now_ms)
        guidance = self.guide.look(self.layout, view, calling, now_ms)
        proposal = guidance.proposal
        if proposal is None:
            decision = self._decide(self.layout, sights, view, now_ms)
            proposal = Proposal(self._name, decision.stage, decision.reason)
        calling |= guidance.calls
        self._memory, verdict = judge(self.layout, self._memory, view, proposal, wanted=calling, now_ms=now_ms)
        if verdict.command is None:
            return
        self.overruled += verdict.overruled
        self._memory = sent(self._memory, verdict.command, now_ms)
        if self._delay_ms:
            self._commands.append((now_ms + self._delay_ms, verdict.command))
        else:
            self._obey(verdict.command)


class Signs:
    """From aspects to SUMO's letters, remembered: there are few different ones."""

    def __init__(self, one: Steered, net: Net) -> None:
        self._one = one
        self._net = net
        self._known: dict[tuple[frozenset[PhaseId], frozenset[PhaseId]], tuple[str, ...]] = {}

    def show(self, lamps: Lamps) -> tuple[str, ...]:
        green = frozenset(phase for phase, lamp in lamps.items() if lamp.aspect in _SERVING)
        yellow = frozenset(phase for phase, lamp in lamps.items() if lamp.aspect == "yellow")
        if (green, yellow) not in self._known:
            self._known[green, yellow] = self._letters(green, yellow)
        return self._known[green, yellow]

    def _letters(self, green: frozenset[PhaseId], yellow: frozenset[PhaseId]) -> tuple[str, ...]:
        one = self._one
        planned = one.planned.get(green, "") if not yellow else ""
        links = {link: group.phase for group in one.groups for link in group.links}
        lit = [link for link, phase in links.items() if phase in green or phase in yellow]
        letters = dict(one.free)
        for link, phase in links.items():
            if phase in yellow:
                letters[link] = "y"
            elif phase not in green:
                letters[link] = planned[link] if planned and planned[link] == "s" else "r"
            elif planned and planned[link] in GREEN:
                letters[link] = planned[link]
            else:
                letters[link] = "g" if self._waits(link, lit) else "G"
        text = "".join(letters[at] for at in range(sum(size for _, size in one.lights)))
        found, begin = [], 0
        for _, size in one.lights:
            found.append(text[begin : begin + size])
            begin += size
        return tuple(found)

    def _waits(self, link: int, lit: list[int]) -> bool:
        ways = self._one.ways
        return any(self._net.gives_way(a, b) for other in lit if other != link for a in ways[link] for b in ways[other])


def _heartbeat(layout: Layout, now_ms: int) -> Heartbeat:
    """What every view here quotes: a controller that is steered."""
    return Heartbeat(
        id=new_message_id(now_ms), source=DeviceId(layout.device), boot=BootId("0" * 16), seq=0, at_ms=now_ms,
        mono_ms=now_ms, intersection=layout.intersection, counter=0, control="edge", phases=(),
        target=(), highest_epoch=1,
    )  # fmt: skip
