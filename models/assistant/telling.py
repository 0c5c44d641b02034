"""Sentences made from facts. Every figure in them comes from the facts that they are given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from models.assistant.naming import shown
from models.assistant.tools import Arguments, Tool
from models.assistant.world import Approach, Camera, Device, Point, Signals, Vehicle, World

OLD_S = 10.0
# More of a kind are counted, not named: nobody reads ten thousand names.
NAMED = 20
_STATUS = {
    "none": "has not been heard of yet",
    "learning": "is still learning what its empty road looks like",
    "blind": "can't be judged: its camera sees nothing",
}
_KIND = {
    "ambulance": "an ambulance",
    "police_car": "a police car",
    "fire_engine": "a fire engine",
    "emergency_other": "an emergency vehicle",
    "unknown": "an emergency vehicle of a kind that is not known",
}
_CONTROL = {
    "edge": "steered by the edge server",
    "local": "on its controller's own plan",
    "flash": "flashing",
    "unknown": "not heard of yet",
}


def approach_now(world: World, one: Approach) -> str:
    """`Mill Street, north is slow: index 0.31, queue 12 m.`"""
    if one.congestion is None or one.index is None:
        return f"{shown(one)} {_STATUS.get(one.status, 'has no figure yet')}."
    parts = [f"index {one.index:.2f}"]
    if one.queue_m is not None:
        parts.append(f"queue {one.queue_m:.0f} m")
    if one.count is not None:
        parts.append(_count(round(one.count), "vehicle"))
    if one.speed_mps is not None:
        parts.append(f"{3.6 * one.speed_mps:.0f} km/h")
    age_s = world.age_s(one.heard_ms)
    since = f" That was {ago(age_s)}." if age_s is not None and age_s > OLD_S else ""
    doubt = " Its picture is poor, so this is less sure." if one.status == "degraded" else ""
    return f"{shown(one)} is {one.congestion}: {', '.join(parts)}.{doubt}{since}"


def approach_past(one: Approach, minutes: int, points: Sequence[Point]) -> str:
    """What its index was over the last minutes, and how much of them is known."""
    known = [point for point in points if point.index is not None]
    if not known:
        return f"Nothing is known of {shown(one)} in the last {_minutes(minutes)}."
    values = [point.index for point in known if point.index is not None]
    classes = Counter(point.congestion for point in known if point.congestion is not None)
    mostly = f", mostly {classes.most_common(1)[0][0]}" if classes else ""
    covered = round((known[-1].at_ms - known[0].at_ms) / 60_000)
    short = (
        f" That is all that is known, of {_count(max(1, covered), 'minute')}." if covered < 0.8 * (minutes - 1) else ""
    )
    return (
        f"In the last {_minutes(minutes)} the index of {shown(one)} was {fmean(values):.2f} on average, between "
        f"{min(values):.2f} and {max(values):.2f}{mostly}.{short}"
    )


def signals(world: World, name: str, one: Signals) -> str:
    """Who steers, what is green, and for how long."""
    if one.control == "unknown":
        return f"The signals of {name} have not been heard of yet."
    green = [lamp for lamp in one.lamps if lamp.aspect in {"green", "walk"}]
    other = [lamp for lamp in one.lamps if lamp.aspect in {"yellow", "pedestrian-clearance"}]
    told = [f"The signals of {name} are {_CONTROL[one.control]}"]
    if one.mode:
        told[0] += f", in mode {one.mode}"
    for lamp in green:
        told.append(f"{_lamp(lamp.name, lamp.phase)} shows {lamp.aspect} since {duration(lamp.elapsed_ms / 1000)}")
    for lamp in other:
        told.append(f"{_lamp(lamp.name, lamp.phase)} shows {lamp.aspect.replace('-', ' ')}")
    if not green and not other and one.control != "flash" and one.lamps:
        told.append("everything known of it shows red")
    if one.fault:
        told.append(f"it has a fault: {one.fault}")
    age_s = world.age_s(one.heard_ms)
    if age_s is not None and age_s > OLD_S:
        told.append(f"this was heard {ago(age_s)}, what it shows now is not known")
    return _sentences(told)


def emergencies(world: World) -> str:
    told = []
    for one in world.approaches:
        for vehicle in one.vehicles:
            told.append(_vehicle(vehicle, shown(one)))
    names = {one.id: shown(one) for one in world.places}
    roads = {one.id: shown(one) for one in world.approaches}
    for claim in world.claims:
        place = names.get(claim.place, claim.place)
        has = "has the signals of" if claim.holds else "waits for the signals of"
        told.append(
            f"{claim.role.replace('_', ' ')} {has} {place}, coming by {roads.get(claim.approach, claim.approach)}"
        )
    if told:
        return _sentences(told)
    judged = [one for one in world.approaches if one.emergency is not None]
    if not world.approaches or not judged:
        return "No camera here can tell emergency vehicles, so whether there is one is not known."
    unjudged = len(world.approaches) - len(judged)
    rest = f" {unjudged} more approaches can't be judged." if unjudged > 1 else ""
    rest = " One more approach can't be judged." if unjudged == 1 else rest
    watched = "the one approach" if len(judged) == 1 else f"{len(judged)} approaches"
    return f"No emergency vehicle is seen on {watched} that can be judged.{rest}"


def device(world: World, one: Device) -> str:
    """How it is, why, and its figures."""
    told = [f"{shown(one)} is {one.state}{f': {one.reason}' if one.reason else ''}"]
    if one.state == "offline":
        age_s = world.age_s(one.heard_ms)
        return _sentences([*told, f"it was last heard {ago(age_s)}"] if age_s is not None else told)
    known = _figures(one)
    if known:
        told.append(", ".join(known))
    cameras = [camera for camera in world.cameras if camera.device == one.id]
    told += [f"camera {camera.id} is {camera.state}" for camera in cameras]
    return _sentences(told)


def _figures(one: Device) -> list[str]:
    told = []
    if one.uptime_s is not None:
        told.append(f"up {duration(one.uptime_s)}")
    if one.cpu_percent is not None:
        told.append(f"processor {one.cpu_percent:.0f} %")
    if one.rss_mb is not None:
        told.append(f"memory {one.rss_mb:.0f} MB")
    if one.disk_free_mb is not None:
        told.append(f"disk free {one.disk_free_mb / 1000:.1f} GB")
    if one.temperature_c is not None:
        told.append(f"{one.temperature_c:.0f} °C")
    if one.waiting is not None:
        told.append(f"{one.waiting} messages waiting")
    return told


def devices(found: Sequence[Device], status: str | None) -> str:
    if not found:
        return f"No device is {status}." if status else "No device is known here."
    counts = Counter(one.state for one in found)
    if status:
        head = f"{len(found)} {'device is' if len(found) == 1 else 'devices are'} {status}"
        return _sentences([f"{head}: {_some([_with_reason(one) for one in found])}"])
    states = _list(f"{count} {state}" for state, count in sorted(counts.items()))
    told = [f"{len(found)} {'device' if len(found) == 1 else 'devices'}: {states}"]
    ill = [one for one in found if one.state != "online"]
    told.append(_some([f"{_with_reason(one)} is {one.state}" for one in ill] or [shown(one) for one in found]))
    return _sentences(told)


def camera(one: Camera, approach: Approach | None) -> str:
    """Its health, and what it sees by what is detected and followed."""
    told = [f"Camera {one.id} is {one.state}{f': {one.detail}' if one.detail else ''}"]
    if one.state == "running" and one.frames_per_s:
        told[0] += f", at {one.frames_per_s:.1f} pictures a second"
    if not one.calibrated:
        told.append("nobody has marked its road yet")
    if one.problems:
        told.append(f"its picture is {_list(one.problems)}")
    if one.sees is not None:
        seen = _list(f"{count} × {kind.replace('_', ' ')}" for kind, count in sorted(one.sees.items()) if count)
        told.append(f"it sees {seen or 'no vehicle and nobody'}")
    elif approach is not None and approach.count is not None:
        told.append(f"on its road stand or drive about {_count(round(approach.count), 'vehicle')}")
    return _sentences(told)


def meaning(tool: Tool, arguments: Arguments) -> str:
    """What a call asks for, in words: `how full Mill Street was over the last 10 minutes`."""
    told = {name: str(value) for name, value in arguments.items()}
    if tool is Tool.GET_CONGESTION:
        place = told.get("approach") or told["intersection"]
        return f"how full {place} {'was over the last ' + told['minutes'] + ' minutes' if 'minutes' in told else 'is'}"
    if tool is Tool.SET_SETTING:
        return f"to set {told['name']} of {told['device']} to {told['value']}"
    if tool is Tool.LIST_DEVICES:
        return f"which devices are {told['status']}" if "status" in told else "which devices there are"
    plain = {
        Tool.GET_SIGNAL: "what the signals of {intersection} show",
        Tool.LIST_EMERGENCY: "whether there are emergency vehicles",
        Tool.GET_DEVICE: "how {device} is",
        Tool.GET_CAMERA: "how the camera of {device} is",
        Tool.REMEMBER: "to note: {text}",
        Tool.RECALL: "what you noted about {topic}",
        Tool.FORGET: "to forget what you noted about {topic}",
        Tool.NONE: "something else",
    }
    return plain[tool].format(**told)


def ago(seconds: float) -> str:
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _minutes(count: int) -> str:
    return "minute" if count == 1 else f"{count} minutes"


def _count(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _vehicle(one: Vehicle, road: str) -> str:
    where = {"towards": ", coming nearer", "away": ", leaving", "standing": ", standing"}.get(one.direction or "", "")
    asks = "asks for way" if one.state == "requested" else "asks for no way"
    return f"{_KIND.get(one.kind, 'an emergency vehicle')} is on {road}{where}, and {asks}"


def _lamp(name: str, phase: int) -> str:
    return name or f"phase {phase}"


def _with_reason(one: Device) -> str:
    return f"{shown(one)} ({one.reason})" if one.reason else shown(one)


def _some(parts: Sequence[str]) -> str:
    more = len(parts) - NAMED
    return _list([*parts[:NAMED], f"{more} more"] if more > 1 else parts)


def _list(parts: Iterable[str]) -> str:
    *first, last = list(parts) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _sentences(parts: Sequence[str]) -> str:
    return " ".join(f"{one[:1].upper()}{one[1:]}".rstrip(".") + "." for one in parts if one)
