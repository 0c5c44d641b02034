"""The road upstream of a stop line, across edges: what a camera above it looks along."""

from __future__ import annotations

from dataclasses import dataclass

from sim_devices.sumo.net import Net

REACH_M = 150.0


@dataclass(frozen=True)
class Stretch:
    """A piece of a lane that a camera sees: from from_m on along it. shares: of its vehicles, by stop-line lane."""

    lane: str
    from_m: float
    shares: tuple[tuple[int, float], ...]


def stretches(net: Net, stop_lanes: tuple[str, ...], reach_m: float) -> tuple[Stretch, ...]:
    """All that lies within reach_m upstream of a stop line, across edges, up to the next signal. Where lanes branch, a
    vehicle counts in equal shares for each branch: a camera does not know where it is going."""
    found: list[Stretch] = []
    frontier = {lane: (0.0, {at: 1.0}) for at, lane in enumerate(stop_lanes)}
    seen = set(frontier)
    while frontier:
        further: dict[str, tuple[float, dict[int, float]]] = {}
        for lane, (gone_m, shares) in frontier.items():
            length_m = net.lanes[lane].length_m
            left_m = reach_m - gone_m
            found.append(Stretch(lane, max(0.0, length_m - left_m), tuple(sorted(shares.items()))))
            if length_m >= left_m:
                continue
            for way in net.into.get(lane, ()):
                if way.signal is not None or way.from_lane[0] == ":" or way.from_lane in seen:
                    continue
                branches = len(net.ways[way.from_lane])
                begun_m, own = further.get(way.from_lane, (gone_m + length_m + way.length_m, {}))
                for at, share in shares.items():
                    own[at] = own.get(at, 0.0) + share / branches
                further[way.from_lane] = (begun_m, own)
        seen |= further.keys()
        frontier = further
    return tuple(found)


def reach_m(net: Net, stop_lanes: tuple[str, ...]) -> float:
    """How far a camera sees upstream of these lanes before the next signal or the end of the road, at most REACH_M."""
    longest = 0.0
    frontier = dict.fromkeys(stop_lanes, 0.0)
    seen = set(frontier)
    while frontier:
        further: dict[str, float] = {}
        for lane, gone_m in frontier.items():
            end_m = gone_m + net.lanes[lane].length_m
            longest = max(longest, end_m)
            for way in net.into.get(lane, ()) if end_m < REACH_M else ():
                if way.signal is None and way.from_lane[0] != ":" and way.from_lane not in seen:
                    further[way.from_lane] = max(further.get(way.from_lane, 0.0), end_m + way.length_m)
        seen |= further.keys()
        frontier = further
    return min(REACH_M, longest)
