"""The route by which another edge server becomes the second one of a pair: signed by an edge server's key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Query, Request, Response

from edge_server.accounts.file import FILE_NAME
from edge_server.accounts.need import need
from edge_server.accounts.shared import Shared
from edge_server.errors import NotOfThePair, RequestInvalid
from edge_server.pair.backfill import Read
from edge_server.pair.peer import Peer, load_peer, save_peer
from edge_server.pair.site_file import SiteFile
from edge_server.pair.vehicle_file import VehiclesOfPair
from edge_server.pair.wire import ACCOUNTS, JOIN, MODES, SITE, STORED, VEHICLES, Heirloom, JoinPair, Stored
from edge_server.signals.modes.book import SharedModes
from edge_server.trust.device_routes import FACTS
from node.trust.authority import Authority
from node.trust.certificates import Facts

MOST = 1 << 62
T = TypeVar("T", bound=msgspec.Struct)

log = structlog.get_logger("edge.pair")


def pair_routes(  # noqa: PLR0917 (what it hands over)
    home: Path,
    site: SiteFile,
    authority: Authority,
    accounts: Shared,
    stored_since: Callable[[Read], Stored],
    modes: Callable[[], SharedModes],
    vehicles: VehiclesOfPair,
) -> APIRouter:
    """What is handed to the other edge server of a pair, and to nobody else."""
    router = APIRouter(prefix="/api/v1/trust", tags=["pair"])

    def edge_of(request: Request) -> Facts:
        known: Facts | None = getattr(request.state, FACTS, None)
        if known is None or known.role != "edge":
            raise NotOfThePair()
        return known

    def check_peer(request: Request) -> None:
        known, peer = edge_of(request), load_peer(home)
        if peer is None or peer.edge != known.device:
            raise NotOfThePair()

    @router.get(STORED)
    @need("device")
    def stored(
        request: Request,
        alarms: Annotated[int, Query(ge=0, le=MOST)] = 0,
        signals: Annotated[int, Query(ge=0, le=MOST)] = 0,
        generation: Annotated[str, Query(max_length=80)] = "",
    ) -> Response:
        """Alarms and decisions that were stored here since the other edge server of the pair last read."""
        check_peer(request)
        return _json(stored_since(Read(generation, alarms, signals)))

    @router.get(ACCOUNTS)
    @need("device")
    def shared_accounts(request: Request) -> Response:
        """Accounts and tokens, those that are gone among them, for the other edge server of the pair. No secret is in
        it but passwords' hashes and tokens' digests."""
        check_peer(request)
        return _json(accounts.all())

    @router.get(SITE)
    @need("device")
    def shared_site(request: Request) -> Response:
        """The site file and its version, for the other edge server of the pair."""
        check_peer(request)
        return _json(site.now())

    @router.get(MODES)
    @need("device")
    def shared_modes(request: Request) -> Response:
        """The modes of the intersections, for the other edge server of the pair."""
        check_peer(request)
        return _json(modes())

    @router.get(VEHICLES)
    @need("device")
    def shared_vehicles(request: Request) -> Response:
        """Which vehicles may ask for the signals, with their public keys, for the other edge server of the pair."""
        check_peer(request)
        return _json(vehicles.now())

    @router.post(JOIN)
    @need("device")
    async def join(request: Request) -> Response:
        """The other edge server becomes an equal. One only: a third is refused."""
        known, ask = edge_of(request), _read(await request.body(), JoinPair)
        peer = load_peer(home)
        if peer is not None and peer.edge != known.device:
            raise NotOfThePair()
        save_peer(
            home,
            Peer(
                edge=known.device,
                hosts=ask.hosts,
                rank="first",
                mqtts_port=ask.mqtts_port,
                http_port=ask.http_port,
            ),
        )
        log.warning("this edge server has a pair from its next start on", peer=known.device)
        return _json(
            Heirloom(
                ca_key=(authority.folder / "ca.key").read_text("ascii"),
                ca=authority.ca,
                site=site.now().text,
                accounts=_copy(home / FILE_NAME),
            )
        )

    return router


def _copy(path: Path) -> bytes:
    """A database as it is now, whoever writes to it meanwhile; nothing where there is none."""
    if not path.exists():
        return b""
    with closing(sqlite3.connect(path)) as found, closing(sqlite3.connect(":memory:")) as copy:
        found.backup(copy)
        return copy.serialize()


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RequestInvalid(detail=str(error)[:200]) from error


def _json(said: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(said), media_type="application/json")
