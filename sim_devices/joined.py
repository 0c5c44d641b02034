"""Simulated devices that have joined: each with credentials of its own, as a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from node.broker.paho_client import PahoClient
from node.broker.port import BrokerClient
from node.errors import CredentialsUnusable
from node.identity import Identity
from node.link import death_will
from node.trust.credentials import load
from protocol.topics import DEFAULT_PREFIX


def connect_joined(homes: Path, prefix: str = DEFAULT_PREFIX) -> Callable[[Identity], BrokerClient]:
    """How a device connects whose state folder, with what it got by joining, is `homes`/ITS-ID. Raises
    CredentialsUnusable (KF164) for one that hasn't joined."""

    def connect(identity: Identity) -> BrokerClient:
        credentials = load(homes / identity.device)
        if credentials is None:
            raise CredentialsUnusable(path=homes / identity.device, detail="the device has not joined")
        return PahoClient(credentials.brokers(), identity.device, death_will(identity, prefix), tls=credentials.tls)

    return connect
