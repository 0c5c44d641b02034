"""The gateway's application without an edge server behind it, for its description: it is looked at and never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.shared import Shared
from edge_server.bus import Bus
from edge_server.context import EdgeContext
from edge_server.gateway.app import Gateway
from edge_server.ingest.figures import IngestFigures
from edge_server.neighbours.door import NeighbourDoor, neighbour_routes
from edge_server.pair.routes import pair_routes
from edge_server.pair.site_file import SiteFile
from edge_server.pair.vehicle_file import VehiclesOfPair
from edge_server.signals.desk import SignalDesk
from edge_server.signals.modes.book import ModeBook
from edge_server.signals.preemption.desk import PreemptionDesk
from edge_server.signals.preemption.episode_routes import Episodes
from edge_server.signals.preemption.wave_desk import WaveDesk
from edge_server.signals.service import SignalService
from edge_server.signals.shadow.book import ShadowBook
from edge_server.store.reader import StoreReader
from edge_server.store.writer import StoreWriter
from edge_server.trust.parts import TrustParts
from edge_server.trust.trust import EdgeTrust
from edge_server.trust.watch import TrustWatch
from edge_server.updates.mirror import Mirror
from edge_server.updates.rollout_store import RolloutStore
from edge_server.updates.service import UpdateService
from node.clock import SystemClock
from node.trust.authority import Authority
from protocol.ids import DeviceId, SiteId
from protocol.site import Site


def bare_gateway(version: str = "0") -> Gateway:
    """Every route that a running edge server has. A route that is called all the same raises."""
    bus, site = Bus(), Site(id=SiteId("site"))
    context = EdgeContext(
        version=version,
        device=DeviceId("edge"),
        site=site,
        clock=SystemClock(),
        accounts=Accounts(None, SystemClock(), ""),
        bus=bus,
        read=StoreReader(Path("none")),
        write=StoreWriter(_nowhere, bus),
        devices=dict,
        figures=IngestFigures,
        broker_connected=lambda: False,
        remove_device=_nowhere,
        configure=_nowhere,
        trust=TrustParts(
            cast(EdgeTrust, None),
            cast(TrustWatch, None),
            pair_routes(
                Path("none"),
                SiteFile(Path("none"), Path("none")),
                cast(Authority, None),
                cast(Shared, None),
                _nowhere,
                _nowhere,
                VehiclesOfPair(Path("none")),
            ),
            neighbour_routes(cast(NeighbourDoor, None), cast(WaveDesk, None)),
        ),
        signals=SignalDesk(
            ModeBook(site, Path("none"), "edge", _nowhere), cast(SignalService, object()), cast(ShadowBook, object())
        ),
        episodes=cast(Episodes, object()),
        preemption=cast(PreemptionDesk, object()),
        wave=cast(WaveDesk, object()),
        updates=UpdateService(
            RolloutStore(Path(":memory:")),
            Mirror(Path("none"), _nowhere),
            None,
            dict,
            _nowhere,
            SystemClock(),
            _nowhere,
        ),
    )
    return Gateway(context)


def _nowhere(*_: object) -> Any:
    raise RuntimeError("this application is described, not run")
