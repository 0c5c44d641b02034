"""Somebody who poses as an edge server, and writes down all that is said to him. Run on a machine of the lab:

python -m tests.network.posing ADDRESS FOLDER ROOT ADVERTISED

He listens where an edge server does, tells everybody on the network that ADDRESS is his by ARP, and answers by mDNS as
edge-1 if ADVERTISED is 1. By TLS he shows a certificate of an authority of his own, which he made in FOLDER, and asks
for the other side's. Asked for his root he shows what the file ROOT holds. FOLDER/heard.jsonl gets a line for each
connection.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from struct import pack

from node.broker.tls import MQTTS_PORT
from node.discovery import Advertisement, open_zeroconf
from node.trust.asking import HTTP_PORT
from node.trust.authority import Authority
from protocol.ids import DeviceId

PLAIN_PORT = 1883
PATIENCE_S = 10.0
ARP_EVERY_S = 1.0
CHUNK = 65_536


class Impostor:
    def __init__(self, address: str, folder: Path, root: Path) -> None:
        self._address, self._root = address, root
        self._heard, self._lock = folder / "heard.jsonl", threading.Lock()
        authority = Authority(folder / "authority", DeviceId("edge-1"), time.time_ns() // 1_000_000)
        authority.ensure_server(["edge-1", address], time.time_ns() // 1_000_000)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(authority.folder / "server.pem", authority.folder / "server.key")
        # So that a device that believed him would show its certificate.
        self._tls.load_verify_locations(root)
        self._tls.verify_mode = ssl.CERT_OPTIONAL

    def listen(self, port: int) -> None:
        with socket.create_server((self._address, port)) as door:
            while True:
                wire, (source, _) = door.accept()
                threading.Thread(target=self._take, args=(port, source, wire), daemon=True).start()

    def claim(self) -> None:
        """Gratuitous ARP, again and again: whoever has the address cached takes the new owner's."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("out", 0))
            mac, ours = wire.getsockname()[4], socket.inet_aton(self._address)
            everybody = b"\xff" * 6
            said = pack("!HHBBH", 1, 0x0800, 6, 4, 2) + mac + ours + everybody + ours
            while True:
                with suppress(OSError):
                    wire.send(everybody + mac + b"\x08\x06" + said)
                time.sleep(ARP_EVERY_S)

    def _take(self, port: int, source: str, wire: socket.socket) -> None:
        """Raw: as it crossed the cable. Plain: what could be read of it."""
        wire.settimeout(PATIENCE_S)
        raw, plain, certificate, failure = bytearray(), bytearray(), False, ""
        try:
            if port == PLAIN_PORT:
                raw += wire.recv(CHUNK)
                plain += raw
            else:
                certificate = self._talk(wire, raw, plain)
        except (OSError, ssl.SSLError) as error:
            failure = str(error)
        finally:
            wire.close()
        line = {"port": port, "from": source, "raw": raw.hex(), "plain": plain.decode("latin-1")}
        with self._lock, self._heard.open("a") as out:
            out.write(json.dumps(line | {"certificate": certificate, "failure": failure}) + "\n")

    def _talk(self, wire: socket.socket, raw: bytearray, plain: bytearray) -> bool:
        """Whether a certificate was shown. TLS between two buffers, so that what crosses the cable is seen as well."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._tls.wrap_bio(incoming, outgoing, server_side=True)

        def step(ask: object) -> object:
            while True:
                try:
                    return ask()  # type: ignore[operator]
                except ssl.SSLWantReadError:
                    wire.sendall(outgoing.read())
                    more = wire.recv(CHUNK)
                    raw.extend(more)
                    if not more:
                        raise ConnectionResetError("it hung up") from None
                    incoming.write(more)

        step(tls.do_handshake)
        wire.sendall(outgoing.read())
        while more := step(lambda: tls.read(CHUNK)):
            plain.extend(more)  # type: ignore[arg-type]
            if b"/trust/ca " in plain:
                tls.write(self._answer())
                wire.sendall(outgoing.read())
                break
        return tls.getpeercert(binary_form=True) is not None

    def _answer(self) -> bytes:
        body = json.dumps({"edge": "edge-1", "ca": self._root.read_text()}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


def main(address: str, folder: Path, root: Path, advertised: bool) -> None:
    posing = Impostor(address, folder, root)
    for port in (PLAIN_PORT, HTTP_PORT, MQTTS_PORT):
        threading.Thread(target=posing.listen, args=(port,), daemon=True).start()
    if advertised:
        Advertisement(open_zeroconf([address]), DeviceId("edge-1"), [address], MQTTS_PORT, HTTP_PORT, tls=True)
    (folder / "ready").touch()
    posing.claim()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "1")
