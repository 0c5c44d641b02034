"""The grid scenario: nine junctions 250 m apart, protected and permissive left turns, and an hour of mixed traffic; and
the junction scenario, one of these alone.

Vehicles enter and leave at the rim, by Poisson arrivals whose rate is 1.3 times the mean in the middle half hour. Each
takes one of the shortest ways, drawn evenly at each junction.
"""

from __future__ import annotations

import subprocess
from collections import deque
from pathlib import Path

import numpy as np

from sim_devices.city.net import sumo_home
from sim_devices.errors import ScenarioStopped
from sim_devices.sumo.emergency import PREFIX
from sim_devices.sumo.net import Net, read_net

COLUMNS = 3
DEMANDS_VEH_H = {"light": 2600.0, "heavy": 4200.0, "saturated": 6000.0}
HOUR_S = 3600.0
# Of the middle half hour; the junction has none.
PEAK = 1.3
# The same with one junction and four roads: `junction`.
JUNCTION_VEH_H = {"light": 1000.0, "heavy": 3000.0}
# Whoever is still there an hour and a half after the first counts with the time so far.
END_S = 5400.0
WALKERS_PER_H = 600.0
MIX = (("car", 0.80), ("bus", 0.04), ("truck", 0.06), ("moto", 0.10))
TYPES = """  <vType id="car" vClass="passenger"/>
  <vType id="bus" vClass="bus"/>
  <vType id="truck" vClass="truck"/>
  <vType id="moto" vClass="motorcycle"/>
  <vType id="kinflow-ev" vClass="emergency" speedFactor="1.2" speedDev="0"/>
"""


def make_grid(folder: Path, *, crossings: bool, columns: int = COLUMNS) -> Path:
    """The net file. Raises SumoMissing (KF95) or ScenarioStopped (KF340)."""
    path = folder / f"grid-{columns}{'-crossings' if crossings else ''}.net.xml"
    command = [
        str(sumo_home() / "bin" / "netgenerate"), "--grid", "--grid.number", str(columns), "--grid.length", "250",
        "--grid.attach-length", "250", "--default.lanenumber", "2", "--turn-lanes", "1", "--turn-lanes.length", "60",
        "--default-junction-type", "traffic_light", "--tls.left-green.time", "12", "--tls.cycle.time", "90",
        "--tls.allred.time", "1", "--no-turnarounds", "true", "--no-warnings", "true", "--output-file", str(path),
    ]  # fmt: skip
    if crossings:
        # Time to walk off 16 m at 1.2 m/s, less yellow and all-red.
        command += ["--sidewalks.guess", "true", "--crossings.guess", "true", "--tls.crossing-clearance.time", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode or not path.is_file():
        raise ScenarioStopped(time_s=0, detail=done.stderr.strip()[:300])
    return path


def write_demand(
    net_path: Path, path: Path, *, rate_veh_h: float, seed: int, ev_per_hour: float, walkers: bool = False,
    peak: float = PEAK,
) -> None:  # fmt: skip
    """An hour of trips, in the order of their departure. The same figures give the same file."""
    net = read_net(net_path)
    random = np.random.default_rng((seed, 0x6D))
    ways = _Ways(net)
    lines: list[tuple[float, str]] = []
    for at, depart_s in enumerate(_arrivals(random, rate_veh_h, peak)):
        kind = str(random.choice([name for name, _ in MIX], p=[share for _, share in MIX]))
        lines.append((depart_s, _vehicle(f"v{at}", kind, depart_s, ways.draw(random))))
    # Emergency vehicles and walkers have draws of their own: with and without them the others are the same.
    urgent = np.random.default_rng((seed, 0xE5))
    for at, depart_s in enumerate(_arrivals(urgent, ev_per_hour)):
        lines.append((depart_s, _vehicle(f"{PREFIX}{at}", "kinflow-ev", depart_s, ways.draw(urgent))))
    walking = np.random.default_rng((seed, 0x9E))
    for at, depart_s in enumerate(_arrivals(walking, WALKERS_PER_H if walkers else 0.0)):
        begin, end = ways.ends(walking)
        person = f'  <person id="p{at}" depart="{depart_s:.2f}"><walk from="{begin}" to="{end}"/></person>'
        lines.append((depart_s, person))
    text = "\n".join(line for _, line in sorted(lines))
    path.write_text(f"<routes>\n{TYPES}{text}\n</routes>\n", "utf-8")


def _arrivals(random: np.random.Generator, rate_per_h: float, peak: float = PEAK) -> list[float]:
    """Times within the hour: the middle half at peak times the mean rate, the rest so that the mean is kept."""
    found = []
    rest = 2.0 - peak
    for begin_s, end_s, share in ((0.0, 900.0, rest), (900.0, 2700.0, peak), (2700.0, HOUR_S, rest)):
        count = int(random.poisson(rate_per_h * share * (end_s - begin_s) / HOUR_S))
        found += sorted(float(one) for one in random.uniform(begin_s, end_s, count))
    return found


def _vehicle(name: str, kind: str, depart_s: float, edges: tuple[str, ...]) -> str:
    return (
        f'  <vehicle id="{name}" type="{kind}" depart="{depart_s:.2f}" departLane="best" departSpeed="max">'
        f'<route edges="{" ".join(edges)}"/></vehicle>'
    )


class _Ways:
    """Shortest ways from rim to rim."""

    def __init__(self, net: Net) -> None:
        self._ends = net.ends
        self._after: dict[str, list[str]] = {}
        before: dict[str, list[str]] = {}
        edges = {lane.edge for lane in net.lanes.values() if lane.edge[0] != ":"}
        for ways in net.ways.values():
            for way in ways:
                one, other = net.lanes[way.from_lane].edge, net.lanes[way.to_lane].edge
                if one in edges and other in edges and other not in self._after.setdefault(one, []):
                    self._after[one].append(other)
                    before.setdefault(other, []).append(one)
        self._entries = sorted(edge for edge in edges if edge not in before)
        self._exits = sorted(edge for edge in edges if edge not in self._after)
        self._far = {exit_: _distances(before, exit_) for exit_ in self._exits}

    def ends(self, random: np.random.Generator) -> tuple[str, str]:
        while True:
            begin = self._entries[int(random.integers(len(self._entries)))]
            end = self._exits[int(random.integers(len(self._exits)))]
            # Back to where one came from would be a U-turn.
            if begin in self._far[end] and self._ends[begin][0] != self._ends[end][1]:
                return begin, end

    def draw(self, random: np.random.Generator) -> tuple[str, ...]:
        at, end = self.ends(random)
        path = [at]
        while at != end:
            far = self._far[end]
            nearer = [edge for edge in self._after[at] if far.get(edge, 1 << 30) < far[at]]
            at = nearer[int(random.integers(len(nearer)))]
            path.append(at)
        return tuple(path)


def _distances(before: dict[str, list[str]], end: str) -> dict[str, int]:
    found = {end: 0}
    queue = deque([end])
    while queue:
        at = queue.popleft()
        for edge in before.get(at, ()):
            if edge not in found:
                found[edge] = found[at] + 1
                queue.append(edge)
    return found
