"""The shadow report: a real controller and ours, side by side, from what was counted."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from edge_server.signals.shadow.book import Row
from edge_server.signals.shadow.tally import Side, Tally
from protocol.ids import IntersectionId, PhaseId

HOUR_MS = 3_600_000
MODEL = (
    "Both sides' queues are modelled alike, on the arrivals that cameras saw: a point queue on each lane, 0.5 vehicles"
    " a second after 2 s of green. Ours steers lamps in thought. Left out: what its exits can't take, what other"
    " signals would send, turns that give way, vehicles out of sight, pre-emption."
)


class PhaseReport(BaseModel):
    """green_share: of the compared time. mean_green_s: None where it never began."""

    phase: int
    green_share: float
    greens: int
    mean_green_s: float | None


class SideReport(BaseModel):
    """cycle_s: from one beginning of a vehicle phase to its next, on average. delay_s: modelled waiting of a vehicle,
    on average."""

    phases: list[PhaseReport]
    cycle_s: float | None
    queue_vehicle_s: float
    delay_s: float | None


class HourReport(BaseModel):
    hour_ms: int
    compared_s: float
    agreement: float | None
    arrived: float
    real_delay_s: float | None
    our_delay_s: float | None


class Overruled(BaseModel):
    reason: str
    count: int


class ShadowReport(BaseModel):
    """agreement: the share of the compared time in which ours would have commanded what the real controller showed or
    headed for. delay_ratio: ours to real, by the model. seen_share: of lane time. model_ratio: the real side's modelled
    queue to what was seen to stand; far from 1 the model says little here."""

    intersection: str
    control: str
    compared_s: float
    agreement: float | None
    overruled_share: float | None
    overruled: list[Overruled]
    would_grant: int
    seen_share: float | None
    arrived: float
    real: SideReport
    ours: SideReport
    delay_ratio: float | None
    model_ratio: float | None
    hours: list[HourReport]


class ShadowReports(BaseModel):
    from_ms: int
    to_ms: int
    model: str
    intersections: list[ShadowReport]


def report(rows: Iterable[Row], from_ms: int, to_ms: int) -> ShadowReports:
    """Each intersection that was shadowed, in the order of its first row. Another controller of ours in between (the
    site file was changed) is counted with the latest."""
    whole: dict[IntersectionId, Tally] = {}
    hours: dict[IntersectionId, dict[int, Tally]] = {}
    control: dict[IntersectionId, str] = {}
    for row in rows:
        place = row.intersection
        control[place] = row.control
        whole.setdefault(place, Tally()).add(row.tally)
        hours.setdefault(place, {}).setdefault(row.from_ms // HOUR_MS * HOUR_MS, Tally()).add(row.tally)
    return ShadowReports(
        from_ms=from_ms,
        to_ms=to_ms,
        model=MODEL,
        intersections=[_of(place, control[place], tally, hours[place]) for place, tally in whole.items()],
    )


def _of(place: IntersectionId, control: str, tally: Tally, hours: dict[int, Tally]) -> ShadowReport:
    real, ours = tally.real.queue_vehicle_ms, tally.ours.queue_vehicle_ms
    return ShadowReport(
        intersection=place,
        control=control,
        compared_s=tally.compared_ms / 1000,
        agreement=_share(tally.agreed_ms, tally.compared_ms),
        overruled_share=_share(tally.overruled_ms, tally.compared_ms),
        overruled=[
            Overruled(reason=reason, count=count)
            for reason, count in sorted(tally.overruled.items(), key=lambda pair: -pair[1])
        ],
        would_grant=tally.would_grant,
        seen_share=_share(tally.seen_lane_ms, tally.lane_ms),
        arrived=round(tally.arrived, 1),
        real=_side(tally.real, tally),
        ours=_side(tally.ours, tally),
        delay_ratio=_share(ours, real),
        model_ratio=_share(tally.standing_model_ms, tally.standing_vehicle_ms),
        hours=[
            HourReport(
                hour_ms=hour_ms,
                compared_s=one.compared_ms / 1000,
                agreement=_share(one.agreed_ms, one.compared_ms),
                arrived=round(one.arrived, 1),
                real_delay_s=_share(one.real.queue_vehicle_ms / 1000, one.arrived),
                our_delay_s=_share(one.ours.queue_vehicle_ms / 1000, one.arrived),
            )
            for hour_ms, one in sorted(hours.items())
        ],
    )


def _side(side: Side, tally: Tally) -> SideReport:
    phases: set[PhaseId] = {*tally.real.green_ms, *tally.ours.green_ms}
    return SideReport(
        phases=[
            PhaseReport(
                phase=int(phase),
                green_share=_share(side.green_ms.get(phase, 0), tally.compared_ms) or 0.0,
                greens=side.greens.get(phase, 0),
                mean_green_s=_share(side.green_ms.get(phase, 0) / 1000, side.greens.get(phase, 0)),
            )
            for phase in sorted(phases)
        ],
        cycle_s=_share(side.cycle_ms / 1000, side.cycles),
        queue_vehicle_s=round(side.queue_vehicle_ms / 1000, 1),
        delay_s=_share(side.queue_vehicle_ms / 1000, tally.arrived),
    )


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole > 0 else None
