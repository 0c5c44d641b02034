"""Who sends a request, as the guard found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_server.accounts.need import Need, Role, suffices

Way = Literal["root", "local", "session", "token", "device"]


@dataclass(frozen=True)
class Caller:
    """way: by the machine's own key, as a page on this machine before there is any account, by signing in, by a
    program's token, or as a joined device, which has no role. name: of the account, the token or the device. session:
    the key of the session, "" without one."""

    name: str
    way: Way
    role: Role | None = None
    session: str = ""

    def may(self, least: Need) -> bool:
        if least == "public":
            return True
        if least == "device":
            return self.way == "device"
        return self.role is not None and suffices(self.role, least)
