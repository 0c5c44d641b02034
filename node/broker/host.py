"""Choose and start one of the brokers that Kinflow can run itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from node.broker.mosquitto import MosquittoBroker, find_mosquitto
from node.broker.port import BrokerHost
from node.ports import LOOPBACK

Kind = Literal["mosquitto", "amqtt", "auto"]


def start_broker(kind: Kind, folder: Path, port: int, password: str, bind: str = LOOPBACK) -> BrokerHost:
    """Start a broker and return it. `auto` is mosquitto where it is installed, else amqtt in this process."""
    broker: BrokerHost
    if kind == "mosquitto" or (kind == "auto" and find_mosquitto() is not None):
        broker = MosquittoBroker(folder, port, password, bind)
    else:
        from node.broker.amqtt_broker import AmqttBroker  # noqa: PLC0415 (it takes 20 MB that most never need)

        broker = AmqttBroker(folder, port, password, bind)
    broker.start()
    return broker
