"""Who may do what on the broker, from the list of topics: by identity, deny by default. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from protocol.ids import DeviceId, device_id
from protocol.messages.presence import Role
from protocol.topics import DEFAULT_PREFIX, PRESENCE, TOPICS

Access = Literal["read", "write", "readwrite"]


@dataclass(frozen=True)
class Member:
    """Somebody whom the authority has let in: the name in its certificate, and what it is."""

    device: DeviceId
    role: Role


@dataclass(frozen=True)
class Rule:
    """What one member may do with the topics that match a filter."""

    access: Access
    filter: str


def rules(member: Member, prefix: str = DEFAULT_PREFIX) -> tuple[Rule, ...]:
    """A device writes what its role says and hears what is said to it, on its own topics alone. Another edge server
    (the other one of a pair) hears everybody, and writes what an edge server writes."""
    return tuple(_edge_rules(prefix) if member.role == "edge" else _device_rules(member, prefix))


def acl_text(members: Iterable[Member], prefix: str = DEFAULT_PREFIX) -> str:
    """The access file of a mosquitto listener. Whoever is not named in it may do nothing."""
    lines = ["# Written by Kinflow from the list of joined devices. Whoever is not named may do nothing."]
    for member in sorted(members, key=lambda one: one.device):
        lines.append(f"user {device_id(member.device)}")
        lines += [f"topic {rule.access} {rule.filter}" for rule in rules(member, prefix)]
    return "\n".join(lines) + "\n"


def _device_rules(member: Member, prefix: str) -> Iterator[Rule]:
    for topic in TOPICS:
        if member.role not in topic.roles:
            continue
        name = topic.every(prefix).replace("/+/", f"/{device_id(member.device)}/", 1)
        # A device listens to its own presence: the late will of an earlier connection must not bury it.
        heard = topic.writer in ("edge", "both") or topic is PRESENCE
        yield Rule(_access(heard, topic.writer in ("device", "both")), name)


def _edge_rules(prefix: str) -> Iterator[Rule]:
    for topic in TOPICS:
        # It clears the registration of a device that was removed.
        yield Rule(_access(True, topic.writer in ("edge", "both") or topic is PRESENCE), topic.every(prefix))


def _access(read: bool, write: bool) -> Access:
    return "readwrite" if read and write else "read" if read else "write"
