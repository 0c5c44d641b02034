"""A SUMO net file as far as signals need it: lanes, ways through junctions, and which of them cross."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from sim_devices.errors import NetUnreadable


@dataclass(frozen=True)
class Lane:
    id: str
    edge: str
    length_m: float
    speed_mps: float
    width_m: float


@dataclass(frozen=True)
class Way:
    """One connection. place: its junction and its index there among the ways that can cross; None where the file has
    none. signal: its traffic light's id and index there. length_m: through the junction."""

    from_lane: str
    to_lane: str
    signal: tuple[str, int] | None
    place: tuple[str, int] | None
    crossing: bool
    length_m: float


@dataclass(frozen=True)
class Net:
    """foes, yields: for each place, the indices at the same junction that it crosses or merges with, and those that it
    gives way to. ways: by the lane that they begin on; into: by the one that they end on. ends: of each road, the
    junctions that it leads from and to."""

    path: Path
    lanes: dict[str, Lane]
    ways: dict[str, list[Way]]
    into: dict[str, list[Way]]
    foes: dict[tuple[str, int], frozenset[int]]
    yields: dict[tuple[str, int], frozenset[int]]
    signals: dict[str, list[Way]] = field(default_factory=dict)
    positions: dict[str, tuple[float, float]] = field(default_factory=dict)
    ends: dict[str, tuple[str, str]] = field(default_factory=dict)

    def crosses(self, one: Way, other: Way) -> bool:
        """False for ways at two junctions: the net knows of no conflict between them."""
        return self._related(self.foes, one, other) or self._related(self.foes, other, one)

    def gives_way(self, one: Way, other: Way) -> bool:
        return self._related(self.yields, one, other)

    @staticmethod
    def _related(table: dict[tuple[str, int], frozenset[int]], one: Way, other: Way) -> bool:
        if one.place is None or other.place is None or one.place[0] != other.place[0]:
            return False
        return other.place[1] in table.get(one.place, ())


def read_net(path: Path) -> Net:
    """Plain or gzipped. Raises NetUnreadable (KF341)."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            return _read(path, ElementTree.parse(stream).getroot())  # noqa: S314 - SUMO itself has loaded this file
    except (OSError, EOFError, ElementTree.ParseError, KeyError, ValueError, IndexError) as error:
        raise NetUnreadable(path=path, detail=str(error)[:300]) from error


def _read(path: Path, root: ElementTree.Element) -> Net:
    lanes = {lane.id: lane for edge in root.iter("edge") for lane in _lanes(edge)}
    inner: dict[str, tuple[str, int]] = {}
    foes: dict[tuple[str, int], frozenset[int]] = {}
    yields: dict[tuple[str, int], frozenset[int]] = {}
    positions = {}
    for junction in root.iter("junction"):
        name = junction.attrib["id"]
        if junction.get("type") == "internal":
            continue
        positions[name] = (float(junction.attrib["x"]), float(junction.attrib["y"]))
        inner.update((lane, (name, at)) for at, lane in enumerate(junction.get("intLanes", "").split()))
        for request in junction.iter("request"):
            place = (name, int(request.attrib["index"]))
            foes[place] = _bits(request.attrib["foes"])
            yields[place] = _bits(request.attrib["response"])
    found = [one.attrib for one in root.iter("connection")]
    # A left turn that waits within the junction is two internal lanes: only the last one is listed there.
    onward = {f"{one['from']}_{one['fromLane']}": one["via"] for one in found if one["from"][0] == ":" and "via" in one}
    ends = {
        one.attrib["id"]: (one.attrib["from"], one.attrib["to"]) for one in root.iter("edge") if "from" in one.attrib
    }
    net = Net(path, lanes, {}, {}, foes, yields, {}, positions, ends)
    for one in found:
        way = _way(one, lanes, inner, onward)
        net.ways.setdefault(way.from_lane, []).append(way)
        net.into.setdefault(way.to_lane, []).append(way)
        if way.signal is not None:
            net.signals.setdefault(way.signal[0], []).append(way)
    return net


def _way(one: dict[str, str], lanes: dict[str, Lane], inner: dict[str, tuple[str, int]], onward: dict[str, str]) -> Way:
    to_lane = f"{one['to']}_{one['toLane']}"
    crossing = to_lane in inner and "via" not in one
    via, length_m = one.get("via"), 0.0
    place = inner.get(to_lane) if crossing else None
    if crossing:
        length_m = lanes[to_lane].length_m
    while via is not None:
        length_m += lanes[via].length_m if via in lanes else 0.0
        place = inner.get(via, place)
        via = onward.get(via)
    signal = (one["tl"], int(one["linkIndex"])) if "tl" in one and "linkIndex" in one else None
    return Way(f"{one['from']}_{one['fromLane']}", to_lane, signal, place, crossing, length_m)


def _lanes(edge: ElementTree.Element) -> Iterator[Lane]:
    for lane in edge.iter("lane"):
        a = lane.attrib
        width_m = float(a.get("width", "3.2"))
        yield Lane(a["id"], edge.attrib["id"], float(a["length"]), float(a["speed"]), width_m if width_m > 0 else 3.2)


def _bits(text: str) -> frozenset[int]:
    return frozenset(at for at, bit in enumerate(reversed(text)) if bit == "1")
