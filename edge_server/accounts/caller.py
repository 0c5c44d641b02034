"""Who sends a request, as the guard found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_server.accounts.need import Need, Role, suffices

Way = Literal["root", "local", "session", "token", "device", "key"]


@dataclass(frozen=True)
class Caller:
    """way: by the machine's own key, as a page on this machine before there is any account, by signing in, by a
    program's token, as a joined device or by a key for the member, which have no role. name: of the account, the token,
    the device or the key's tenant. session:
    the key of the session, "" without one."""

    name: str
    way: Way
    role: Role | None = None
    session: str = ""

    @property
    def tenant(self) -> str:
        """For whom a member answers; "" for who administers the machine."""
        if self.way in {"root", "local"}:
            return ""
        return self.name if self.way == "key" else f"{self.way}:{self.name}"

    def may(self, least: Need) -> bool:
        if least == "public":
            return True
        if least == "device":
            return self.way == "device"
        if least == "model":
            return self.way == "key" or self.may("viewer")
        return self.role is not None and suffices(self.role, least)
