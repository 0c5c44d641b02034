"""What happens inside the edge server, as its parts hear of it: after the commit, never before.

Heartbeats and requests of vehicles are the exception: they are not stored and come straight from the link.
"""

from __future__ import annotations

from msgspec import Struct

from edge_server.fleet.device import Device
from edge_server.store.room import Stage
from edge_server.store.rows import LogEntry
from protocol.ids import DeviceId
from protocol.messages import Alarm, Health, Heartbeat, Observation, PriorityRequest, PriorityRoute, VehiclePosition


class Event(Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all events; parts of the edge may add their own. JSON by msgspec, the class's name under `event`."""


class ObservationReceived(Event, frozen=True, kw_only=True, tag=True):
    """age_ms: how long ago the device made it, by the device's own monotonic clock. live: young enough, and the newest
    of its camera, to act upon; one that waited in an outbox is kept and shown as history only."""

    observation: Observation
    age_ms: int
    live: bool
    received_ms: int
    received_mono_ms: int


class AlarmReceived(Event, frozen=True, kw_only=True, tag=True):
    alarm: Alarm
    age_ms: int
    received_ms: int


class HealthReceived(Event, frozen=True, kw_only=True, tag=True):
    health: Health
    received_ms: int


class VehicleReceived(Event, frozen=True, kw_only=True, tag=True):
    position: VehiclePosition
    age_ms: int
    received_ms: int


class HeartbeatReceived(Event, frozen=True, kw_only=True, tag=True):
    heartbeat: Heartbeat
    received_ms: int
    received_mono_ms: int


class PriorityRequested(Event, frozen=True, kw_only=True, tag=True):
    """A vehicle's message came in; whether it is believed is for the pre-emption to find out."""

    request: PriorityRequest


class RouteRequested(Event, frozen=True, kw_only=True, tag=True):
    """The same of a vehicle's whole way."""

    route: PriorityRoute


class DeviceChanged(Event, frozen=True, kw_only=True, tag=True):
    device: Device


class DeviceRemoved(Event, frozen=True, kw_only=True, tag=True):
    device: DeviceId


class Logged(Event, frozen=True, kw_only=True, tag=True):
    """A line was added to the event log."""

    entry: LogEntry


class BrokerLink(Event, frozen=True, kw_only=True, tag=True):
    """The edge's own connection to the broker came up or went down."""

    connected: bool


class DiskStage(Event, frozen=True, kw_only=True, tag=True):
    """The disk under the store has more or less room than before. given_up: readings not stored since the start."""

    stage: Stage
    free_mb: float
    given_up: int


class Resync(Event, frozen=True, kw_only=True, tag=True):
    """This subscriber was too slow and `missed` events: read the present state from the store and the registry."""

    missed: int
