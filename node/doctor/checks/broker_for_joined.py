from __future__ import annotations

from collections.abc import Callable

from node.broker.mosquitto import find_mosquitto
from node.doctor.check import Context
from node.errors import BrokerNotForJoined

AUTHORITY = "authority/ca.pem"


class BrokerForJoined:
    """An edge server that devices have joined needs a broker that knows certificates."""

    title = "Joined devices can come in"
    error = BrokerNotForJoined

    def __init__(self, mosquitto: Callable[[], str | None] = find_mosquitto) -> None:
        self._mosquitto = mosquitto

    def run(self, context: Context) -> str:
        if not (context.home / AUTHORITY).is_file():
            return "No device has joined anything here."
        broker = context.settings().settings.broker
        if broker.url:
            return "A broker of your own is used: its users, rules and TLS are yours to set."
        if broker.kind == "amqtt":
            raise BrokerNotForJoined(detail="broker.kind is 'amqtt', which knows no certificates")
        if self._mosquitto() is None:
            raise BrokerNotForJoined(detail="mosquitto is not installed")
        return f"mosquitto lets them in by TLS on port {broker.tls_port}."
