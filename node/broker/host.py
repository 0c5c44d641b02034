"""Choose and start one of the brokers that Kinflow can run itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.port import BrokerHost
from node.broker.tls import BrokerTls
from node.errors import BrokerNotForJoined

Kind = Literal["mosquitto", "amqtt", "auto"]


def start_broker(kind: Kind, folder: Path, port: int, password: str, tls: BrokerTls | None = None) -> BrokerHost:
    """Start a broker on loopback and return it. `auto` is mosquitto where it is installed, else amqtt in this process.

    tls: the door for joined devices, which mosquitto alone has; raises BrokerNotForJoined (KF170) elsewhere, before
    anything is started."""
    broker: BrokerHost
    if takes_joined(kind):
        broker = MosquittoBroker(folder, port, password, tls)
    else:
        if tls is not None:
            raise BrokerNotForJoined(detail="this edge server's broker is amqtt, which knows no certificates")
        from node.broker.amqtt_broker import AmqttBroker  # noqa: PLC0415 (it takes 20 MB that most never need)

        broker = AmqttBroker(folder, port, password)
    broker.start()
    return broker


def takes_joined(kind: Kind) -> bool:
    """Whether the broker that this kind comes to can let joined devices in."""
    return kind == "mosquitto" or (kind == "auto" and find_mosquitto() is not None)
