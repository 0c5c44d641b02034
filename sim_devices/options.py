"""What a run of the simulated city can be told."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from node.broker.port import BrokerAddress
from protocol.topics import DEFAULT_PREFIX
from sim_devices.city.layout import CityLayout
from sim_devices.city.sumo import EmergencyModel

# Who tells the edge what the road is like: agents that watch the rendered cameras, or the simulation itself.
Sensing = Literal["camera", "truth"]


def new_token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class CityOptions:
    """weather: one of sim_devices.render.weather.WEATHERS. level: one of sim_devices.city.demand.LEVELS. Ports: 0 takes
    a free one. agent_link_port, edge_link_port: where a proxy to the broker listens, so that the fault panel can cut
    agents or the edge off; None makes none. (The controllers always go through one.)"""

    home: Path
    broker: BrokerAddress
    seed: int = 1
    weather: str = "day"
    level: str = "normal"
    sensing: Sensing = "camera"
    emergency: EmergencyModel = "obeys-signals"
    layout: CityLayout = field(default_factory=CityLayout)
    prefix: str = DEFAULT_PREFIX
    camera_port: int = 0
    panel_port: int = 0
    panel_token: str = field(default_factory=new_token, repr=False)
    agent_link_port: int | None = None
    edge_link_port: int | None = None
