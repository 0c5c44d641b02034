"""How a gateway enters the broker."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge_server.cabinet import making
from node.broker.password import broker_password
from node.clock import ManualClock
from node.config.schema import Broker
from node.errors import CredentialsUnusable
from node.identity import Identity
from protocol.ids import DeviceId

CONTROLLER = Identity(DeviceId("controller-north"), ManualClock())


def test_from_nowhere_it_enters_no_broker(tmp_path):
    with pytest.raises(CredentialsUnusable, match="nothing has joined"):
        making.connection(tmp_path, Broker(), None)(CONTROLLER)


def test_beside_an_edge_server_it_enters_that_ones(tmp_path):
    broker_password(tmp_path)
    client = making.connection(tmp_path, Broker(port=11883), None)(CONTROLLER)
    assert not client.connected


def test_what_joined_as_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "load_credentials", lambda _: SimpleNamespace(device="controller-south"))
    with pytest.raises(CredentialsUnusable, match="joined as controller-south"):
        making.connection(tmp_path, Broker(), None)(CONTROLLER)
