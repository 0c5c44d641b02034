"""Everything in the running city that can be spoilt, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, get_args

import msgspec

from sim_devices.controller.core import FaultMode
from sim_devices.errors import FaultUnknown
from sim_devices.faults.link_state import CUTS, LinkState
from sim_devices.faults.proxy import LinkProxy
from sim_devices.streams.channel import CAMERA_FAULTS, CameraFault, Channel

CONTROLLER_FAULTS: tuple[FaultMode, ...] = get_args(FaultMode)

Inject = Callable[[FaultMode | None], object]


class CameraWish(msgspec.Struct, forbid_unknown_fields=True):
    fault: CameraFault


class ControllerWish(msgspec.Struct, forbid_unknown_fields=True):
    fault: FaultMode | None


class FaultDesk:
    """Thread-safe. Subjects are named `cameras/<id>`, `controllers/<id>` and `links/<name>`."""

    def __init__(
        self,
        cameras: Mapping[str, Channel],
        controllers: Mapping[str, Inject],
        links: Mapping[str, LinkProxy],
    ) -> None:
        self._cameras = cameras
        self._controllers = controllers
        self._links = links
        self._injected: dict[str, FaultMode | None] = dict.fromkeys(controllers)

    def state(self) -> dict[str, Any]:
        """What is wrong now, and what could be."""
        return {
            "cameras": {name: {"fault": channel.fault} for name, channel in self._cameras.items()},
            "controllers": {name: {"fault": mode} for name, mode in self._injected.items()},
            "links": {
                name: {**asdict(link.state), "port": link.address[1], "connections": link.connections}
                for name, link in self._links.items()
            },
            "known": {"cameras": CAMERA_FAULTS, "controllers": [None, *CONTROLLER_FAULTS], "links": CUTS},
        }

    def apply(self, subject: str, wish: bytes) -> None:
        """wish: JSON. `{"fault": "frozen"}` for a camera, `{"fault": "dead"}` or null for a controller, LinkState's
        fields for a link; those left out are as on a healthy link. Raises FaultUnknown (KF98)."""
        kind, _, name = subject.partition("/")
        try:
            if kind == "cameras" and name in self._cameras:
                self._cameras[name].set_fault(msgspec.json.decode(wish, type=CameraWish).fault)
            elif kind == "controllers" and name in self._controllers:
                mode = msgspec.json.decode(wish, type=ControllerWish).fault
                self._controllers[name](mode)
                self._injected[name] = mode
            elif kind == "links" and name in self._links:
                values = msgspec.json.decode(wish, type=dict[str, Any])
                self._links[name].set_state(msgspec.convert(values, LinkState))
            else:
                raise FaultUnknown(name=wish[:80].decode(errors="replace"), subject=subject[:80])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FaultUnknown(name=str(error)[:120], subject=subject[:80]) from error
