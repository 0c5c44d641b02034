"""How a run went for each vehicle and each walker, out of SUMO's tripinfo file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from msgspec import Struct


class TripFigures(Struct, frozen=True, kw_only=True):
    """Means over every vehicle that was to depart: departure delay counts, and those still on their way or waiting to
    enter count with their time so far. Emergency vehicles stand apart; None without any."""

    vehicles: int
    arrived: int
    mean_travel_time_s: float
    p95_travel_time_s: float
    mean_time_loss_s: float
    mean_waiting_s: float
    ev_vehicles: int
    ev_travel_time_s: float | None
    ev_time_loss_s: float | None
    ev_stops: float | None
    pedestrian_wait_p95_s: float | None


def read_trips(path: Path, emergency: str, since_s: float = float("-inf")) -> TripFigures:
    """emergency: vehicle ids that begin so are emergency vehicles. since_s: who was to depart before is left out."""
    usual: list[tuple[float, float, float]] = []
    urgent: list[tuple[float, float, float]] = []
    walked: list[float] = []
    arrived = 0
    for _, element in ElementTree.iterparse(path):  # noqa: S314 - SUMO wrote it for us just now
        if element.tag == "tripinfo":
            a = element.attrib
            delay_s = max(0.0, float(a["departDelay"]))
            begun = float(a["depart"]) >= 0
            if begun and float(a["depart"]) - delay_s < since_s:
                element.clear()
                continue
            own_s = float(a["duration"]) if begun else 0.0
            loss_s = float(a["timeLoss"]) if begun else 0.0
            waited_s = float(a["waitingTime"]) if begun else 0.0
            arrived += float(a["arrival"]) >= 0
            stops = float(a["waitingCount"]) if begun else 0.0
            if a["id"].startswith(emergency):
                urgent.append((own_s + delay_s, loss_s + delay_s, stops))
            else:
                usual.append((own_s + delay_s, loss_s + delay_s, waited_s))
            element.clear()
        elif element.tag == "personinfo":
            walked.append(float(element.get("waitingTime", 0.0)))
            element.clear()
    every = np.array([one[0] for one in usual] or [0.0])
    return TripFigures(
        vehicles=len(usual) + len(urgent),
        arrived=arrived,
        mean_travel_time_s=float(every.mean()),
        p95_travel_time_s=float(np.percentile(every, 95)),
        mean_time_loss_s=_mean(usual, 1) or 0.0,
        mean_waiting_s=_mean(usual, 2) or 0.0,
        ev_vehicles=len(urgent),
        ev_travel_time_s=_mean(urgent, 0),
        ev_time_loss_s=_mean(urgent, 1),
        ev_stops=_mean(urgent, 2),
        pedestrian_wait_p95_s=float(np.percentile(walked, 95)) if walked else None,
    )


def _mean(rows: list[tuple[float, float, float]], column: int) -> float | None:
    return sum(row[column] for row in rows) / len(rows) if rows else None
