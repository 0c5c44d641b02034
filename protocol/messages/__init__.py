"""Every message that Kinflow puts on MQTT, one noun a file; docs/mqtt.md shows an example of each."""

from protocol.messages.ack import Ack
from protocol.messages.alarm import Alarm
from protocol.messages.base import Estimate, Message
from protocol.messages.config_command import ConfigCommand
from protocol.messages.declaration import Declaration
from protocol.messages.gap import Gap
from protocol.messages.health import CameraHealth, Health, UpdateOutcome, UpdateState
from protocol.messages.heartbeat import CommandOutcome, Heartbeat, Lease, PhaseState
from protocol.messages.observation import EmergencySighting, LaneObservation, Observation, Quality
from protocol.messages.presence import Birth, CameraInfo, Death
from protocol.messages.priority_request import PriorityRequest
from protocol.messages.priority_route import Leg, PriorityRoute
from protocol.messages.priority_status import PriorityStatus
from protocol.messages.signal_command import SignalCommand
from protocol.messages.vehicle import VehiclePosition

__all__ = [
    "Ack",
    "Alarm",
    "Birth",
    "CameraHealth",
    "CameraInfo",
    "CommandOutcome",
    "ConfigCommand",
    "Death",
    "Declaration",
    "EmergencySighting",
    "Estimate",
    "Gap",
    "Health",
    "Heartbeat",
    "LaneObservation",
    "Lease",
    "Leg",
    "Message",
    "Observation",
    "PhaseState",
    "PriorityRequest",
    "PriorityRoute",
    "PriorityStatus",
    "Quality",
    "SignalCommand",
    "UpdateOutcome",
    "UpdateState",
    "VehiclePosition",
]
