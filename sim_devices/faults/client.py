"""Speaks to the fault panel of a running city. Never through a proxy that the environment names: it is on loopback."""

from __future__ import annotations

import http.client
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sim_devices.errors import CityNotRunning, FaultUnknown

PANEL_FILE = "panel.toml"
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class FaultClient:
    """url: of the panel's list, ending in /faults."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def of_city(cls, folder: Path) -> FaultClient:
        """The panel that the city of this folder wrote down. Raises CityNotRunning (KF99)."""
        try:
            written = tomllib.loads((folder / PANEL_FILE).read_text("utf-8"))
            return cls(written["url"], written["token"])
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            raise CityNotRunning(folder=folder) from error

    def state(self) -> dict[str, Any]:
        """What is wrong now, and what could be. Raises CityNotRunning (KF99)."""
        return self._ask("GET", "", None)

    def set(self, subject: str, wish: str) -> dict[str, Any]:
        """Apply a wish (JSON) to a subject; see FaultDesk.apply. The state afterwards. Raises FaultUnknown (KF98) or
        CityNotRunning (KF99)."""
        return self._ask("PUT", f"/{subject}", wish.encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, parts.path + path, body, {"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise CityNotRunning(folder=self.url) from error
        finally:
            connection.close()
        if response.status == http.client.OK:
            return answer
        if answer.get("code") == FaultUnknown(name="", subject="").code:
            raise FaultUnknown(name=(body or b"").decode()[:80], subject=path.strip("/")[:80])
        raise CityNotRunning(folder=f"{self.url}: {answer.get('error', response.status)}")
