"""The shell around the pre-emption of a site: clock, keys, log, and everybody who asks or has to be told."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from edge_server.errors import NothingToEnd, NotKnown, PreemptionLogUnwritable
from edge_server.events import Event as BusEvent
from edge_server.events import ObservationReceived, PriorityRequested
from edge_server.signals.guide import NO_GUIDANCE, Guidance
from edge_server.signals.j2735.codec import Value
from edge_server.signals.j2735.numbers import Numbers
from edge_server.signals.j2735.spat import spat_message
from edge_server.signals.j2735.ssm import status_message
from edge_server.signals.layout import Layout
from edge_server.signals.lease import Standing
from edge_server.signals.modes.mode import is_simulated
from edge_server.signals.preemption.events import (
    Answer,
    Effect,
    Granted,
    HandEnded,
    Happening,
    Higher,
    HigherKind,
    Observed,
    Refused,
    Signed,
    Tick,
)
from edge_server.signals.preemption.log_file import LogFile
from edge_server.signals.preemption.log_lines import Line, Opened, Routed, Stepped, Unwritten, digest
from edge_server.signals.preemption.machine import step
from edge_server.signals.preemption.reading import event_of, zone_of
from edge_server.signals.preemption.refusals import CODES, error_of
from edge_server.signals.preemption.state import CAMERA, State
from edge_server.signals.preemption.terms import Terms, terms_of
from edge_server.signals.preemption.vehicles import VehicleKeys
from edge_server.signals.preemption.wanted import calls, waiting_ms, wanted
from edge_server.signals.safety import Proposal
from edge_server.signals.view import View
from node.identity import Identity
from protocol.errors import KinflowError
from protocol.ids import ApproachId, DeviceId, IntersectionId, PhaseId
from protocol.messages import Observation, PriorityRequest, PriorityStatus
from protocol.site import Site
from protocol.site_check import faults

# Of messages that nobody believes, so many are written down within a minute; the rest is counted.
FORGED_A_MINUTE = 30
NOT_STEERING = "not-steering"

log = structlog.get_logger("edge.preemption")


@dataclass(frozen=True)
class Listeners:
    """send: a status to a vehicle, now or never. told: each step's effects, for the event log. changed: something is
    wanted of an intersection now. standing: whether we steer it; shown: what it is and shows. alarm: raise or clear one
    of our own."""

    send: Callable[[DeviceId, PriorityStatus], object] = lambda *_: None
    told: Callable[[IntersectionId, Happening, tuple[Effect, ...]], None] = lambda *_: None
    changed: Callable[[IntersectionId], None] = lambda _: None
    standing: Callable[[IntersectionId], Standing] = lambda _: "holding"
    shown: Callable[[IntersectionId], tuple[Layout, View | None] | None] = lambda _: None
    alarm: Callable[[str, KinflowError, bool], None] = lambda *_: None


@dataclass
class _Forged:
    """How many messages that nobody believes came within this minute."""

    minute: int = -1
    count: int = 0
    unwritten: int = 0


@dataclass(frozen=True)
class _Done:
    """A step. changed: it led to another state."""

    intersection: IntersectionId
    event: Happening
    effects: tuple[Effect, ...] = ()
    changed: bool = False


class PreemptionDesk:
    """Safe from any thread. home: where vehicles.toml and the log lie. A site with a fault grants nothing.

    The log's clock is the wall clock of the start, or what the log came to where that is later, and from then on the
    monotonic one: it never runs backwards, whatever is done to the wall clock.

    terms, keys, zone: by which messages are judged; for the desk of green waves (wave_desk), which plans over several
    intersections and tells each by `apply`."""

    def __init__(self, site: Site, identity: Identity, home: Path, listeners: Listeners | None = None) -> None:
        self.site = site.id
        self.numbers = Numbers.of(site)
        self._messages = itertools.count()
        self._identity = identity
        self._listeners = listeners or Listeners()
        self._lock = threading.Lock()
        self._untold: queue.SimpleQueue[_Done | None] = queue.SimpleQueue()
        self._teller: threading.Thread | None = None
        simulated = all(is_simulated(one, site) for one in site.intersections)
        self.keys = VehicleKeys(home / "vehicles.toml", simulated=simulated)
        self._key_problem: KinflowError | None = None
        self.zone = zone_of(site.preemption.timezone)
        clock = identity.clock
        self._file = LogFile(home, clock.wall_ms())
        self._offset_ms = max(self._file.newest_ms, clock.wall_ms()) - clock.monotonic_ms()
        self.terms = {} if faults(site) else terms_of(site)
        self._states: dict[IntersectionId, State] = {}
        self._forged = _Forged()
        self._gap = False
        self._unwritable = False
        self._approaches = {one: terms.intersection for terms in self.terms.values() for one in terms.routes}
        for intersection, terms in self.terms.items():
            known = self._file.states.get(intersection)
            self._states[intersection] = known if known is not None and known.terms == terms else _under(known, terms)
            if known is None or known.terms != terms:
                self._try_open(intersection)

    def attach(self, listeners: Listeners) -> None:
        """Who is told; before anything is asked."""
        self._listeners = listeners
        if self._file.broken is not None:
            listeners.alarm("preemption-log-broken", self._file.broken, True)

    @property
    def states(self) -> Mapping[IntersectionId, State]:
        """As they are now."""
        with self._lock:
            return dict(self._states)

    def now_ms(self) -> int:
        """The log's clock."""
        return self._identity.clock.monotonic_ms() + self._offset_ms

    def start(self) -> None:
        """Tell what is done from a thread of our own: whoever asks may hold locks, and may not wait for a link."""
        self._teller = threading.Thread(target=self._run, name="preemption", daemon=True)
        self._teller.start()

    def stop(self) -> None:
        if self._teller is not None:
            self._untold.put(None)
            self._teller.join(timeout=5)
        with self._lock:
            self._file.close()

    def flush(self) -> None:
        """Tell now what has not been told, where no thread does."""
        while not self._untold.empty():
            done = self._untold.get()
            if done is not None:
                self._tell(done)

    def _run(self) -> None:
        while (done := self._untold.get()) is not None:
            try:
                self._tell(done)
            except Exception:
                log.exception("telling failed")

    def wall_ms(self) -> int:
        """The wall clock, by which a message's own time is judged."""
        return self._identity.clock.wall_ms()

    # What comes in

    def handle(self, event: BusEvent) -> None:
        """An event of the edge's bus."""
        if isinstance(event, PriorityRequested):
            try:
                self.ask(event.request)
            except KinflowError as error:
                log.info("a request was refused", vehicle=event.request.source, code=error.code)
        elif isinstance(event, ObservationReceived) and event.live:
            self.observe(event.observation)

    def ask(self, message: PriorityRequest) -> PriorityStatus:
        """Take a vehicle's message; what is answered. Raises what refuses it: KF310 to KF319, NotKnown (KF92) for a
        foreign site or intersection, PreemptionLogUnwritable (KF322)."""
        if message.site != self.site:
            raise NotKnown(kind="site", name=message.site)
        if message.intersection not in self._states:
            raise NotKnown(kind="intersection", name=message.intersection)
        clock = self._identity.clock
        event = event_of(
            message, self.keys.of(message.source), at_ms=self.now_ms(), wall_ms=clock.wall_ms(), zone=self.zone
        )
        done = self._do(message.intersection, event)
        for effect in done.effects:
            if isinstance(effect, Refused) and effect.vehicle == event.vehicle:
                raise error_of(effect.refusal, event, self.terms[message.intersection])
        found = [one for one in done.effects if isinstance(one, Answer) and one.vehicle == event.vehicle]
        return self.status(message.intersection, found[-1])

    def apply(self, intersection: IntersectionId, event: Happening) -> tuple[Effect, ...]:
        """One event, made elsewhere. Raises PreemptionLogUnwritable (KF322)."""
        return self._do(intersection, event).effects

    def write_route(self, line: Routed) -> None:
        """Where a vehicle's route leads, into the log. What can't be written is told as for any other line."""
        with self._lock, contextlib.suppress(PreemptionLogUnwritable):
            self._write(line)

    def observe(self, observation: Observation) -> None:
        """What a live observation holds of emergency vehicles; `unavailable` says nothing."""
        intersection = self._approaches.get(observation.approach)
        if intersection is None or observation.emergency == "unavailable":
            return
        asks = observation.emergency == "requested"
        if not asks and not self._is_seen(intersection, observation.approach):
            return
        with contextlib.suppress(PreemptionLogUnwritable):
            self._do(intersection, Observed(at_ms=self.now_ms(), approach=observation.approach, asks=asks))

    def higher(self, intersection: IntersectionId, source: str, kind: HigherKind, active: bool) -> None:
        """What outranks us began or ended. Raises NotKnown (KF92), PreemptionLogUnwritable (KF322)."""
        self._check(intersection)
        self._do(intersection, Higher(at_ms=self.now_ms(), source=source, kind=kind, active=active))

    def end(self, intersection: IntersectionId, vehicle: str, by: str, reason: str) -> None:
        """A person ends or refuses a claim. Raises NotKnown (KF92), NothingToEnd (KF323), PreemptionLogUnwritable
        (KF322)."""
        self._check(intersection)
        if self.states[intersection].claim_of(vehicle) is None:
            raise NothingToEnd(vehicle=vehicle, intersection=intersection)
        self._do(intersection, HandEnded(at_ms=self.now_ms(), vehicle=vehicle, by=by, reason=reason))

    def keep(self) -> None:
        """Once a second or so: the key file is looked at, the log brought to the disk."""
        self.keys.look()
        problem = self.keys.problem
        if (problem is None) != (self._key_problem is None):
            error = problem or self._key_problem
            assert error is not None
            self._listeners.alarm("vehicle-keys-unusable", error, problem is not None)
        self._key_problem = problem
        with self._lock:
            if self._file.full:
                try:
                    self._file.turn(self._states, self.now_ms())
                except (OSError, PreemptionLogUnwritable) as error:
                    log.warning("no new log of pre-emption could be begun", detail=str(error))
                    self._gap = True
            self._count_forged()
            self._file.sync()

    # What the signals ask

    def look(self, layout: Layout, view: View | None, called: frozenset[PhaseId], now_ms: int) -> Guidance:
        """edge_server.signals.guide.Guide. now_ms: the edge's monotonic clock."""
        intersection = layout.intersection
        state = self._states.get(intersection)
        if state is None or (state.normal and not state.queue):
            return NO_GUIDANCE
        at_ms = now_ms + self._offset_ms
        red_ms = {} if view is None else waiting_ms(layout, view, called | calls(state), now_ms)
        serving = () if view is None else tuple(sorted(view.serving))
        tick = Tick(at_ms=at_ms, heard=view is not None, red_ms=red_ms, serving=serving)
        with contextlib.suppress(PreemptionLogUnwritable):
            self._do(intersection, tick)
        state = self._states[intersection]
        if view is None:
            return NO_GUIDANCE
        found = wanted(state, layout, view, at_ms)
        if found is None:
            return Guidance(None, calls(state), stands_back=state.outranked)
        proposal = Proposal("preemption", found.stage, found.reason, found.cuts_walk)
        return Guidance(proposal, calls(state) | found.calls)

    # As SAE J2735 says it

    def ssm(self) -> Value:
        """A SignalStatusMessage of all that is held or waited for."""
        holding = {one for one in self._states if self._listeners.standing(one) == "holding"}
        return status_message(
            self.states,
            self.numbers,
            at_ms=self.now_ms(),
            wall_ms=self._identity.clock.wall_ms(),
            sequence=next(self._messages),
            steered=holding,
        )

    def spat(self, intersection: IntersectionId) -> Value:
        """A SPAT of one intersection. Raises NotKnown (KF92)."""
        found = self._listeners.shown(intersection)
        if found is None:
            raise NotKnown(kind="intersection", name=intersection[:63])
        layout, view = found
        clock = self._identity.clock
        return spat_message(
            layout,
            view,
            self._states.get(intersection),
            self.numbers,
            now_ms=clock.monotonic_ms(),
            wall_ms=clock.wall_ms(),
            revision=next(self._messages),
        )

    # Within

    def _do(self, intersection: IntersectionId, event: Happening) -> _Done:
        """Step and write down. What can't be written is not granted; but what ends, ends."""
        with self._lock:
            before = self._states[intersection]
            after, effects = step(before, event)
            done = _Done(intersection, event, effects, after != before)
            if self._is_worth_a_line(done):
                try:
                    self._write(Stepped(intersection=intersection, event=event, after=digest(after)))
                except PreemptionLogUnwritable:
                    if isinstance(event, Signed) or any(isinstance(one, Granted) for one in effects):
                        raise
                    self._gap = True
            self._states[intersection] = after
            if effects or done.changed:
                self._untold.put(done)
            return done

    def _is_worth_a_line(self, done: _Done) -> bool:
        if not done.changed and all(isinstance(one, Answer) for one in done.effects):
            return False
        believed = not isinstance(done.event, Signed) or done.event.proof == "verified"
        return believed or done.changed or self._may_write_forged()

    def _write(self, line: Line) -> None:
        try:
            if self._gap:
                for one in self._states:
                    self._open(one)
                self._gap = False
            self._file.write(line)
        except PreemptionLogUnwritable as error:
            if not self._unwritable:
                self._unwritable = True
                self._listeners.alarm("preemption-log-unwritable", error, True)
            raise
        if self._unwritable:
            self._unwritable = False
            over = PreemptionLogUnwritable(path=self._file.path, detail="no longer")
            self._listeners.alarm("preemption-log-unwritable", over, False)

    def _open(self, intersection: IntersectionId) -> None:
        self._file.write(Opened(at_ms=self.now_ms(), intersection=intersection, state=self._states[intersection]))

    def _try_open(self, intersection: IntersectionId) -> None:
        try:
            self._open(intersection)
        except PreemptionLogUnwritable:
            self._gap = True

    def _may_write_forged(self) -> bool:
        self._count_forged()
        self._forged.count += 1
        if self._forged.count <= FORGED_A_MINUTE:
            return True
        self._forged.unwritten += 1
        return False

    def _count_forged(self) -> None:
        minute = self.now_ms() // 60_000
        if minute == self._forged.minute:
            return
        unwritten, self._forged = self._forged.unwritten, _Forged(minute)
        if unwritten:
            try:
                self._file.write(Unwritten(at_ms=self.now_ms(), count=unwritten))
            except PreemptionLogUnwritable:
                self._forged.unwritten = unwritten

    def _tell(self, done: _Done) -> None:
        intersection = done.intersection
        if done.changed or any(isinstance(one, Refused) for one in done.effects):
            self._listeners.told(intersection, done.event, done.effects)
        if self._listeners.standing(intersection) != "standing-by":
            for effect in done.effects:
                if isinstance(effect, Answer) and not effect.vehicle.startswith(CAMERA):
                    self._listeners.send(DeviceId(effect.vehicle), self.status(intersection, effect))
        if done.changed and not isinstance(done.event, Tick):
            self._listeners.changed(intersection)

    def status(self, intersection: IntersectionId, answer: Answer) -> PriorityStatus:
        """An answer as a message; `granted` is said only while we steer."""
        clock = self._identity.clock
        status, reason = answer.status, answer.reason
        holder = self._states[intersection].holder
        left_ms = None
        if status == "granted" and holder is not None and holder.until_ms is not None:
            left_ms = max(0, holder.until_ms - self.now_ms())
        if status == "granted" and self._listeners.standing(intersection) != "holding":
            status, reason, left_ms = "watchOtherTraffic", reason or NOT_STEERING, None
        return PriorityStatus(
            **self._identity.live(),
            intersection=intersection,
            request=answer.request,
            status=status,
            reason=reason,
            code=CODES.get(reason),
            left_ms=left_ms,
            edge_ms=clock.wall_ms(),
        )

    def _is_seen(self, intersection: IntersectionId, approach: ApproachId) -> bool:
        state = self._states[intersection]
        return approach in state.sightings or state.claim_of(f"{CAMERA}{approach}") is not None

    def _check(self, intersection: IntersectionId) -> None:
        if intersection not in self._states:
            raise NotKnown(kind="intersection", name=intersection[:63])


def _under(known: State | None, terms: Terms) -> State:
    """A story that goes on under other terms: what was held is over, what is known of vehicles stays."""
    if known is None:
        return State(terms)
    return State(terms, last=known.last, spent=known.spent, asked=known.asked, higher=known.higher)
