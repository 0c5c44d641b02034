"""Stand-ins of the assistant's tests: an understanding that knows some questions by heart, and a small world."""

from __future__ import annotations

from collections.abc import Sequence

from models.assistant.facts import Change, Seen
from models.assistant.tools import Tool, Value
from models.assistant.understanding.choice import Choice, Entities
from models.assistant.world import (
    Approach,
    Camera,
    Claim,
    Device,
    Lamp,
    Place,
    Point,
    Signals,
    Vehicle,
    World,
)
from models.errors import FactsMissing, SettingRefused

NOW_MS = 1_760_000_000_000


def choice(tool: Tool, confidence: float = 0.97, sure: bool = True, **arguments: Value) -> Choice:
    return Choice(tool=tool, arguments=arguments, confidence=confidence, sure=sure)


BY_HEART = {
    "how is mill street": choice(Tool.GET_CONGESTION, intersection="Mill Street"),
    "how was mill street north": choice(
        Tool.GET_CONGESTION, intersection="Mill Street", approach="Mill Street, north", minutes=30
    ),
    "what do the lights at mill street show": choice(Tool.GET_SIGNAL, intersection="Mill Street"),
    "any ambulance about": choice(Tool.LIST_EMERGENCY),
    "how is pi-1": choice(Tool.GET_DEVICE, device="pi-1"),
    "who is offline": choice(Tool.LIST_DEVICES, status="offline"),
    "does the camera of pi-1 work": choice(Tool.GET_CAMERA, device="pi-1"),
    "log more on pi-1": choice(Tool.SET_SETTING, device="pi-1", name="log level", value="debug"),
    "log more on edge-1": choice(Tool.SET_SETTING, device="edge-1", name="log level", value="debug"),
    "remember that the gate key is under the mat": choice(Tool.REMEMBER, text="the gate key is under the mat"),
    "where is the gate key": choice(Tool.RECALL, topic="gate key"),
    "forget the gate key": choice(Tool.FORGET, topic="gate key"),
    "hello": choice(Tool.NONE),
}


class ByHeart:
    """Knows the questions above, and of any other that it is not sure."""

    def __init__(self, known: dict[str, Choice] | None = None) -> None:
        self.known = BY_HEART if known is None else known
        self.asked: list[tuple[str, Entities]] = []
        self.closed = False

    def choose(self, question: str, entities: Entities) -> Choice:
        self.asked.append((question, entities))
        unsure = choice(Tool.GET_CONGESTION, 0.31, False)
        return self.known.get(question.lower().rstrip("?.!"), unsure)

    def close(self) -> None:
        self.closed = True


def small_world(teller: str = "pi-1") -> World:
    return World(
        teller=teller,
        now_ms=NOW_MS,
        places=(Place(id="west", name="Mill Street"), Place(id="east", name="Station Road")),
        approaches=(
            Approach(
                id="west-n",
                name="Mill Street, north",
                place="west",
                status="ok",
                congestion="dense",
                index=0.62,
                queue_m=31.0,
                count=7.0,
                heard_ms=NOW_MS - 2_000,
                emergency="requested",
                vehicles=(Vehicle(kind="ambulance", state="requested", direction="towards"),),
            ),
            Approach(id="west-e", name="Mill Street, east", place="west", status="learning", heard_ms=NOW_MS),
        ),
        signals=(
            Signals(
                place="west",
                control="edge",
                mode="act",
                lamps=(
                    Lamp(phase=2, name="North-south", aspect="green", elapsed_ms=12_000),
                    Lamp(phase=4, name="East-west", aspect="red", elapsed_ms=12_000),
                ),
                heard_ms=NOW_MS - 400,
            ),
        ),
        claims=(Claim(place="west", approach="west-n", role="ambulance", holds=True),),
        devices=(
            Device(id="pi-1", name="Mill Street Pi", role="agent", cpu_percent=17.0, rss_mb=106.0, temperature_c=51.0),
            Device(
                id="pi-2", role="agent", state="offline", reason="its connection ended", heard_ms=NOW_MS - 7_200_000
            ),
        ),
        cameras=(
            Camera(
                id="cam-n",
                device="pi-1",
                approach="west-n",
                state="running",
                frames_per_s=12.4,
                calibrated=True,
                sees={"car": 6, "bus": 1, "person": 0},
            ),
        ),
    )


class SmallFacts:
    """The small world; settings of its teller can be changed, in memory."""

    def __init__(self, world: World | None = None, points: Sequence[Point] = ()) -> None:
        self.seen, self.points = world or small_world(), points
        self.settings: dict[str, Value] = {"log.level": "info"}
        self.missing = False
        self.looks: dict[str, Seen] = {}

    def world(self) -> World:
        if self.missing:
            raise FactsMissing(what="What goes on", detail="nothing runs here")
        return self.seen

    def history(self, approach: str, minutes: int) -> Sequence[Point]:
        return [point for point in self.points if point.at_ms > NOW_MS - minutes * 60_000]

    def look(self, camera: str, question: str) -> Seen | None:
        del question
        return self.looks.get(camera)

    def propose(self, device: str, name: str, value: Value) -> Change:
        if device != self.seen.teller:
            raise SettingRefused(name=name, device=device, detail="it is another machine")
        return Change(device=device, name=name, value=value, was=self.settings.get(name))

    def apply(self, change: Change) -> str:
        self.settings[change.name] = change.value
        return "It is set."
