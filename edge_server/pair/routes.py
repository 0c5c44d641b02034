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

from edge_server.accounts.file import FILE_NAME as ACCOUNTS
from edge_server.accounts.need import need
from edge_server.errors import NotOfThePair, RequestInvalid
from edge_server.pair.backfill import Read, stored_after
from edge_server.pair.peer import Peer, load_peer, save_peer
from edge_server.pair.wire import JOIN, STORED, Heirloom, JoinPair
from edge_server.store.reader import StoreReader
from edge_server.trust.device_routes import FACTS
from node.trust.authority import Authority
from node.trust.certificates import Facts

MOST = 1 << 62
T = TypeVar("T", bound=msgspec.Struct)

log = structlog.get_logger("edge.pair")


def pair_routes(
    home: Path, site: Path, authority: Authority, reader: StoreReader, generation: Callable[[], str]
) -> APIRouter:
    """generation: of the store that reader reads."""
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
        generation_read: Annotated[str, Query(alias="generation", max_length=80)] = "",
    ) -> Response:
        """Alarms and decisions that were stored here since the other edge server of the pair last read."""
        check_peer(request)
        return _json(stored_after(reader, generation(), Read(generation_read, alarms, signals)))

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
                site=site.read_text("utf-8") if site.is_file() else "",
                accounts=_copy(home / ACCOUNTS),
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
