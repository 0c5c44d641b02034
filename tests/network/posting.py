"""Somebody who asks an edge server to let him in, with requests of any kind. Run on a machine of the lab:

python -m tests.network.posting FROM HOST BODY...         posts each body to /join: [[status, answer], ...]
python -m tests.network.posting FROM HOST PORT=FILE...    sends what a file holds to a port: [bytes that came back, ...]

FROM is the address that he speaks from. The answers are printed as JSON.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
from contextlib import suppress
from pathlib import Path

from node.trust.asking import BASE, HTTP_PORT
from node.trust.tls import unverified_context

PATIENCE_S = 3.0


def post(source: str, host: str, body: str) -> tuple[int, object]:
    connection = http.client.HTTPSConnection(
        host, HTTP_PORT, timeout=30, context=unverified_context(), source_address=(source, 0)
    )
    connection.request("POST", f"{BASE}/join", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def send(source: str, host: str, port: int, said: bytes) -> int:
    came = 0
    with socket.create_connection((host, port), PATIENCE_S, (source, 0)) as wire, suppress(OSError):
        wire.sendall(said)
        while more := wire.recv(65_536):
            came += len(more)
    return came


def one(source: str, host: str, what: str) -> object:
    if what.startswith("{"):
        return post(source, host, what)
    port, _, path = what.partition("=")
    return send(source, host, int(port), Path(path).read_bytes())


if __name__ == "__main__":
    print(json.dumps([one(sys.argv[1], sys.argv[2], what) for what in sys.argv[3:]]))
