"""How an edge server becomes the second one of a pair: it joins the first one's authority, and is given its like."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

from cryptography import x509

from edge_server.accounts.file import FILE_NAME as ACCOUNTS
from edge_server.errors import PairRefused
from edge_server.pair.peer import Peer, save_peer
from edge_server.pair.wire import JOIN, Heirloom, JoinPair
from node.file_lock import hold_state
from node.trust.asking import asker_of, split_address
from node.trust.authority import FOLDER
from node.trust.credentials import KEY, Credentials
from node.trust.join_code import decode
from node.trust.joining import Joining
from node.trust.keys import write_private, write_whole
from node.trust.records import DeviceRow, Records
from protocol.ids import DeviceId

CREDENTIALS = "pair-trust"
SITE = "site.toml"
WAIT_S = 60.0
HEIRLOOM_LIMIT = 64 * 1024 * 1024


def join_pair(home: Path, code: str, address: str, edge: DeviceId, ask: JoinPair) -> Peer:
    """Raises what joining raises (KF160 to KF168), PairRefused (KF224), or StateInUse (KF53) while this one runs."""
    home.mkdir(parents=True, exist_ok=True)
    with closing(hold_state(home / "edge.db")):
        _check_own_authority(home)
        host, port = split_address(address)
        joining = Joining(home, decode(code), host, port, edge, "edge", CREDENTIALS)
        progress = joining.wait(lambda _: None, WAIT_S)
        if progress.credentials is None:
            raise PairRefused(detail=f"the first edge server says: {progress.state}")
        credentials = progress.credentials
        heirloom = asker_of(host, port, credentials.ca, HEIRLOOM_LIMIT).post_signed(JOIN, ask, Heirloom, credentials)
        _inherit(home, heirloom, credentials)
        hosts = tuple(dict.fromkeys((host, *credentials.hosts)))
        peer = Peer(
            edge=credentials.edge,
            hosts=tuple(one for one in hosts if one not in ask.hosts or one == host),
            rank="second",
            mqtts_port=credentials.mqtts_port,
            http_port=credentials.http_port,
        )
        save_peer(home, peer)
        return peer


def _check_own_authority(home: Path) -> None:
    """An authority of our own that nobody has joined is given up; one with devices is not."""
    folder = home / FOLDER
    if not (folder / "ca.pem").exists():
        return
    with closing(Records(folder)) as records:
        joined = records.all(DeviceRow, "devices", state="joined", limit=1)
    if joined:
        raise PairRefused(detail=f"devices have joined this one already, {joined[0].device} among them")


def _inherit(home: Path, heirloom: Heirloom, credentials: Credentials) -> None:
    """Our own key stays ours: the server's certificate is made for it at the next start, by the root that we hold."""
    root = x509.load_pem_x509_certificate(heirloom.ca.encode())
    if root != x509.load_pem_x509_certificate(credentials.ca.encode()):
        raise PairRefused(detail="what was sent is not the root that the code pins")
    fresh = home / f"{FOLDER}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    write_private(fresh / "ca.key", heirloom.ca_key.encode())
    write_whole(fresh / "ca.pem", heirloom.ca.encode())
    write_private(fresh / "server.key", (credentials.folder / KEY).read_bytes())
    folder = home / FOLDER
    if folder.exists():
        shutil.rmtree(home / f"{FOLDER}.before", ignore_errors=True)
        folder.rename(home / f"{FOLDER}.before")
    fresh.rename(folder)
    if heirloom.site and not (home / SITE).exists():
        write_whole(home / SITE, heirloom.site.encode())
    if heirloom.accounts:
        _restore(home / ACCOUNTS, heirloom.accounts)


def _restore(path: Path, data: bytes) -> None:
    for old in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        old.unlink(missing_ok=True)
    write_private(path, data)
