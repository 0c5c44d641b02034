"""What the gateway is given of trust."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from edge_server.trust.device_routes import DeviceDesk, device_routes
from edge_server.trust.operator_routes import operator_routes
from edge_server.trust.trust import EdgeTrust
from edge_server.trust.watch import TrustWatch


@dataclass(frozen=True)
class TrustParts:
    trust: EdgeTrust
    watch: TrustWatch
    pair: APIRouter
    neighbours: APIRouter | None = None

    def routers(self) -> list[APIRouter]:
        own = [device_routes(DeviceDesk(self.trust, self.watch)), operator_routes(self.trust, self.watch), self.pair]
        return own if self.neighbours is None else [*own, self.neighbours]
