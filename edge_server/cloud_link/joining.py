"""`kinflow edge join-cloud`: an edge server joins a cloud by the same steps as a device joins an edge."""

from __future__ import annotations

from pathlib import Path

from edge_server.cloud_link.sender import FOLDER
from node.errors import EdgeRefused
from node.trust.asking import split_address
from node.trust.join_code import read_link
from node.trust.joining import Joining
from protocol.ids import DeviceId

CLOUD_PORT = 8802


def join_cloud(home: Path, edge: DeviceId, code: str, address: str) -> str:
    """Returns the id of the cloud. Raises JoinCodeMistyped (KF160), EdgeNotPinned (KF161), EdgeRefused (KF162) or
    EdgeNotReached (KF163)."""
    read, linked = read_link(code)
    host, port = split_address(_with_port(address or linked))
    progress = Joining(home, read, host, port, edge, "edge", FOLDER).ask()
    if progress.credentials is None:
        raise EdgeRefused(refusal=progress.state, detail="The cloud did not let this edge in.", remedy="Ask there.")
    return progress.credentials.edge


def _with_port(address: str) -> str:
    """The cloud's own port where none is named."""
    if address.startswith("["):
        return address if "]:" in address else f"{address}:{CLOUD_PORT}"
    if address.count(":") > 1:
        return f"[{address}]:{CLOUD_PORT}"
    return address if ":" in address else f"{address}:{CLOUD_PORT}"
