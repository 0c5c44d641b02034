"""The street network as netconvert wrote it: lanes, signal links and which links can't be green together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from sim_devices.errors import CityBuildFailed

Point = tuple[float, float]


@dataclass(frozen=True)
class NetLane:
    """shape: (east, north) of its middle line, in metres, with the traffic."""

    id: str
    index: int
    width_m: float
    speed_mps: float
    length_m: float
    shape: tuple[Point, ...]


@dataclass(frozen=True)
class Link:
    """One way through a signalised junction. index: its place in the signal's state. turn: `s`, `l` or `r`."""

    junction: str
    index: int
    from_edge: str
    from_lane: int
    to_edge: str
    turn: str
    length_m: float


@dataclass(frozen=True)
class Network:
    """lanes: of each edge, from the kerb. foes: for each junction, the pairs of links whose ways cross or merge."""

    path: Path
    positions: dict[str, Point]
    lanes: dict[str, tuple[NetLane, ...]]
    links: dict[str, tuple[Link, ...]]
    foes: dict[str, frozenset[frozenset[int]]]


def read_network(path: Path) -> Network:
    """Raises CityBuildFailed (KF96) for a file that is damaged: SUMO itself would crash on it."""
    try:
        return _read(path)
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise CityBuildFailed(detail=f"{path.name} can't be read ({error})"[:300], folder=path.parent) from error


def _read(path: Path) -> Network:
    root = ElementTree.parse(path).getroot()  # noqa: S314 - a file that netconvert made for us
    lanes: dict[str, tuple[NetLane, ...]] = {}
    inner_m: dict[str, float] = {}
    for edge in root.iter("edge"):
        found = tuple(_lane(one) for one in edge.iter("lane"))
        if edge.get("function") == "internal":
            inner_m.update((one.id, one.length_m) for one in found)
        else:
            lanes[edge.attrib["id"]] = found
    links: dict[str, list[Link]] = {}
    for one in root.iter("connection"):
        if "tl" in one.attrib:
            a = one.attrib
            link = Link(
                a["tl"],
                int(a["linkIndex"]),
                a["from"],
                int(a["fromLane"]),
                a["to"],
                a["dir"].lower(),
                inner_m[a["via"]],
            )
            links.setdefault(link.junction, []).append(link)
    positions, foes = {}, {}
    for junction in root.iter("junction"):
        name = junction.attrib["id"]
        if junction.get("type") == "traffic_light":
            positions[name] = (float(junction.attrib["x"]), float(junction.attrib["y"]))
            foes[name] = frozenset(
                frozenset((int(request.attrib["index"]), other))
                for request in junction.iter("request")
                for other, bit in enumerate(reversed(request.attrib["foes"]))
                if bit == "1"
            )
    ordered = {name: tuple(sorted(some, key=lambda link: link.index)) for name, some in links.items()}
    return Network(path, positions, lanes, ordered, foes)


def _lane(element: ElementTree.Element) -> NetLane:
    a = element.attrib
    shape = tuple((float(x), float(y)) for x, y in (point.split(",")[:2] for point in a["shape"].split()))
    return NetLane(a["id"], int(a["index"]), float(a.get("width", "3.2")), float(a["speed"]), float(a["length"]), shape)
