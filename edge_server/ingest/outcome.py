"""What a batch comes to: the next state of ingest and fleet, the rows to write, the events to publish. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from edge_server.events import (
    AlarmReceived,
    DeviceChanged,
    DeviceRemoved,
    Event,
    HealthReceived,
    ObservationReceived,
    VehicleReceived,
)
from edge_server.fleet import registry
from edge_server.fleet.registry import Change, Fleet, Removed, SecondEdge
from edge_server.ingest import core, narration
from edge_server.ingest.core import Arrival, State
from edge_server.ingest.effects import Effect, HealthSeen, RecoverAlarm, StoreAlarm, StoreObservation, VehicleSeen
from edge_server.store.rows import LogEntry
from protocol.ids import DeviceId
from protocol.messages import Birth, Death


class Memory(Struct, frozen=True):
    ingest: State
    fleet: Fleet


class Outcome(Struct, frozen=True):
    """effects: of ingest. changes: of the fleet. lines: for the event log."""

    effects: Sequence[Effect] = ()
    changes: Sequence[Change] = ()
    lines: Sequence[LogEntry] = ()


def of_arrivals(memory: Memory, arrivals: Sequence[Arrival], cleared: Sequence[DeviceId]) -> tuple[Memory, Outcome]:
    """Take messages in. cleared: devices whose registration somebody has removed, after all arrivals."""
    state, effects = core.absorb(memory.ingest, arrivals)
    fleet, changes, now_ms = memory.fleet, list[Change](), 0
    for one in arrivals:
        now_ms = one.received_ms
        if isinstance(one.message, Birth | Death):
            fleet, more = registry.presence(fleet, one.message, one.received_ms, one.received_mono_ms, one.retained)
            changes += more
    for device in cleared:
        fleet, more = registry.remove(fleet, device)
        changes += more
    return Memory(state, fleet), Outcome(effects, changes, narration.lines(effects, changes, now_ms))


def of_recovered(memory: Memory, found: Sequence[RecoverAlarm]) -> tuple[Memory, Outcome]:
    """Take in what the other edge server of a pair has stored."""
    state, effects = core.recover(memory.ingest, found)
    return Memory(state, memory.fleet), Outcome(effects)


def of_time(
    memory: Memory, heard_mono_ms: dict[DeviceId, int], now_ms: int, now_mono_ms: int
) -> tuple[Memory, Outcome]:
    """What silence means. heard_mono_ms: who has spoken since the last call, and when."""
    state, effects = core.tick(memory.ingest, now_ms, now_mono_ms)
    fleet, back = registry.heard(memory.fleet, heard_mono_ms, now_ms)
    fleet, silent = registry.tick(fleet, now_ms, now_mono_ms)
    changes = [*back, *silent]
    return Memory(state, fleet), Outcome(effects, changes, narration.lines(effects, changes, now_ms))


def of_presence(memory: Memory, arrivals: Sequence[Arrival], cleared: Sequence[DeviceId]) -> tuple[Memory, Outcome]:
    """What has to be taken in even when nothing can be stored: nobody sends a birth or a death again."""
    return of_arrivals(memory, [one for one in arrivals if isinstance(one.message, Birth | Death)], cleared)


def events(outcome: Outcome) -> list[Event]:
    found = [event for effect in outcome.effects if (event := _event(effect)) is not None]
    for change in outcome.changes:
        match change:
            case Removed():
                found.append(DeviceRemoved(device=change.device))
            case SecondEdge():
                pass
            case _:
                found.append(DeviceChanged(device=change.device))
    return found


def observations(effects: Iterable[Effect]) -> list[Event]:
    """The events of observations alone: signals go on while the store can't."""
    return [event for effect in effects if isinstance(event := _event(effect), ObservationReceived)]


def _event(effect: Effect) -> Event | None:
    match effect:
        case StoreObservation():
            return ObservationReceived(
                observation=effect.observation,
                age_ms=effect.age_ms,
                live=effect.live,
                received_ms=effect.received_ms,
                received_mono_ms=effect.received_mono_ms,
            )
        case StoreAlarm():
            return AlarmReceived(alarm=effect.alarm, age_ms=effect.age_ms, received_ms=effect.received_ms)
        case HealthSeen():
            return HealthReceived(health=effect.health, received_ms=effect.received_ms)
        case VehicleSeen():
            return VehicleReceived(position=effect.position, age_ms=effect.age_ms, received_ms=effect.received_ms)
        case _:
            return None
