"""What the parts of the edge server that face people and signals are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_server.bus import Bus
from node.clock import Clock
from protocol.ids import DeviceId, MessageId
from protocol.site import Site

if TYPE_CHECKING:
    from starlette.types import Scope

    from edge_server.accounts.accounts import Accounts
    from edge_server.fleet.device import Device
    from edge_server.ingest.figures import IngestFigures
    from edge_server.signals.desk import SignalDesk
    from edge_server.signals.preemption.desk import PreemptionDesk
    from edge_server.signals.preemption.episode_routes import Episodes
    from edge_server.signals.preemption.wave_desk import WaveDesk
    from edge_server.store.reader import StoreReader
    from edge_server.store.writer import StoreWriter
    from edge_server.trust.parts import TrustParts
    from edge_server.updates.service import UpdateService
    from models.escalation.served import Served


@dataclass(frozen=True)
class EdgeContext:
    """read and write are safe from any thread. devices: the registry as it is now. site: empty when none was given.

    remove_device forgets a device and clears its registration on the broker. configure asks a device to do something
    (device, name, arguments) and returns the command's id; raises DeviceNotAsked (KF81). device_of: the joined device
    that a request (ASGI scope, body) proves to come from, or None. bind_host: where the door listens.
    home: the state folder, None for none. passphrase: of the assistant's diary.
    serving: the member that answers `/v1`, None for none.
    bundles: the folder of those that devices install from, None for none.
    trust: the site's authority, None for none.
    preemption: who may have the signals, None for nobody; wave: the same for whole ways.
    signals: their modes and what is proposed, None for none.
    episodes: what the logs tell of pre-emptions, None for no logs.
    updates: the mirror and the rollout; serve_bytes_s: how fast the mirror is handed on, 0 for any speed.
    """

    version: str
    device: DeviceId
    site: Site
    clock: Clock
    accounts: Accounts
    bus: Bus
    read: StoreReader
    write: StoreWriter
    devices: Callable[[], Mapping[DeviceId, Device]]
    figures: Callable[[], IngestFigures]
    broker_connected: Callable[[], bool]
    remove_device: Callable[[DeviceId], None]
    configure: Callable[[DeviceId, str, Mapping[str, str]], MessageId]
    device_of: Callable[[Scope, bytes], str | None] | None = None
    updates: UpdateService | None = None
    serve_bytes_s: int = 0
    bind_host: str = "127.0.0.1"
    port: int = 8800
    bundles: Path | None = None
    serving: Served | None = None
    home: Path | None = None
    passphrase: Callable[[], str | None] = lambda: None
    trust: TrustParts | None = None
    preemption: PreemptionDesk | None = None
    wave: WaveDesk | None = None
    signals: SignalDesk | None = None
    episodes: Episodes | None = None
