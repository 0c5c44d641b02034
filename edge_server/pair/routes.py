"""The route by which another edge server becomes the second one of a pair: signed by an edge server's key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Request, Response

from edge_server.accounts.file import FILE_NAME as ACCOUNTS
from edge_server.accounts.need import need
from edge_server.errors import NotOfThePair, RequestInvalid
from edge_server.pair.peer import Peer, load_peer, save_peer
from edge_server.pair.wire import JOIN, Heirloom, JoinPair
from edge_server.trust.device_routes import FACTS
from node.trust.authority import Authority
from node.trust.certificates import Facts

T = TypeVar("T", bound=msgspec.Struct)

log = structlog.get_logger("edge.pair")


def pair_routes(home: Path, site: Path, authority: Authority) -> APIRouter:
    router = APIRouter(prefix="/api/v1/trust", tags=["pair"])

    def edge_of(request: Request) -> Facts:
        known: Facts | None = getattr(request.state, FACTS, None)
        if known is None or known.role != "edge":
            raise NotOfThePair()
        return known

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
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RequestInvalid(detail=str(error)[:200]) from error


def _json(said: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(said), media_type="application/json")
