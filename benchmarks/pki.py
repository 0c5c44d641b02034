"""An authority for benches, made by the code of a real one: edge servers' folders, and certificates for devices."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from node.broker.acl import Member
from node.clock import SystemClock
from node.trust.authority import FOLDER, Authority
from node.trust.certificates import facts, pem
from node.trust.csr import make_csr, read_csr
from node.trust.keys import key_pem, new_key, write_private, write_whole
from node.trust.records import Records
from node.trust.registry import Registry
from node.trust.tls import PinnedContext
from protocol.ids import DeviceId


class Pki:
    """members: who has joined, by the first edge server's records; each gets a key and a certificate below
    `folder`/devices."""

    def __init__(self, folder: Path, edges: Sequence[DeviceId], members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._clock = SystemClock()
        now_ms = self._clock.wall_ms()
        self._devices = folder / "devices"
        first = folder / edges[0] / FOLDER
        self._authority = Authority(first, edges[0], now_ms)
        self._authority.publish_crl((), 1)
        for edge in edges[1:]:
            shutil.copytree(first, folder / edge / FOLDER)
        for edge in edges:
            Authority(folder / edge / FOLDER, edge, now_ms).ensure_server(("127.0.0.1",), now_ms)
        records = Records(first)
        registry = Registry(self._authority, records, self._clock.wall_ms)
        for member in members:
            key = new_key()
            made = self._authority.issue(read_csr(make_csr(key, member.device, member.role)), now_ms)
            registry.adopted(facts(made))
            write_private(self._devices / f"{member.device}.key", key_pem(key))
            write_whole(self._devices / f"{member.device}.pem", pem(made))

        records.close()
        write_whole(self._devices / "ca.pem", self._authority.ca.encode())

    @property
    def ca(self) -> str:
        return self._authority.ca

    @property
    def devices(self) -> Path:
        return self._devices

    def context(self, device: str) -> PinnedContext:
        return device_context(self._devices, device)


def device_context(devices: Path, device: str) -> PinnedContext:
    """A device's end of TLS, from the folder that a Pki has written."""
    context = PinnedContext((devices / "ca.pem").read_text("ascii"), SystemClock().wall_ms)
    context.load_cert_chain(devices / f"{device}.pem", devices / f"{device}.key")
    return context
