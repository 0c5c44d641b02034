"""Somebody who holds a device's credentials: the device itself, or a thief with a copy. Run on a machine of the lab:

python -m tests.network.holding renew HOME     asks how it stands until it is refused, and prints when
python -m tests.network.holding connect HOME   tries to come in to the broker for a while, and prints whether it did
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from node.broker.paho_client import PahoClient
from node.errors import EdgeRefused
from node.trust.asking import ask_standing
from node.trust.credentials import Credentials, load
from node.trust.wire import RenewAsk

ASKING_S, CONNECTING_S = 60.0, 8.0


def renew(held: Credentials) -> dict[str, object]:
    """Times are of the wall clock, which all namespaces share."""
    granted_s, deadline = 0.0, time.monotonic() + ASKING_S
    while time.monotonic() < deadline:
        try:
            ask_standing(held, RenewAsk())
            granted_s = time.time()
            time.sleep(0.1)
        except EdgeRefused as error:
            return {"granted_s": granted_s, "refused_s": time.time(), "refusal": error.fields["refusal"]}
    return {"granted_s": granted_s, "refused_s": None, "refusal": None}


def connect(held: Credentials) -> dict[str, object]:
    connected: list[bool] = []
    client = PahoClient(held.brokers(), held.device, tls=held.tls)
    client.watch(connected.append)
    client.start()
    time.sleep(CONNECTING_S)
    client.stop()
    return {"connected": any(connected), "error": client.error.code if client.error is not None else None}


if __name__ == "__main__":
    found = load(Path(sys.argv[2]))
    assert found is not None
    print(json.dumps(renew(found) if sys.argv[1] == "renew" else connect(found)))
