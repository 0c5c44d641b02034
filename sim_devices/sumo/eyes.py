"""What a run's controllers see by: the truth, a simulation of cameras' figures, or cameras themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_server.signals.layout import ApproachLayout, layouts
from edge_server.signals.sight import Sight
from protocol.ids import ApproachId
from sim_devices.city.view import ApproachView
from sim_devices.errors import CamerasForOneSignal
from sim_devices.sumo.approach_views import views_of, watched
from sim_devices.sumo.belief import Belief, BeliefFigures
from sim_devices.sumo.net import Net
from sim_devices.sumo.sensing import Sensing
from sim_devices.sumo.signals import Steered
from sim_devices.sumo.site import make_site

if TYPE_CHECKING:
    from sim_devices.sumo.run import RunSpec
    from sim_devices.sumo.watching import Watching


@dataclass(frozen=True)
class Eyes:
    """steered: the intersections, with what is seen of their approaches. warm_ms: when what is believed begins to
    count."""

    steered: list[Steered]
    sensing: Sensing | Watching
    judged: Belief | None
    warm_ms: int

    def step(self, now_ms: int) -> None:
        self.sensing.step(now_ms)

    def look(self, sights: dict[ApproachId, Sight], now_ms: int) -> None:
        """Put what is known by now into sights."""
        sights.update(self.sensing.look(now_ms))
        if self.judged is not None and now_ms >= self.warm_ms:
            self.judged.note(sights, now_ms)

    def belief(self) -> BeliefFigures | None:
        return None if self.judged is None else self.judged.figures()


def open_eyes(spec: RunSpec, api: Any, net: Net, steered: list[Steered], now_ms: int) -> Eyes:
    """Raises CamerasForOneSignal (KF307), ApproachUnwatchable (KF308) or WeatherUnknown (KF309)."""
    warm_ms = now_ms + round(spec.warm_up_s * 1000)
    if spec.sensing not in ("truth-in-view", "camera"):
        dead = _dead(steered, spec)
        plain = Sensing(
            net, tuple(steered), api, spec.sensing, seed=spec.seed, loss=spec.loss, delay_ms=spec.delay_ms, dead=dead
        )
        return Eyes(steered, plain, None, warm_ms)
    if len(steered) > 1:
        raise CamerasForOneSignal(count=len(steered))
    views = views_of(net, steered[0], api)
    steered = [watched(steered[0], views)]
    dead, in_view_m = _dead(steered, spec), {name: view.road.visible_length_m for name, view in views.items()}

    def exact(*, loss: float, delay_ms: int, dead: frozenset[ApproachId]) -> Sensing:
        return Sensing(
            net, tuple(steered), api, "truth-in-view", seed=spec.seed, loss=loss, delay_ms=delay_ms, dead=dead,
            in_view_m=in_view_m,
        )  # fmt: skip

    if spec.sensing == "truth-in-view":
        return Eyes(steered, exact(loss=spec.loss, delay_ms=spec.delay_ms, dead=dead), None, warm_ms)
    live = {approach: view for approach, view in views.items() if approach not in dead}
    site = make_site(net, steered)
    watching = _watching(spec, api, layouts(site)[site.intersections[0].id].approaches, live, now_ms)
    return Eyes(steered, watching, Belief(exact(loss=0.0, delay_ms=0, dead=dead)), warm_ms)


def _watching(
    spec: RunSpec,
    api: Any,
    approaches: tuple[ApproachLayout, ...],
    views: dict[ApproachId, ApproachView],
    now_ms: int,
) -> Watching:
    # What looks at pictures costs memory and half a second, which nobody else pays.
    from sim_devices.sumo.rendered import OnTheRoad, cameras, weather_of  # noqa: PLC0415
    from sim_devices.sumo.watching import LATE_MS, Watching  # noqa: PLC0415

    return Watching(
        cameras(views, weather_of(spec.weather), spec.seed), approaches, OnTheRoad(api), now_ms,
        seed=spec.seed, picture_ms=spec.picture_ms, detect_every=spec.detect_every, late_ms=LATE_MS + spec.delay_ms,
        loss=spec.loss,
    )  # fmt: skip


def _dead(steered: Sequence[Steered], spec: RunSpec) -> frozenset[ApproachId]:
    """One camera of each intersection in this share of them."""
    random = np.random.default_rng((spec.seed, 0xDD))
    return frozenset(
        tuple(one.stop_lanes)[int(random.integers(len(one.stop_lanes)))]
        for one in steered
        if one.stop_lanes and random.random() < spec.dead_share
    )
