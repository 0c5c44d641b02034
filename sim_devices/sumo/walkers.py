"""Push buttons: whoever waits to walk over a signalised crossing calls for its phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from protocol.ids import PhaseId
from sim_devices.sumo.signal_loop import SignalLoop


class Walkers:
    def __init__(self, api: Any, loops: Sequence[SignalLoop]) -> None:
        self._api = api
        self._buttons: dict[tuple[str, str], list[tuple[SignalLoop, PhaseId]]] = {}
        for loop in loops:
            for group in loop.one.groups:
                for way in (way for link in group.links if group.pedestrian for way in loop.one.ways[link]):
                    crossing = _edge(way.to_lane)
                    # People come to a crossing from either side: from the way's beginning, or from where it leads.
                    ahead = {_edge(one[0]) for one in api.lane.getLinks(way.to_lane)}
                    for side in {_edge(way.from_lane), *ahead}:
                        self._buttons.setdefault((side, crossing), []).append((loop, group.phase))

    def call(self, now_ms: int) -> None:
        if not self._buttons or not self._api.person.getIDCount():
            return
        person, edge = self._api.person, self._api.edge
        waiting: dict[str, set[str]] = {}
        for side, crossing in self._buttons:
            if side not in waiting:
                waiting[side] = {person.getNextEdge(one) for one in edge.getLastStepPersonIDs(side)}
            if crossing in waiting[side]:
                for loop, phase in self._buttons[side, crossing]:
                    loop.call(phase, now_ms)


def _edge(lane: str) -> str:
    return lane.rsplit("_", 1)[0]
