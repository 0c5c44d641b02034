"""The authority's desk: devices come with a code and a request, and go with a certificate, or wait for a person."""

from __future__ import annotations

import hashlib
import secrets

from msgspec import structs

from node.errors import CsrRefused, JoinCodeRefused, JoinCodeUsed
from node.trust.csr import Request, read_csr
from node.trust.join_code import SECRET_BYTES, encode, new_code
from node.trust.judging import judge
from node.trust.records import CodeRow, DeviceRow, RequestRow
from node.trust.registry import Registry
from node.trust.wire import JoinAsk
from protocol.errors import KinflowError
from protocol.ids import DeviceId

CODE_MINUTES = 15
CODES_KEPT_MS = 90 * 86_400_000
_SALT = "salt"
_SCRYPT = {"n": 1 << 13, "r": 8, "p": 1, "dklen": 32}


class Desk:
    """Thread-safe, as its registry is."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._records = registry, registry.records
        with self._records.transaction():
            if self._records.meta(_SALT) is None:
                self._records.set_meta(_SALT, secrets.token_bytes(16))

    def make_code(
        self,
        minutes: float = CODE_MINUTES,
        *,
        device: str = "",
        role: str = "device",
        approved: bool = False,
        replaces: bool = False,
        actor: str = "root",
    ) -> tuple[str, CodeRow]:
        """A fresh code in plain text, which is kept nowhere, and what is kept of it."""
        code, now_ms = new_code(self._registry.authority.pin), self._registry.now_ms()
        row = CodeRow(
            id=secrets.token_hex(4),
            digest=self._digest(code.secret),
            made_ms=now_ms,
            made_by=actor,
            expires_ms=now_ms + round(minutes * 60_000),
            device=device,
            role=role,
            approved=approved,
            replaces=replaces,
        )
        with self._records.transaction():
            self._records.put("codes", row)
            self._records.run("DELETE FROM codes WHERE expires_ms < ?", now_ms - CODES_KEPT_MS)
            whom = f" for {device}" if device else ""
            how = ", approved in advance" if approved else ""
            self._registry.note("code-made", f"a join code was made{whom}{how}", actor=actor, device=device)
        return encode(code), row

    def codes(self) -> list[CodeRow]:
        """Those that may still be used."""
        rows = self._records.all(CodeRow, "codes", order="made_ms DESC", used_by="", cancelled=0)
        return [row for row in rows if row.expires_ms > self._registry.now_ms()]

    def cancel_code(self, number: str, actor: str = "root") -> bool:
        with self._records.transaction():
            row = self._records.one(CodeRow, "codes", id=number)
            if row is None or row.used_by:
                return False
            self._records.put("codes", structs.replace(row, cancelled=True))
            self._registry.note("code-cancelled", "a join code was cancelled", actor=actor, device=row.device)
            return True

    def join(self, ask: JoinAsk, address: str) -> RequestRow:
        """Take a request. Raises CsrRefused, JoinCodeRefused, JoinCodeUsed or DeviceIdTaken, each of which is written
        down."""
        digest = self._digest(bytes.fromhex(ask.secret))
        try:
            asked = read_csr(ask.csr)
            with self._records.transaction():
                return self._take(ask, asked, digest, address)
        except KinflowError as error:
            self._note_refusal(error, ask, address)
            raise

    def request(self, attempt: str) -> RequestRow | None:
        return self._records.one(RequestRow, "requests", id=attempt)

    def requests(self) -> list[RequestRow]:
        """Those that wait for a person, the oldest first."""
        return self._records.all(RequestRow, "requests", order="made_ms", state="pending")

    def approve(self, attempt: str, actor: str = "root") -> RequestRow | None:
        """None when there is no such request. Raises DeviceIdTaken (KF168)."""
        with self._records.transaction():
            row = self.request(attempt)
            if row is None or row.state != "pending":
                return row
            issued = self._registry.let_in(row)
            self._registry.note(
                "joined", f"{row.device} was let in", actor=actor, device=row.device, address=row.address
            )
            return issued

    def refuse(self, attempt: str, actor: str = "root") -> RequestRow | None:
        """None when there is no such request. Its code is spent."""
        with self._records.transaction():
            row = self.request(attempt)
            if row is None or row.state != "pending":
                return row
            refused = structs.replace(row, state="refused", decided_ms=self._registry.now_ms())
            self._records.put("requests", refused)
            text = f"{row.device} was not let in"
            self._registry.note("refused", text, actor=actor, device=row.device, address=row.address)
            return refused

    def _take(self, ask: JoinAsk, asked: Request, digest: bytes, address: str) -> RequestRow:
        records, now_ms = self._records, self._registry.now_ms()
        code = records.one(CodeRow, "codes", digest=digest)
        known = records.one(RequestRow, "requests", csr_digest=asked.digest.hex()) or self.request(ask.attempt)
        verdict = judge(asked, ask.attempt, code, self._user(code), known, self._holder(asked.device, code), now_ms)
        if verdict == "repeat":
            assert known is not None
            return known
        assert code is not None
        row = RequestRow(
            id=ask.attempt,
            code=code.id,
            device=asked.device,
            role=asked.role,
            csr=ask.csr,
            csr_digest=asked.digest.hex(),
            key_digest=asked.key_digest.hex(),
            address=address[:64],
            replaces=code.replaces,
            state="pending",
            made_ms=now_ms,
        )
        records.put("requests", row)
        records.put("codes", structs.replace(code, used_by=ask.attempt))
        if verdict == "issue":
            self._registry.note(
                "joined", f"{row.device} joined by a code", actor=code.made_by, device=row.device, address=address
            )
            return self._registry.let_in(row)
        self._registry.note("asks", f"{row.device} asks to join", device=row.device, address=address)
        return row

    def _user(self, code: CodeRow | None) -> str:
        row = self.request(code.used_by) if code is not None and code.used_by else None
        return row.device if row is not None else ""

    def _holder(self, device: DeviceId, code: CodeRow | None) -> DeviceRow | None:
        """Who goes by an id. The authority's own belongs to itself; a code for an edge server may share it, since the
        two of a pair go by one."""
        found = self._registry.device(device)
        if found is None and device == self._registry.authority.edge and (code is None or code.role != "edge"):
            return DeviceRow(
                device=device, role="edge", name="", state="joined", key_digest="", joined_ms=0, renewed_ms=0,
                expires_ms=0,
            )  # fmt: skip
        return found

    def _note_refusal(self, error: KinflowError, ask: JoinAsk, address: str) -> None:
        try:
            device = read_csr(ask.csr).device
        except CsrRefused:
            device = DeviceId("")
        text = f"{error.code}: {error.cause_text}"
        if isinstance(error, JoinCodeUsed):
            self._registry.note(
                "code-used-twice", text, device=device, address=address, severity="critical",
                alarm="join-code-used-twice",
            )  # fmt: skip
            return
        kind = "code-refused" if isinstance(error, JoinCodeRefused) else "join-refused"
        self._registry.note(kind, text, device=device, address=address, severity="warning")

    def _digest(self, secret: bytes) -> bytes:
        assert len(secret) == SECRET_BYTES
        salt = self._records.meta(_SALT)
        assert salt is not None
        return hashlib.scrypt(secret, salt=salt, **_SCRYPT)
