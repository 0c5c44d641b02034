"""A browser on the dashboard: Debian's Chromium, and a watch that nothing is said on the console and nothing is asked
of anybody else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request

from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from tests.edge_server.gateway.demo_edge import DemoEdge

DEADLINE_MS = 15_000
# The password of every account.
GOOD = "four words nobody joins"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 812}


@dataclass
class Watch:
    """What went wrong on a page. offline: refused connections are expected now, and nothing else is.
    refused: so are answers with a 4xx status, which the browser logs by itself."""

    port: int
    wrong: list[str] = field(default_factory=list)
    offline: bool = False
    refused: bool = False

    def console(self, message: ConsoleMessage) -> None:
        if self.offline and "net::ERR_" in message.text:
            return
        if self.refused and re.search(r"status of 4\d\d", message.text):
            return
        if message.type in {"error", "warning"}:
            self.wrong.append(f"console {message.type}: {message.text}")

    def request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in {"http", "https", "ws", "wss"} and (url.hostname, url.port) != ("127.0.0.1", self.port):
            self.wrong.append(f"outside request: {request.url}")

    def attach(self, page: Page) -> None:
        page.on("console", self.console)
        page.on("request", self.request)
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))


class Served:
    """A demo edge behind the real gateway over uvicorn, which can be stopped and started again on its port."""

    def __init__(self, edge: DemoEdge) -> None:
        self.edge = edge
        self.port = 0
        self.start()

    def start(self) -> None:
        self._server = GatewayServer(Gateway(self.edge.context), port=self.port)
        self._server.start()
        self.port = self._server.port

    def stop(self) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"
