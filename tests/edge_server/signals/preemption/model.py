"""Every reachable state of pre-emption, safety check and lamps, by exhaustive search in plain Python.

The machines are the real ones: `machine.step`, `wanted`, `safety.judge` and the simulated controller's `lamps.advance`.
Time moves in steps of 5 s, and all times of the site are small multiples of that. States are finite once times are
counted from now and sequence numbers are renamed in their order, neither of which the machines can tell; ages of reds
are told apart up to a little above the bound, and no vehicle reaches the limit of requests within an hour.

The world is hostile. At any moment a vehicle may ask, renew or let go; a message may come at once, be lost, or be kept
by the network, to come later, once or often, and after newer ones; what outranks us may come and go; the edge server
may start anew, with its state read back from the log's JSON and its safety check's memory gone; and instead of a
command the controller may get none and follow any stage of its own, heard or not.

Three searches, because the whole of it is too large:

- **lamps**: safety check and lamps, with every stage proposed at every moment. Whatever vehicles claim, however many,
  the check hears nothing else than a proposal; so what holds here holds for all of them.
- **claims**: the pre-emption of up to three vehicles, told anything that a controller can show.
- **both** together, for fewer vehicles: that the two really fit as the first two assume.

    python -m tests.edge_server.signals.preemption.model claims --vehicles 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from unittest import mock

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edge_server.signals import safety
from edge_server.signals.layout import Layout, layouts
from edge_server.signals.preemption.events import Cancel, Higher, Renew, Tick
from edge_server.signals.preemption.machine import holds, step
from edge_server.signals.preemption.state import Claim, State
from edge_server.signals.preemption.terms import Terms
from edge_server.signals.preemption.wanted import calls, waiting_ms, wanted
from edge_server.signals.safety import Memory, Proposal, judge, sent, service_bound_ms
from edge_server.signals.view import View
from protocol.messages import Heartbeat, PhaseState
from protocol.preemption import PreemptionRules
from protocol.site import Intersection, Plan, PlanStep, Site, Stage
from sim_devices.controller.lamps import Lamp, Lamps, advance, all_red
from sim_devices.controller.wiring import Wiring
from tests.edge_server.signals.signal_sites import ORIGIN, approach, pedestrian, vehicle

Parts = Literal["lamps", "claims", "both"]
QUANTUM_MS = 5_000
NOW_MS = 1_000_000
FREE = 99
RULES = PreemptionRules(
    renew_s=10, cap_s=15, run_s=25, lockout_s=5, recovery_s=15, lead_s=10, priority_cap_s=10.5, priority_lead_s=10,
    skew_s=5, queue=3, requests_per_hour=3600, evidence=(),
)  # fmt: skip
# Two equals from conflicting approaches, and one that ranks below them.
FLEET = (("ambulance-a", "ambulance", "n"), ("ambulance-b", "ambulance", "e"), ("police-c", "police", "s"))
OWN_STAGES = ("own stage", "own stage, unheard")
PASSING = ("tick", *OWN_STAGES)


def crossroads(*, walks: bool = False) -> Intersection:
    """Four approaches, a phase each; opposite ones go together. walks: beside 2 and 6 somebody may walk."""
    phases = tuple(vehicle(one, min_green_s=5, max_green_s=15, yellow_s=5, all_red_s=0) for one in (2, 4, 6, 8))
    walk = (pedestrian(12, walk_s=10, clearance_s=10, max_green_s=15, all_red_s=0),) if walks else ()
    ew = Stage(id="ew", phases=(2, 6))
    planned = Stage(id="ew-walk", phases=(2, 6, 12)) if walks else ew
    return Intersection(
        id="x",
        position=ORIGIN,
        controller="controller-x",
        approaches=tuple(approach(side, [phase]) for side, phase in (("e", 2), ("n", 4), ("w", 6), ("s", 8))),
        phases=(*phases, *walk),
        conflicts=((2, 4), (2, 8), (4, 6), (6, 8), *(((4, 12), (8, 12)) if walks else ())),
        compatible=((2, 6), (4, 8), *(((2, 12), (6, 12)) if walks else ())),
        stages=(ew, Stage(id="ns", phases=(4, 8)), *((planned,) if walks else ())),
        plan=Plan(steps=(PlanStep(stage=planned.id, green_s=25 if walks else 15), PlanStep(stage="ns", green_s=15))),
    )


class Kept(Struct, frozen=True):
    """A message that the network kept: it may come now, later, and again. age: in quanta."""

    at: int
    cancels: bool
    sequence: int
    age: int


class World(Struct, frozen=True):
    """All times are counted from NOW_MS. newest: the last sequence number that each vehicle used. since_own: quanta
    since the controller last followed a stage of its own, FREE once every phase has been green since. held, run: quanta
    of the present holder's lease, and of the leases since the last pause, as an onlooker counts them."""

    state: State
    memory: Memory
    lamps: Lamps
    newest: tuple[int, ...]
    kept: Kept | None = None
    since_own: int = FREE
    held: int = 0
    run: int = 0


class Violation(AssertionError):
    pass


@dataclass
class Model:
    """vehicles: how many of FLEET. delays: whether the network keeps a message. outranked: whether something may.
    own_stages: whether commands may be lost. renew: for how many quanta a claim lasts that is not renewed.
    walks: of the lamps, with a walk that pre-emption may cut."""

    parts: Parts
    vehicles: int = 0
    delays: bool = True
    outranked: bool = True
    own_stages: bool = True
    renew: int = 2
    walks: bool = False
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        intersection = crossroads(walks=self.walks)
        self.wiring = Wiring.of(intersection)
        self.layout = layouts(Site(id="model", intersections=(intersection,)))[intersection.id]
        self.terms = replace(Terms.of(intersection, RULES), renew_ms=self.renew * QUANTUM_MS)
        self.bound = -(-service_bound_ms(self.layout) // QUANTUM_MS)
        self.fleet = FLEET[: self.vehicles]
        self._bare = replace(self.terms, routes={}, conflicts={}, roles={}, cap_ms={}, lead_ms={})

    def first(self) -> World:
        lamps = all_red(self.wiring, NOW_MS) if self.parts != "claims" else {}
        return World(State(self.terms), Memory(), lamps, (0,) * self.vehicles)

    # What may happen

    def next(self, world: World) -> Iterator[tuple[str, World]]:
        """The first is the quiet one: nobody says anything, and all goes well."""
        if world.state.outranked:
            yield "released", self._tell(world, _railway(False))
        elif self.outranked and self.vehicles:
            yield from self._ticks(world)
            yield "outranked", self._tell(world, _railway(True))
        else:
            yield from self._ticks(world)
        if self.parts != "claims" and (self.own_stages or world.state.outranked):
            for stage in self.wiring.stages:
                for heard in (True, False):
                    yield OWN_STAGES[not heard], self._tick(world, own=stage, heard=heard)
        elif self.parts == "claims" and world.state.outranked:
            yield "tick", self._claims_tick(world, Tick(at_ms=NOW_MS))
        yield "restart", self._restart(world)
        for at in range(self.vehicles):
            yield from self._messages(world, at)
        if world.kept is not None:
            yield f"{self.fleet[world.kept.at][0]}'s message comes late", self._hear(world, world.kept)
            yield "a kept message is lost", replace(world, kept=None)

    def _ticks(self, world: World) -> Iterator[tuple[str, World]]:
        """Commanded ones."""
        if self.parts == "both":
            yield "tick", self._tick(world)
        elif self.parts == "lamps":
            for proposed in (*self.layout.stages, None):
                for cuts in (False, True) if self.walks else (False,):
                    yield "tick", self._tick(world, proposed=proposed, cuts=cuts)
        else:
            yield "tick", self._claims_tick(world, Tick(at_ms=NOW_MS))
            if world.state.recovery is not None:  # what is shown matters then alone
                for red_ms in ({}, {2: 1}, {4: 1}, {2: 2, 4: 1}):
                    for serving in ((), (2, 6), (4, 8)):
                        tick = Tick(at_ms=NOW_MS, heard=True, red_ms=red_ms, serving=serving)
                        yield "tick", self._claims_tick(world, tick)

    def _messages(self, world: World, at: int) -> Iterator[tuple[str, World]]:
        name = self.fleet[at][0]
        newest = (*world.newest[:at], world.newest[at] + 1, *world.newest[at + 1 :])
        for cancels in (False, True):
            if cancels and world.state.claim_of(name) is None:
                continue
            said = Kept(at, cancels, world.newest[at] + 1, 0)
            verb = f"{name} {'lets go' if cancels else 'asks'}"
            yield verb, self._hear(replace(world, newest=newest), said)
            if self.delays and world.kept is None:
                yield f"{verb}, which is kept", replace(world, newest=newest, kept=said)

    def _hear(self, world: World, said: Kept) -> World:
        name, role, side = self.fleet[said.at]
        fields: dict[str, Any] = {
            "at_ms": NOW_MS,
            "vehicle": name,
            "sequence": said.sequence,
            "off_ms": -said.age * QUANTUM_MS,
        }
        if said.cancels:
            return self._tell(world, Cancel(**fields))
        return self._tell(world, Renew(**fields, role=role, approach=side))

    def _tell(self, world: World, event: Cancel | Renew | Higher) -> World:
        state, _ = step(world.state, event)
        self._check_lease(state)
        return replace(world, state=state, held=world.held if _holder(state) == _holder(world.state) else 0)

    def _restart(self, world: World) -> World:
        return replace(world, state=msgspec.json.decode(msgspec.json.encode(world.state), type=State), memory=Memory())

    def _claims_tick(self, world: World, tick: Tick) -> World:
        state, _ = step(world.state, tick)
        self._check_lease(state)
        leased = state.holder is not None
        kept = world.kept
        if kept is not None:  # what is older than skew_s is refused, whatever else it says
            kept = replace(kept, age=kept.age + 1) if (kept.age + 1) * QUANTUM_MS <= self.terms.skew_ms else None
        held = (world.held if _holder(state) == _holder(world.state) else 0) + 1 if leased else 0
        after = replace(world, state=state, kept=kept, held=held, run=world.run + 1 if leased else 0)
        if after.held * QUANTUM_MS > self.terms.cap_ms["preempt"]:
            raise Violation(f"a vehicle has held for {after.held} quanta")
        if after.run * QUANTUM_MS > self.terms.run_ms:
            raise Violation(f"leases have followed one another for {after.run} quanta")
        return after

    def _tick(
        self, world: World, *, proposed: str | None = None, own: frozenset[int] | None = None, heard: bool = True,
        cuts: bool = False,
    ) -> World:  # fmt: skip
        """A quantum passes. own: what the controller follows since no command comes."""
        view = self._view(world.lamps)
        called = frozenset(self.layout.phases)
        if self.parts == "both":
            red_ms = waiting_ms(self.layout, view, called, NOW_MS) if heard else {}
            serving = tuple(sorted(view.serving)) if heard else ()
            world = self._claims_tick(world, Tick(at_ms=NOW_MS, heard=heard, red_ms=red_ms, serving=serving))
            want = wanted(world.state, self.layout, view, NOW_MS)
            if want is not None and world.state.outranked:
                raise Violation("something is wanted although it is outranked")
            # The intersection's own controller never wants anything but east and west.
            proposed = want.stage if want is not None else "ew"
            called |= calls(world.state) | (want.calls if want is not None else frozenset())
        memory, target = world.memory, own
        if heard and not world.state.outranked:
            memory, verdict = judge(
                self.layout, memory, view, Proposal("model", proposed, cuts_walk=cuts), wanted=called, now_ms=NOW_MS
            )
            if verdict.command is None:
                raise Violation(f"nothing may be commanded: {verdict.reason}")
            memory = sent(memory, verdict.command, NOW_MS)
            target = own if own is not None else frozenset(verdict.command.phases)
            cuts = own is None and verdict.command.cuts_walk
        assert target is not None
        return self._light(replace(world, memory=memory), target, own is not None, cuts=cuts)

    def _light(self, world: World, target: frozenset[int], own: bool, *, cuts: bool) -> World:
        lamps, green = world.lamps, set()
        for now_ms in (NOW_MS, NOW_MS + QUANTUM_MS):
            before, lamps = lamps, advance(self.wiring, lamps, target, now_ms, cuts_walk=cuts and now_ms == NOW_MS)
            self._check_walk(before, lamps, now_ms, cuts=cuts)
            lit = frozenset(one for one, lamp in lamps.items() if lamp.aspect != "red")
            if self.wiring.conflicting(lit):
                raise Violation(f"phases {sorted(lit)} are lit together")
            green |= {one for one, lamp in lamps.items() if lamp.aspect in ("green", "walk")}
        since_own = 0 if own else world.since_own + (world.since_own != FREE)
        reds = {
            one: (NOW_MS + QUANTUM_MS - lamp.since_ms) // QUANTUM_MS
            for one, lamp in lamps.items()
            if lamp.aspect not in ("green", "walk")
        }
        for phase, red in reds.items():
            if min(red, since_own) > self.bound:
                raise Violation(f"phase {phase} has been without green for {red} quanta under command")
        if all(red <= since_own for red in reds.values()):
            since_own = FREE
        return replace(world, lamps=lamps, since_own=since_own)

    def _check_walk(self, before: Lamps, after: Lamps, now_ms: int, *, cuts: bool) -> None:
        """Walk lasts for its time, or for WALK_CUT_MS where it may be cut; clearance always for all of it."""
        for phase, lamp in before.items():
            if after[phase].aspect == lamp.aspect:
                continue
            head, shown_ms = self.wiring.heads[phase], now_ms - lamp.since_ms
            least_ms = {
                "walk": min(head.least_ms, safety.WALK_CUT_MS) if cuts else head.least_ms,
                "pedestrian-clearance": head.clearing_ms,
            }
            if shown_ms < least_ms.get(lamp.aspect, 0):
                raise Violation(f"{lamp.aspect} ended after {shown_ms} ms")

    # What must hold

    def _check_lease(self, state: State) -> None:
        holder = state.holder
        if holder is None:
            return
        if state.outranked or state.recovery is not None or not holds(state, NOW_MS):
            raise Violation("a lease stands that is over, outranked, or in the others' turn")
        if holder.used_ms + NOW_MS - (holder.granted_ms or 0) >= self.terms.cap_ms[holder.level]:
            raise Violation("a lease is beyond its cap")

    def is_normal(self, world: World) -> bool:
        lit = any(lamp.aspect == "green" for lamp in world.lamps.values()) or self.parts == "claims"
        return world.state.normal and not world.state.queue and lit

    # Time from now on

    def _view(self, lamps: Lamps) -> View:
        phases = tuple(PhaseState(one, lamp.aspect, NOW_MS - lamp.since_ms) for one, lamp in lamps.items())
        target = tuple(sorted(one for one, lamp in lamps.items() if lamp.aspect in ("green", "walk")))
        return View.of(msgspec.structs.replace(_BEAT, phases=phases, target=target), NOW_MS)

    def settle(self, what: str, world: World) -> World:
        """The same world, with its times counted from now."""
        passed_ms = QUANTUM_MS if what in PASSING else 0
        newest, sequences, kept = [], {}, world.kept
        for at, (name, _, _) in enumerate(self.fleet):
            last = world.state.last.get(name)
            used = {world.newest[at]} | ({last.sequence} if last is not None else set())
            own = kept if kept is not None and kept.at == at else None
            used |= {own.sequence} if own is not None else set()
            names = {sequence: number for number, sequence in enumerate(sorted(used))}
            newest.append(names[world.newest[at]])
            if own is not None:
                kept = replace(own, sequence=names[own.sequence])
            if last is not None:
                # What it said matters only for a message of the same number, which the network must have kept.
                mark = last.mark if own is not None else ""
                sequences[name] = replace(last, sequence=names[last.sequence], mark=mark, at_ms=0)
        oldest_ms = NOW_MS - (self.bound + 2) * QUANTUM_MS
        memory = Memory(
            {one: max(at_ms - passed_ms, oldest_ms) for one, at_ms in world.memory.red_ms.items()},
            {one: max(at_ms - passed_ms, oldest_ms) for one, at_ms in world.memory.called_ms.items()},
            # A quantum is longer than a command can be on its way.
            None if passed_ms else world.memory.heading,
            0 if passed_ms else world.memory.headed_ms,
        )
        lamps = {one: Lamp(lamp.aspect, max(lamp.since_ms - passed_ms, oldest_ms)) for one, lamp in world.lamps.items()}
        state = replace(_from_now(world.state, passed_ms), last=sequences, asked={})
        return replace(world, state=state, memory=memory, lamps=lamps, newest=tuple(newest), kept=kept)

    def key(self, world: World) -> bytes:
        bare = replace(world, state=replace(world.state, terms=self._bare))
        return hashlib.blake2b(_ENCODE(bare), digest_size=12).digest()


_ENCODE = msgspec.msgpack.Encoder().encode
_BEAT = Heartbeat(
    id="01890000-0000-7000-8000-000000000000", source="controller-x", boot="0" * 16, seq=1, at_ms=0, mono_ms=0,
    intersection="x", counter=1, control="edge", phases=(), target=(), highest_epoch=1,
)  # fmt: skip


def _railway(active: bool) -> Higher:
    return Higher(at_ms=NOW_MS, source="railway", kind="railway", active=active)


def _holder(state: State) -> str | None:
    return state.holder.vehicle if state.holder is not None else None


def _from_now(state: State, passed_ms: int) -> State:
    """The same passed_ms later, without what can't matter any more; maps in one order, whoever came first."""
    claims = [one for one in (state.holder, *state.queue) if one is not None]
    # Of when they asked only the order matters, and who asks next comes after all of them.
    order = {asked_ms: number for number, asked_ms in enumerate(sorted({one.asked_ms for one in claims}, reverse=True))}

    def claim(one: Claim) -> Claim:
        return replace(
            one,
            request=0,
            arrival_ms=one.arrival_ms - passed_ms,
            asked_ms=NOW_MS - order[one.asked_ms] - (passed_ms > 0 or max(order) != NOW_MS),
            renewed_ms=one.renewed_ms - passed_ms,
            granted_ms=one.granted_ms - passed_ms if one.granted_ms is not None else None,
            until_ms=one.until_ms - passed_ms if one.until_ms is not None else None,
        )

    spent = {one: replace(had, until_ms=had.until_ms - passed_ms) for one, had in sorted(state.spent.items())}
    locked = {one: at_ms - passed_ms for one, at_ms in sorted(state.locked_ms.items()) if at_ms - passed_ms > NOW_MS}
    recovery, run = state.recovery, state.run
    return replace(
        state,
        holder=claim(state.holder) if state.holder is not None else None,
        queue=tuple(claim(one) for one in state.queue),
        run=replace(run, since_ms=max(run.since_ms - passed_ms, NOW_MS - state.terms.run_ms)) if run else None,
        locked_ms=locked,
        recovery=replace(recovery, until_ms=recovery.until_ms - passed_ms) if recovery is not None else None,
        spent={one: had for one, had in spent.items() if had.until_ms > NOW_MS},
    )


@dataclass(frozen=True)
class Found:
    """quiet_s: the longest that it takes from any state back to normal control when nobody says anything more. whole:
    every reachable state was looked at."""

    parts: Parts
    vehicles: int
    states: int
    transitions: int
    depth: int
    quiet_s: int
    bound_s: int
    seconds: float
    whole: bool


def search(model: Model, most: int = 10**9) -> Found:
    """Raises Violation, which tells how it is come by. most: states to look at, at most."""
    began = time.monotonic()
    with mock.patch.object(safety, "STARVATION_BOUND_MS", 0):  # the bound is one round of this small site
        model.__post_init__()
        first = model.first()
        number = {model.key(first): 0}
        quiet, normal, came, depths = [-1], [model.is_normal(first)], [(-1, "")], [0]
        frontier = deque([first])
        transitions = here = -1
        while frontier and here + 1 < most:
            world, here = frontier.popleft(), here + 1
            for what, raw in _guarded(model, world, came, here):
                transitions += 1
                after = model.settle(what, raw)
                there = number.setdefault(model.key(after), len(number))
                if there == len(quiet):
                    quiet.append(-1)
                    normal.append(model.is_normal(after))
                    came.append((here, what))
                    depths.append(depths[here] + 1)
                    frontier.append(after)
                if quiet[here] < 0:
                    quiet[here] = there
    longest = _way_back(quiet, normal) if not frontier else -1
    return Found(
        parts=model.parts,
        vehicles=model.vehicles,
        states=len(number),
        transitions=transitions + 1,
        depth=depths[-1],
        quiet_s=longest * QUANTUM_MS // 1000,
        bound_s=model.bound * QUANTUM_MS // 1000,
        seconds=round(time.monotonic() - began, 1),
        whole=not frontier,
    )


def _guarded(model: Model, world: World, came: list[tuple[int, str]], here: int) -> Iterator[tuple[str, World]]:
    what = "the first thing that may happen"
    try:
        for what, after in model.next(world):
            yield what, after
    except Violation as violation:
        way = []
        while here > 0:
            here, label = came[here]
            way.append(label)
        raise Violation(f"{violation}; come by: {', '.join(reversed(way))}, and what follows {what!r}") from violation


def _way_back(quiet: list[int], normal: list[bool]) -> int:
    """The most quiet steps from any state to a normal one. Raises Violation where they go round for ever."""
    steps = [0 if one else -1 for one in normal]
    for start in range(len(quiet)):
        way, at = [], start
        while steps[at] < 0:
            way.append(at)
            at = quiet[at]
            if len(way) > len(quiet):
                raise Violation("there is a state from which nothing leads back to normal control")
        for back, one in enumerate(reversed(way), start=1):
            steps[one] = steps[at] + back
    return max(steps)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", choices=["lamps", "claims", "both"])
    parser.add_argument("--vehicles", type=int, default=0)
    parser.add_argument("--no-delays", action="store_true")
    parser.add_argument("--no-own-stages", action="store_true")
    parser.add_argument("--no-outranked", action="store_true")
    parser.add_argument("--walks", action="store_true")
    parser.add_argument("--renew", type=int, default=2)
    parser.add_argument("--most", type=int, default=10**9)
    given = parser.parse_args()
    asked = Model(
        given.parts,
        given.vehicles,
        not given.no_delays,
        not given.no_outranked,
        not given.no_own_stages,
        given.renew,
        given.walks,
    )
    print(json.dumps(msgspec.to_builtins(search(asked, given.most))))
