from __future__ import annotations

import importlib.util
from collections.abc import Callable

from node.broker.address import format_broker, parse_broker
from node.broker.mosquitto import find_mosquitto
from node.doctor.check import Context
from node.errors import ToolMissing


def has_amqtt() -> bool:
    return importlib.util.find_spec("amqtt") is not None


class BrokerPresent:
    title = "There is a broker"
    error = ToolMissing

    def __init__(
        self, mosquitto: Callable[[], str | None] = find_mosquitto, amqtt: Callable[[], bool] = has_amqtt
    ) -> None:
        self._mosquitto = mosquitto
        self._amqtt = amqtt

    def run(self, context: Context) -> str:
        broker = context.settings().settings.broker
        if broker.url:
            return f"The one at {format_broker(parse_broker(broker.url))} is used."
        path = self._mosquitto()
        if path and broker.kind != "amqtt":
            return f"mosquitto ({path}) is used."
        if self._amqtt() and broker.kind != "mosquitto":
            return "amqtt, built in, is used; mosquitto holds more messages a second (sudo apt install mosquitto)."
        raise ToolMissing(
            tool="amqtt" if broker.kind == "amqtt" else "mosquitto",
            detail=f"broker.kind is {broker.kind!r}, and no such broker is installed",
            remedy="Run `sudo apt install mosquitto`, or set broker.kind to auto and install the extra `edge`.",
        )
