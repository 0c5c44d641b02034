"""What each tool does, and the sentence that answers it. What fails says so plainly and with its code."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from models.assistant import telling
from models.assistant.facts import Change, Facts
from models.assistant.naming import called, shown
from models.assistant.notes import Notes
from models.assistant.tools import OPTIONAL, REQUIRED, STATUSES, ArgumentKind, Arguments, Tool, Value, plain_text
from models.assistant.world import Camera, World
from models.errors import ArgumentsUnfit, FactsMissing, NameUnknown, SkillFailed
from node.config.settable import SETTABLE, checked, key_of, words_of
from protocol.errors import KinflowError

# A month; more is a slip of somebody's tongue.
MOST_MINUTES = 31 * 24 * 60

log = logging.getLogger(__name__)

_SEEING = re.compile(
    r"\b(?:see|sees|seen|saw|look|looks|looking|view|views|watch|watching|picture|scene|visible)\b", re.I
)


class Forgetting(Struct, frozen=True, kw_only=True, tag="forget"):
    """Notes that are to be deleted once somebody says yes."""

    notes: tuple[int, ...]


class Setting(Struct, frozen=True, kw_only=True, tag="set"):
    """A change that is to be made once somebody says yes."""

    change: Change


class Guess(Struct, frozen=True, kw_only=True, tag="guess"):
    """What a question may have meant, done once somebody says that it did."""

    tool: Tool
    arguments: dict[str, Value]


Pending = Forgetting | Setting | Guess


class Result(Struct, frozen=True, kw_only=True):
    """text: for a person. code: of what went wrong, "" for nothing. pending: what a yes would do."""

    text: str
    code: str = ""
    pending: Pending | None = None


class Skills:
    """Used by one thread at a time."""

    def __init__(self, facts: Facts, notes: Notes, now_ms: Callable[[], int]) -> None:
        self._facts, self._notes, self._now_ms = facts, notes, now_ms
        self._each: Mapping[Tool, Callable[[Arguments], Result]] = {
            Tool.GET_CONGESTION: self._congestion,
            Tool.GET_SIGNAL: self._signal,
            Tool.LIST_EMERGENCY: self._emergencies,
            Tool.GET_DEVICE: self._device,
            Tool.LIST_DEVICES: self._devices,
            Tool.GET_CAMERA: self._camera,
            Tool.SET_SETTING: self._propose,
            Tool.REMEMBER: self._remember,
            Tool.RECALL: self._recall,
            Tool.FORGET: self._forget,
            Tool.NONE: self._none,
        }

    def do(self, tool: Tool, arguments: Arguments, asked: str = "") -> Result:
        """Never raises: an error becomes its sentence and its code. asked: the question's words, which a model that
        reads pictures is asked where they are about what is seen."""
        result = self._guarded(tool, lambda: self._each[tool](checked_arguments(tool, arguments)))
        if tool is not Tool.GET_CAMERA or result.code or not _SEEING.search(asked):
            return result
        seen = self._guarded(tool, lambda: self._seen(arguments, asked))
        return Result(text=f"{result.text} {seen.text}".strip(), code=seen.code)

    def confirm(self, pending: Pending) -> Result:
        """Do what was asked back about. Never raises."""
        if isinstance(pending, Guess):
            return self.do(pending.tool, pending.arguments)
        if isinstance(pending, Forgetting):
            return self._guarded(Tool.FORGET, lambda: self._forgotten(self._notes.forget(pending.notes)))
        return self._guarded(Tool.SET_SETTING, lambda: Result(text=self._facts.apply(pending.change)))

    def _guarded(self, tool: Tool, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except KinflowError as error:
            return Result(text=f"{error.cause_text} {error.advice_text}", code=error.code)
        except Exception as error:
            log.exception("the skill %s broke", tool)
            broken = SkillFailed(tool=tool.value, detail=type(error).__name__)
            return Result(text=f"{broken.cause_text} {broken.advice_text}", code=broken.code)

    # The world

    def _congestion(self, arguments: Arguments) -> Result:
        world = self._facts.world()
        place = called("intersection", str(arguments["intersection"]), world.places)
        approaches = [one for one in world.approaches if one.place == place.id]
        if "approach" in arguments:
            approaches = [called("approach", str(arguments["approach"]), approaches)]
        if not approaches:
            return Result(text=f"No approach of {shown(place)} is watched.")
        minutes = arguments.get("minutes")
        if minutes is None:
            return Result(text=" ".join(telling.approach_now(world, one) for one in approaches))
        told = [
            telling.approach_past(one, int(minutes), self._facts.history(one.id, int(minutes))) for one in approaches
        ]
        return Result(text=" ".join(told))

    def _signal(self, arguments: Arguments) -> Result:
        world = self._facts.world()
        place = called("intersection", str(arguments["intersection"]), world.places)
        found = next((one for one in world.signals if one.place == place.id), None)
        if found is None:
            detail = "this machine hears no signal controller; the edge server does"
            raise FactsMissing(what=f"What the signals of {shown(place)} show", detail=detail)
        return Result(text=telling.signals(world, shown(place), found))

    def _emergencies(self, _: Arguments) -> Result:
        return Result(text=telling.emergencies(self._facts.world()))

    def _device(self, arguments: Arguments) -> Result:
        world = self._facts.world()
        return Result(text=telling.device(world, called("device", str(arguments["device"]), world.devices)))

    def _devices(self, arguments: Arguments) -> Result:
        status = arguments.get("status")
        found = [one for one in self._facts.world().devices if status in {None, one.state}]
        return Result(text=telling.devices(found, None if status is None else str(status)))

    def _camera(self, arguments: Arguments) -> Result:
        world, name = self._facts.world(), str(arguments["device"])
        cameras = _cameras(world, name)
        if not cameras:
            return Result(text=f"{shown(called('device', name, world.devices))} has no camera.")
        approaches = {one.id: one for one in world.approaches}
        return Result(text=" ".join(telling.camera(one, approaches.get(one.approach)) for one in cameras))

    def _seen(self, arguments: Arguments, asked: str) -> Result:
        told = [
            f'{seen.name} says of the picture of camera {one.id}, and may be wrong: "{seen.text}"'
            for one in _cameras(self._facts.world(), str(arguments["device"]))
            if (seen := self._facts.look(one.id, asked)) is not None
        ]
        return Result(text=" ".join(told))

    # Settings

    def _propose(self, arguments: Arguments) -> Result:
        world, name = self._facts.world(), str(arguments["name"])
        device = called("device", str(arguments["device"]), world.devices)
        key = key_of(name)
        if key is None:
            raise NameUnknown(kind="setting that may be changed so", name=name[:63], known=_settings())
        change = self._facts.propose(device.id, key, checked(key, arguments["value"]))
        if change.was is not None and change.was == change.value:
            return Result(text=f"{words_of(key)} of {shown(device)} is {_shown(change.value)} already.")
        was = "" if change.was is None else f" It is {_shown(change.was)} now."
        asked = f"Shall I set {words_of(key)} of {shown(device)} to {_shown(change.value)}?{was} Say yes or no."
        return Result(text=asked, pending=Setting(change=change))

    # Notes

    def _remember(self, arguments: Arguments) -> Result:
        text = str(arguments["text"]).strip()
        self._notes.remember(text, self._now_ms())
        return Result(text=f"Noted: {text}")

    def _recall(self, arguments: Arguments) -> Result:
        found = self._notes.recall(str(arguments["topic"]))
        if not found:
            return Result(text=f"There is no note about {arguments['topic']}.")
        now_ms = self._now_ms()
        told = [f"{telling.ago(max(0, now_ms - one.made_ms) / 1000)}: {one.body['text']}" for one in found]
        return Result(text="You noted, " + _first(told))

    def _forget(self, arguments: Arguments) -> Result:
        found = self._notes.recall(str(arguments["topic"]))
        if not found:
            return Result(text=f"There is no note about {arguments['topic']}.")
        asked = _first([str(one.body["text"]) for one in found])
        count = "this note" if len(found) == 1 else f"these {len(found)} notes"
        return Result(
            text=f"Shall I forget {count}: {asked}? Say yes or no.",
            pending=Forgetting(notes=tuple(one.id for one in found)),
        )

    def _forgotten(self, count: int) -> Result:
        return Result(text="It was gone already." if not count else f"Forgotten: {count} {_plural(count, 'note')}.")

    # The rest

    def _none(self, _: Arguments) -> Result:
        names: tuple[str, ...] = ()
        try:
            names = self._facts.world().entities().intersections
        except KinflowError:
            log.debug("nothing is known of the site", exc_info=True)
        place = f" Ask, for instance, how {names[0]} is." if names else ""
        return Result(
            text="I tell about this site's roads, signals, emergency vehicles, devices, cameras and settings, and keep "
            f"notes for you; of anything else I know nothing.{place}"
        )


def _cameras(world: World, name: str) -> list[Camera]:
    """`name` may be a device or a camera: people say either. Raises NameUnknown (KF488)."""
    cameras = [one for one in world.cameras if plain_text(one.id) == plain_text(name)]
    if cameras:
        return cameras
    device = called("device", name, world.devices)
    return [one for one in world.cameras if one.device == device.id]


def checked_arguments(tool: Tool, arguments: Arguments) -> Arguments:
    """Raises ArgumentsUnfit (KF495) for what the tool does not take, or lacks."""
    required, optional = REQUIRED[tool], OPTIONAL.get(tool, {})
    for name in required:
        if name not in arguments or arguments[name] == "":
            raise ArgumentsUnfit(tool=tool.value, detail=f"{name} is lacking")
    for name, value in arguments.items():
        kind = required.get(name) or optional.get(name)
        if kind is None:
            raise ArgumentsUnfit(tool=tool.value, detail=f"it takes no {name[:40]}")
        fault = _fault(kind, value)
        if fault:
            raise ArgumentsUnfit(tool=tool.value, detail=f"{name} {fault}")
    return arguments


def _fault(kind: ArgumentKind, value: Value) -> str:
    if kind == "minutes":
        whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_MINUTES
        return "" if whole else f"is a whole number from 1 to {MOST_MINUTES}"
    if kind == "status":
        return "" if value in STATUSES else f"is one of {', '.join(STATUSES)}"
    if kind == "value":
        return "" if isinstance(value, str | int | float) else "is a number, true, false or a text"
    return "" if isinstance(value, str) else "is a text"


def _settings() -> str:
    return f"There are {', '.join(SETTABLE)}."


def _first(notes: Sequence[str]) -> str:
    more = len(notes) - telling.NAMED
    return "; ".join([*notes[: telling.NAMED], f"and {more} more"] if more > 0 else notes)


def _shown(value: Value) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
