"""Devices and their certificates: let in, renewed, put out. What the desk and the operator both rest on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from msgspec import structs

from node.errors import CsrRefused, DeviceIdTaken
from node.trust.authority import Authority
from node.trust.certificates import DEVICE_LIFE, Facts, expires_ms, pem, serial_of
from node.trust.csr import Request, read_csr
from node.trust.records import AuditRow, CertificateRow, DeviceRow, Records, RequestRow, Severity
from node.trust.renewal import may_renew
from node.trust.wire import Members
from protocol.ids import DeviceId

AUDIT_KEPT = 20_000
CERTIFICATES_KEPT_MS = 90 * 86_400_000


class Registry:
    """now_ms: the authority's clock. life: of the certificates that it makes from now on. Thread-safe, and several
    processes may have one each on the same files."""

    def __init__(
        self, authority: Authority, records: Records, now_ms: Callable[[], int], life: timedelta = DEVICE_LIFE
    ) -> None:
        self.authority, self.records, self.now_ms, self.life = authority, records, now_ms, life
        if not (authority.folder / "crl.pem").exists():
            self.publish_crl()

    def device(self, device: str) -> DeviceRow | None:
        return self.records.one(DeviceRow, "devices", device=device)

    def devices(self) -> list[DeviceRow]:
        return self.records.all(DeviceRow, "devices", order="device")

    def let_in(self, request: RequestRow) -> RequestRow:
        """Give a request its certificate. A device that it replaces is put out. Raises DeviceIdTaken (KF168)."""
        with self.records.transaction():
            before = self.device(request.device)
            if before is not None and before.state == "joined" and not request.replaces:
                raise DeviceIdTaken(device=request.device)
            replaced = before is not None and self._revoke_certificates(request.device) > 0
            made, now_ms = self._certificate(read_csr(request.csr)), self.now_ms()
            self.records.put(
                "devices",
                DeviceRow(
                    device=request.device,
                    role=request.role,
                    name=before.name if before is not None else "",
                    state="joined",
                    key_digest=request.key_digest,
                    joined_ms=now_ms,
                    renewed_ms=now_ms,
                    expires_ms=made[1],
                ),
            )
            issued = structs.replace(request, state="issued", decided_ms=now_ms, certificate=made[0])
            self.records.put("requests", issued)
            self.records.raise_revision()
            if replaced:
                self.publish_crl()
            return issued

    def renew(self, known: Facts, csr: str) -> str:
        """A new certificate, PEM, for the device that `known` says, by the same key. Raises CsrRefused (KF165)."""
        asked = read_csr(csr)
        if (asked.device, asked.role, asked.key_digest) != (known.device, known.role, known.key_digest):
            raise CsrRefused(detail="it asks for another name, role or key than the device has")
        with self.records.transaction():
            device = self.adopted(known)
            made = self._certificate(asked)
            self.records.put("devices", structs.replace(device, renewed_ms=self.now_ms(), expires_ms=made[1]))
            return made[0]

    def revoke(self, device: DeviceId) -> int:
        """Put a device out; how many certificates that took. The broker is told by whoever watches the revision."""
        with self.records.transaction():
            row = self.device(device)
            if row is not None:
                self.records.put("devices", structs.replace(row, state="revoked", move_to="", move_code=""))
            count = self._revoke_certificates(device)
            self.records.raise_revision()
            self.publish_crl()
            return count

    def allowed(self, known: Facts, now_ms: int) -> str:
        """Why a device with this certificate may not ask, "" when it may. One that the records don't know is let in by
        the certificate alone: they may have been restored from before it joined."""
        device = self.device(known.device)
        certificate = self.records.one(CertificateRow, "certificates", serial=known.serial)
        if certificate is not None and certificate.revoked_ms:
            return "its certificate was revoked"
        if device is not None and device.state != "joined":
            return "it was revoked"
        if device is not None and device.key_digest != known.key_digest.hex():
            return "another key has taken its place"
        if not may_renew(known.expires_ms, now_ms):
            return "its certificate ended more than 30 days ago"
        if device is None and known.expires_ms < now_ms:
            return "it is not known here, and its certificate has ended"
        return ""

    def adopted(self, known: Facts) -> DeviceRow:
        """The device's row, made from its certificate where a backup lacked it."""
        found = self.device(known.device)
        if found is not None:
            return found
        with self.records.transaction():
            row = DeviceRow(
                device=known.device,
                role=known.role,
                name="",
                state="joined",
                key_digest=known.key_digest.hex(),
                joined_ms=self.now_ms(),
                renewed_ms=0,
                expires_ms=known.expires_ms,
            )
            self.records.put("devices", row)
            self.records.raise_revision()
            text = f"{known.device} was taken in again by its certificate: these records did not know it"
            self.note("adopted", text, device=known.device, severity="warning")
            return row

    def members(self) -> Members:
        """For the other edge server of a pair."""
        devices = tuple(structs.replace(row, move_to="", move_code="") for row in self.devices())
        rows = self.records.all(CertificateRow, "certificates")
        return Members(devices=devices, revoked=tuple(row for row in rows if row.revoked_ms))

    def merge(self, theirs: Members) -> bool:
        """Take over what the other edge server of a pair, with the same root, knows better: the later joining of a
        device, and of one joining its revocation. Whether that changed who may come in."""
        with self.records.transaction():
            known = {row.serial for row in self.records.all(CertificateRow, "certificates") if row.revoked_ms}
            fresh = [row for row in theirs.revoked if row.revoked_ms and row.serial not in known]
            for certificate in fresh:
                self.records.put("certificates", structs.replace(certificate, put_out=False))
            changed = bool(fresh)
            for row in theirs.devices:
                mine = self.device(row.device)
                if mine is not None and _later(mine) >= _later(row):
                    continue
                self.records.put("devices", structs.replace(row, move_to="", move_code=""))
                changed |= mine is None or (mine.state, mine.key_digest) != (row.state, row.key_digest)
            if changed:
                self.records.raise_revision()
                self.publish_crl()
            return changed

    def publish_crl(self) -> None:
        """Write the list of revoked certificates anew. None is ever left out: a clock that runs ahead must not bring
        one back."""
        with self.records.transaction():
            rows = self.records.run("SELECT serial, revoked_ms FROM certificates WHERE revoked_ms > 0")
            self.authority.publish_crl([(row[0], row[1]) for row in rows], self.records.revision + 1)

    def note(
        self,
        kind: str,
        text: str,
        *,
        actor: str = "edge",
        device: str = "",
        address: str = "",
        severity: Severity = "info",
        alarm: str = "",
    ) -> None:
        """Write down what happened; the edge server tells people. Never a secret."""
        row = AuditRow(
            at_ms=self.now_ms(),
            actor=actor[:100],
            kind=kind,
            text=text[:400],
            severity=severity,
            device=device,
            address=address[:64],
            alarm=alarm,
        )
        with self.records.transaction():
            self.records.put("audit", row)
            self.records.run("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", AUDIT_KEPT)

    def _certificate(self, asked: Request) -> tuple[str, int]:
        """PEM, and when it ends."""
        now_ms = self.now_ms()
        made = self.authority.issue(asked, now_ms, self.life)
        row = CertificateRow(serial=serial_of(made), device=asked.device, issued_ms=now_ms, expires_ms=expires_ms(made))
        self.records.put("certificates", row)
        self.records.run(
            "DELETE FROM certificates WHERE device = ? AND revoked_ms = 0 AND expires_ms < ?",
            asked.device,
            now_ms - CERTIFICATES_KEPT_MS,
        )
        return pem(made).decode("ascii"), expires_ms(made)

    def _revoke_certificates(self, device: DeviceId) -> int:
        """Those that have ended too: the edge server's clock may be wrong about that."""
        found = self.records.run("SELECT serial FROM certificates WHERE device = ? AND revoked_ms = 0", device)
        self.records.run(
            "UPDATE certificates SET revoked_ms = ?, put_out = 0 WHERE device = ? AND revoked_ms = 0",
            max(1, self.now_ms()),
            device,
        )
        return len(found)


def _later(row: DeviceRow) -> tuple[int, bool, int, str]:
    return row.joined_ms, row.state == "revoked", row.renewed_ms, row.name
