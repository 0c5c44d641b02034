"""The whole bus: each topic a typed constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from protocol.errors import TopicForeign
from protocol.ids import DeviceId, is_slug, slug
from protocol.messages import (
    Ack,
    Alarm,
    Birth,
    ConfigCommand,
    Death,
    Declaration,
    Gap,
    Health,
    Heartbeat,
    Message,
    Observation,
    PriorityRequest,
    PriorityRoute,
    PriorityStatus,
    SignalCommand,
    VehiclePosition,
)
from protocol.messages.presence import Role

DEFAULT_PREFIX = "kinflow"

T = TypeVar("T", bound=Message)

# How the outbox treats a message: alarm (on disk before it is sent, never dropped), state (the latest wins), telemetry
# (bounded, thinned from the oldest), live (no outbox: sent now or never).
Delivery = Literal["alarm", "state", "telemetry", "live"]
DEVICE_ROLES: tuple[Role, ...] = ("agent", "controller", "vehicle")


@dataclass(frozen=True)
class Topic(Generic[T]):
    """One kind of topic: `{prefix}/1/{device}/{leaf}`, where `device` is whom the topic belongs to.

    `writer` says who may publish there: the device itself, or the edge server that it belongs to. `roles`: the devices
    that have such a topic. A broker lets nobody do more (node/broker/acl.py).
    """

    leaf: str
    messages: tuple[type[Message], ...]
    delivery: Delivery
    writer: Literal["device", "edge", "both"] = "device"
    retained: bool = False
    roles: tuple[Role, ...] = DEVICE_ROLES

    @property
    def qos(self) -> int:
        # A heartbeat or a signal command that is late is worthless: at most once, so that nothing ever queues it.
        return 0 if self.delivery == "live" and not self.retained else 1

    def of(self, device: DeviceId, item: str = "", prefix: str = DEFAULT_PREFIX) -> str:
        """The topic's name for one device; `item` fills the last level where the leaf has one."""
        leaf = self.leaf.replace("{item}", slug(item, "topic level")) if "{item}" in self.leaf else self.leaf
        return f"{prefix}/1/{slug(device, 'device id')}/{leaf}"

    def every(self, prefix: str = DEFAULT_PREFIX) -> str:
        """The subscription filter that matches this topic for every device."""
        return f"{prefix}/1/+/{self.leaf.replace('{item}', '+')}"


PRESENCE: Topic[Birth | Death] = Topic("presence", (Birth, Death), "live", retained=True)
ALARM: Topic[Alarm] = Topic("alarm", (Alarm,), "alarm")
OBSERVATION: Topic[Observation] = Topic("observation/{item}", (Observation,), "telemetry", roles=("agent",))
HEALTH: Topic[Health] = Topic("health", (Health,), "state")
VEHICLE: Topic[VehiclePosition] = Topic("vehicle", (VehiclePosition,), "state", roles=("vehicle",))
GAP: Topic[Gap] = Topic("gap", (Gap,), "telemetry")
ACK: Topic[Ack] = Topic("ack", (Ack,), "live", writer="edge")
HEARTBEAT: Topic[Heartbeat] = Topic("heartbeat", (Heartbeat,), "live", roles=("controller",))
SIGNAL_COMMAND: Topic[SignalCommand] = Topic(
    "signal-command", (SignalCommand,), "live", writer="edge", roles=("controller",)
)
PRIORITY_REQUEST: Topic[PriorityRequest] = Topic("priority-request", (PriorityRequest,), "live", roles=("vehicle",))
PRIORITY_ROUTE: Topic[PriorityRoute] = Topic("priority-route", (PriorityRoute,), "live", roles=("vehicle",))
PRIORITY_STATUS: Topic[PriorityStatus] = Topic(
    "priority-status", (PriorityStatus,), "live", writer="edge", roles=("vehicle",)
)
DECLARATION: Topic[Declaration] = Topic("declaration", (Declaration,), "live", writer="edge", roles=("agent",))
CONFIG_COMMAND: Topic[ConfigCommand] = Topic(
    "config-command/{item}", (ConfigCommand,), "live", writer="both", retained=True
)

TOPICS: tuple[Topic[Any], ...] = (
    PRESENCE,
    ALARM,
    OBSERVATION,
    HEALTH,
    VEHICLE,
    GAP,
    ACK,
    HEARTBEAT,
    SIGNAL_COMMAND,
    PRIORITY_REQUEST,
    PRIORITY_ROUTE,
    PRIORITY_STATUS,
    DECLARATION,
    CONFIG_COMMAND,
)


@dataclass(frozen=True)
class Address:
    """A topic's name, taken apart."""

    topic: Topic[Any]
    device: DeviceId
    item: str


def parse(name: str, prefix: str = DEFAULT_PREFIX) -> Address:
    """Take a topic's name apart; TopicForeign (KF14) when it is none of ours."""
    head = f"{prefix}/1/"
    device, _, leaf = name[len(head) :].partition("/")
    if name.startswith(head) and is_slug(device):
        stem, _, item = leaf.partition("/")
        for topic in TOPICS:
            own_stem, _, own_item = topic.leaf.partition("/")
            if stem == own_stem and bool(item) == bool(own_item) and (not item or is_slug(item)):
                return Address(topic, DeviceId(device), item)
    raise TopicForeign(source="", topic=name[:200])
