"""The signals' shell: events in, commands out.

It decides on each live observation, on each heartbeat and every 500 ms, and sends what the safety check made of it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping

import structlog

from edge_server.errors import NotKnown
from edge_server.events import Event, HeartbeatReceived, ObservationReceived
from edge_server.signals.advice import Advice
from edge_server.signals.controller import controller
from edge_server.signals.events import AdviceChanged, ModeChanged, Proposed, WouldCommand
from edge_server.signals.fault import SignalFault
from edge_server.signals.guide import Guide
from edge_server.signals.junction import Advised, Effect, Junction, Record, Would
from edge_server.signals.layout import ApproachLayout, Layout, layouts
from edge_server.signals.lease import HEARTBEAT_MAX_AGE_MS, Order, Standing
from edge_server.signals.modes.mode import Mode, Setting
from edge_server.signals.shadow.book import Taken
from edge_server.signals.shadow.tally import Tally
from edge_server.signals.sight import Sight
from edge_server.signals.view import View
from node.identity import Identity
from protocol.errors import SiteUnsafe
from protocol.ids import ApproachId, DeviceId, IntersectionId
from protocol.messages import Heartbeat, Observation, SignalCommand
from protocol.site import Site
from protocol.site_check import faults

TICK_MS = 500

Send = Callable[[DeviceId, SignalCommand], bool]

log = structlog.get_logger("edge.signals")


class SignalService:
    """Safe from any thread. A site with a fault is not steered at all: that is said once, as KF16.

    send: hand a command to the link, now or never. commanded: hear of each command that was sent. record: keep a line
    of the decision log. report: tell people of a fault, or that it is over. path: the site file, for messages. peer:
    the other edge server of a pair; defers: whether it is to be let go first.
    beat: called with each tick. guide: what may propose in a controller's place. mode: of an intersection, at the
    start; set_mode changes it. show: what people see beside the commands.
    """

    def __init__(
        self,
        site: Site,
        identity: Identity,
        send: Send,
        *,
        record: Callable[[Record], None],
        report: Callable[[SignalFault], None],
        commanded: Callable[[SignalCommand], None] = lambda _: None,
        path: str = "site.toml",
        peer: DeviceId | None = None,
        defers: Callable[[], bool] = lambda: False,
        beat: Callable[[], None] = lambda: None,
        guide: Guide | None = None,
        mode: Callable[[IntersectionId], Mode] = lambda _: "act",
        show: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._identity = identity
        self._mode = mode
        self._show = show
        self._guide = guide
        self._send = send
        self._record = record
        self._report = report
        self._commanded = commanded
        self._peer = peer
        self._defers = defers
        self._beat = beat
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._junctions: dict[IntersectionId, Junction] = {}
        self._watching: dict[ApproachId, IntersectionId] = {}
        self._approaches: dict[ApproachId, ApproachLayout] = {}
        self._sights: dict[ApproachId, Sight] = {}
        wrong = faults(site)
        if wrong:
            unsafe = SiteUnsafe(path=path, count=len(wrong), detail=f"{wrong[0].where}: {wrong[0].text}")
            self._report(SignalFault("site-unsafe", site.id, "critical", unsafe))
        else:
            self._take_up(site)

    def _take_up(self, site: Site) -> None:
        now_ms = self._identity.clock.monotonic_ms()
        for intersection, layout in layouts(site).items():
            decide = controller(layout.control)
            self._junctions[intersection] = Junction(
                layout, decide, self._identity.device, now_ms, self._peer, self._guide, self._mode(intersection)
            )
            self._approaches.update(layout.downstream)
            self._watching.update((approach.id, intersection) for approach in layout.approaches)
        self._sights = {approach: Sight(now_ms) for approach in self._approaches}

    def handle(self, event: Event) -> None:
        """Take an event of the edge's bus; history, and whatever is not about signals, is passed over."""
        if isinstance(event, ObservationReceived) and event.live:
            self.see(event.observation, event.received_mono_ms - event.age_ms)
        elif isinstance(event, HeartbeatReceived):
            self.hear(event.heartbeat, event.received_mono_ms)

    def see(self, observation: Observation, seen_ms: int) -> None:
        """A live observation; seen_ms: when it was made, on the edge's monotonic clock."""
        approach = self._approaches.get(observation.approach)
        if approach is None:
            return
        with self._lock:
            self._sights[approach.id] = self._sights[approach.id].after(observation, approach, seen_ms)
            junction = self._junctions.get(self._watching.get(approach.id, IntersectionId("")))
            if junction is not None:
                self._carry_out(junction, junction.decide(self._sights, self._now_ms(), urgent=True))

    def hear(self, heartbeat: Heartbeat, heard_ms: int) -> None:
        """A heartbeat; heard_ms: when it came in, on the edge's monotonic clock."""
        junction = self._junctions.get(heartbeat.intersection)
        if junction is None or junction.layout.device != heartbeat.source:
            log.warning("heartbeat of no controller here", source=heartbeat.source, of=heartbeat.intersection)
            return
        with self._lock:
            self._carry_out(junction, junction.hear(heartbeat, self._sights, heard_ms, defers=self._defers()))

    def tick(self) -> None:
        """Decide everywhere: what is called every 500 ms."""
        with self._lock:
            for junction in self._junctions.values():
                self._carry_out(junction, junction.decide(self._sights, self._now_ms(), urgent=False))

    def nudge(self, intersection: IntersectionId) -> None:
        """Decide at one intersection now: something about it has changed."""
        junction = self._junctions.get(intersection)
        if junction is not None:
            with self._lock:
                self._carry_out(junction, junction.decide(self._sights, self._now_ms(), urgent=True))

    def standing(self, intersection: IntersectionId) -> Standing:
        """Whether this edge server steers an intersection by itself: idle where its mode is lower than act, unheard
        where none of that name is steered here."""
        junction = self._junctions.get(intersection)
        if junction is None:
            return "unheard"
        return junction.lease.standing if junction.mode == "act" else "idle"

    def set_mode(self, intersection: IntersectionId, setting: Setting) -> None:
        """What may come of decisions at an intersection from now on."""
        junction = self._junctions.get(intersection)
        if junction is not None:
            with self._lock:
                self._carry_out(junction, junction.set_mode(setting.mode))
        self._show(ModeChanged(intersection=intersection, setting=setting))

    def would_grant(self, intersection: IntersectionId) -> None:
        """Where it is only watched, pre-emption or priority would have been granted."""
        junction = self._junctions.get(intersection)
        if junction is not None and junction.mode != "act":
            with self._lock:
                junction.would_grant()

    def take_tallies(self) -> Taken:
        """What shadowing has counted since this was asked last, with the name of our controller."""
        with self._lock:
            return self._tallies(Junction.take_tally)

    def peek_tallies(self) -> Taken:
        """The same, and it goes on being counted."""
        with self._lock:
            return self._tallies(lambda junction: copy.deepcopy(junction.tally))

    def _tallies(self, of: Callable[[Junction], Tally | None]) -> Taken:
        found = ((place, junction.layout.control, of(junction)) for place, junction in self._junctions.items())
        return {place: (control, tally) for place, control, tally in found if tally is not None}

    def confirm(self, intersection: IntersectionId, advice: str) -> None:
        """Command what is proposed to operators. Raises NotKnown (KF92), AdviceGone (KF306)."""
        with self._lock:
            junction = self._junction(intersection)
            now_ms = self._now_ms()
            self._carry_out(junction, junction.confirm(advice, now_ms))
            self._carry_out(junction, junction.decide(self._sights, now_ms, urgent=True))

    def proposals(self) -> dict[IntersectionId, Proposed | None]:
        """What is proposed to operators at each intersection."""
        with self._lock:
            return {place: self._proposed(junction.advice) for place, junction in self._junctions.items()}

    def decline(self, intersection: IntersectionId, advice: str) -> None:
        """Propose it no more for a while, or end what was confirmed. Raises NotKnown (KF92), AdviceGone (KF306)."""
        with self._lock:
            junction = self._junction(intersection)
            self._carry_out(junction, junction.decline(advice, self._now_ms()))

    def shown(self, intersection: IntersectionId) -> tuple[Layout, View | None] | None:
        """An intersection, and what its controller shows now: no view of one that has not been heard for a while."""
        junction = self._junctions.get(intersection)
        if junction is None:
            return None
        view = junction.view
        heard = view is not None and self._now_ms() - view.heard_ms <= HEARTBEAT_MAX_AGE_MS
        return junction.layout, view if heard else None

    def sights(self) -> Mapping[ApproachId, Sight]:
        """What was seen last of every approach."""
        with self._lock:
            return dict(self._sights)

    def take_over(self, intersection: IntersectionId) -> None:
        """Steer an intersection although another edge server does, because a person said so."""
        with self._lock:
            self._junctions[intersection].take_over()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="signals-tick", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop deciding; the controllers' leases lapse and they return to their own plans."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.wait(TICK_MS / 1000):
            self._beat()
            try:
                self.tick()
            except Exception:
                log.exception("tick failed")

    def _junction(self, intersection: IntersectionId) -> Junction:
        junction = self._junctions.get(intersection)
        if junction is None:
            raise NotKnown(kind="intersection", name=intersection[:63])
        return junction

    def _now_ms(self) -> int:
        return self._identity.clock.monotonic_ms()

    def _carry_out(self, junction: Junction, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Order():
                    self._dispatch(junction, effect)
                case SignalFault():
                    self._report(effect)
                case Record():
                    self._record(effect)
                case Would():
                    self._show(
                        WouldCommand(
                            intersection=effect.intersection,
                            controller=effect.controller,
                            phases=effect.phases,
                            reason=effect.reason,
                            overruled=effect.overruled,
                            agrees=effect.agrees,
                            at_ms=self._identity.clock.wall_ms(),
                        )
                    )
                case Advised():
                    self._show(AdviceChanged(intersection=effect.intersection, proposal=self._proposed(effect.advice)))

    def _proposed(self, one: Advice | None) -> Proposed | None:
        if one is None:
            return None
        return Proposed(
            id=one.id,
            stage=one.wish.stage,
            phases=one.wish.phases,
            controller=one.wish.controller,
            reason=one.wish.reason,
            ends_ms=self._identity.clock.wall_ms() + one.ends_ms - self._now_ms(),
            confirmed=one.confirmed_ms is not None,
        )

    def _dispatch(self, junction: Junction, order: Order) -> None:
        safe = order.command
        approaches = junction.layout.approaches
        command = SignalCommand(
            **self._identity.live(),
            intersection=safe.intersection,
            phases=safe.phases,
            cuts_walk=safe.cuts_walk,
            heartbeat=order.heartbeat,
            heartbeat_boot=order.heartbeat_boot,
            lease_ms=order.lease_ms,
            epoch=order.epoch,
            controller=safe.controller,
            reason=safe.reason,
            newest_capture_ms=max(self._sights[one.id].captured_ms for one in approaches),
        )
        if self._send(junction.layout.device, command):
            junction.sent(order, command.id, self._now_ms())
            self._commanded(command)
