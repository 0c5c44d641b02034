"""Speaks to the fault panel of a running city."""

from __future__ import annotations

import json
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim_devices.errors import CityNotRunning, FaultUnknown

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class FaultClient:
    """url: of the panel's list, as CityProcess.describe() gives it."""

    url: str
    token: str = field(repr=False)

    @classmethod
    def of_city(cls, folder: Path) -> FaultClient:
        """The panel of the city that was started from this folder. Raises CityNotRunning (KF99)."""
        try:
            values = tomllib.loads((folder / "panel.toml").read_text("utf-8"))
            return cls(values["url"], values["token"])
        except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
            raise CityNotRunning(folder=folder) from error

    def state(self) -> dict[str, Any]:
        """What is wrong now, and what could be."""
        return self._ask("GET", self.url, None)

    def set(self, subject: str, wish: str) -> dict[str, Any]:
        """See FaultDesk.apply. Raises FaultUnknown (KF98) or CityNotRunning (KF99)."""
        return self._ask("PUT", f"{self.url}/{subject}", wish.encode())

    def _ask(self, method: str, url: str, body: bytes | None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)  # noqa: S310 (our own panel)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise FaultUnknown(subject=url.rpartition("/faults/")[2], name=(body or b"").decode()) from error
        except OSError as error:
            raise CityNotRunning(folder=self.url) from error
