"""Flows before each stop line, counted from routes: what Webster's splits are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from edge_server.signals.layout import Layout
from protocol.ids import ApproachId, LaneId
from sim_devices.sumo.net import Net
from sim_devices.sumo.signals import Steered


def lane_flows(net: Net, routes: Path) -> dict[str, float]:
    """Vehicles an hour on each lane, from vehicles whose routes stand in the file. Who may choose between lanes counts
    on each in equal shares."""
    turns: Counter[tuple[str, str]] = Counter()
    last_s = 1.0
    for vehicle in ElementTree.parse(routes).getroot().iter("vehicle"):  # noqa: S314 - a file that we wrote
        last_s = max(last_s, float(vehicle.attrib["depart"]))
        for route in vehicle.iter("route"):
            turns.update(pairwise(route.attrib["edges"].split()))
    leading: dict[tuple[str, str], set[str]] = {}
    for lane, ways in net.ways.items():
        for way in ways:
            leading.setdefault((net.lanes[lane].edge, net.lanes[way.to_lane].edge), set()).add(lane)
    found: dict[str, float] = {}
    for turn, count in turns.items():
        lanes = leading.get(turn, set())
        for lane in lanes:
            found[lane] = found.get(lane, 0.0) + count * 3600.0 / last_s / len(lanes)
    return found


def approach_flows(
    layout: Layout, flows: Mapping[str, float], steered: Iterable[Steered]
) -> dict[tuple[ApproachId, LaneId], float]:
    """The same by the names that the layout has for lanes."""
    stop_lanes = next(one.stop_lanes for one in steered if one.intersection.id == layout.intersection)
    return {
        (approach.id, lane.id): flows.get(name, 0.0)
        for approach in layout.approaches
        for lane, name in zip(approach.lanes, stop_lanes[approach.id], strict=True)
    }
