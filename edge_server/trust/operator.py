"""What an operator does with devices: put out, rename, replace, send elsewhere. For the page and the command line."""

from __future__ import annotations

from msgspec import structs

from edge_server.errors import MoveRefused, NotKnown
from edge_server.trust.trust import EdgeTrust
from edge_server.trust.watch import SEEN
from node.trust.join_code import decode
from node.trust.records import AuditRow, CodeRow, DeviceRow
from protocol.ids import DeviceId, device_id


class Operator:
    """actor: who does it, for the audit. Methods raise NotKnown (KF92) for a device that never joined."""

    def __init__(self, trust: EdgeTrust, actor: str) -> None:
        self._trust, self.actor = trust, actor
        self._registry, self._records = trust.registry, trust.records

    def revoke(self, device: str) -> None:
        """Put a device out. It holds within a second."""
        row = self._row(device)
        self._registry.revoke(row.device)
        self._note("revoked", f"{row.device} was revoked", row.device)

    def rename(self, device: str, name: str) -> DeviceRow:
        """What people call it. The id stays: history, site and topics go by it."""
        name = " ".join(name.split())[:100]
        with self._records.transaction():
            row = structs.replace(self._row(device), name=name)
            self._records.put("devices", row)
            self._note("renamed", f"{row.device} is called {name!r}", row.device)
        return row

    def replace(self, device: str, minutes: float | None = None, *, approved: bool = True) -> tuple[str, CodeRow]:
        """A code with which another board takes this device's place and id. Until then the old one works on."""
        row = self._row(device)
        return self._trust.desk.make_code(
            minutes or self._trust.options.code_minutes,
            device=row.device,
            role="edge" if row.role == "edge" else "device",
            approved=approved,
            replaces=True,
            actor=self.actor,
        )

    def move(self, device: str, code: str, address: str) -> DeviceRow:
        """Send a device to another edge server, by a code that was made there. It keeps to this one until it is in.

        Raises JoinCodeMistyped (KF160), or MoveRefused (KF202) for a code of our own."""
        pinned = decode(code)
        if pinned.pins(self._trust.authority.pin):
            raise MoveRefused(detail="the code is of this edge server itself")
        if not address or len(address) > 260 or any(sign.isspace() or sign in "/@?#" for sign in address):
            raise MoveRefused(detail="the address must be HOST or HOST:PORT")
        with self._records.transaction():
            row = self._row(device)
            if row.state != "joined":
                raise MoveRefused(detail=f"{row.device} was revoked")
            row = structs.replace(row, move_to=address, move_code=code)
            self._records.put("devices", row)
            self._note("moving", f"{row.device} is to go to {address}", row.device)
        return row

    def moved(self, device: DeviceId, failed: str) -> None:
        """The device says how it went. Once it is gone, it is put out here."""
        with self._records.transaction():
            row = self._row(device)
            if not row.move_to:
                return
            address = row.move_to
            self._records.put("devices", structs.replace(row, move_to="", move_code=""))
            if failed:
                text = f"{device} stays here: it could not join {address}: {failed}"
                self._registry.note("move-failed", text, actor=self.actor, device=device, severity="warning")
                return
            self._registry.revoke(device)
            self._note("moved", f"{device} has joined {address}, and is gone from here", device)

    def seen(self) -> int:
        """A person has looked at the alarms of this kind: they are cleared. How many there were."""
        with self._records.transaction():
            rows = self._records.run(
                "SELECT DISTINCT alarm FROM audit WHERE alarm != '' AND id > "
                "(SELECT coalesce(max(id), 0) FROM audit WHERE kind = ?)",
                SEEN,
            )
            for (alarm,) in rows:
                text = f"{self.actor} has looked into it"
                self._registry.note(SEEN, text, actor=self.actor, alarm=alarm)
            return len(rows)

    def audit(self, limit: int = 100) -> list[AuditRow]:
        """The newest first."""
        return self._records.all(AuditRow, "audit", order="id DESC", limit=limit)

    def _row(self, device: str) -> DeviceRow:
        row = self._registry.device(device_id(device))
        if row is None:
            raise NotKnown(kind="joined device", name=device[:63])
        return row

    def _note(self, kind: str, text: str, device: DeviceId) -> None:
        self._registry.note(kind, text, actor=self.actor, device=device)
