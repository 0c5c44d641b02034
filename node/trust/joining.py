"""A device joins: it pins the root by the code, shows the secret, and keeps what it is given.

What is under way lies in $KINFLOW_HOME/trust.joining, so that a joining that was cut off goes on where it stood: with
the same key and the same request. Credentials that are there already stay in use until new ones are whole.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509
from msgspec import Struct

from node.errors import CredentialsUnusable, EdgeNotReached
from node.trust import credentials as stored
from node.trust.asking import PLAIN_HOSTS, ask_time, asker_of, find_root
from node.trust.certificates import facts
from node.trust.credentials import FOLDER, Credentials, Joined
from node.trust.csr import make_csr
from node.trust.join_code import JoinCode
from node.trust.keys import PrivateKey, fingerprint, key_pem, new_key, read_key, spki_digest, write_private
from node.trust.known_time import KnownTime
from node.trust.wire import JoinAnswer, JoinAsk, Standing
from protocol.errors import KinflowError
from protocol.ids import DeviceId
from protocol.messages.presence import Role

UNDER_WAY = "trust.joining"
_STATE = "joining.json"
POLL_S = 2.0


class _UnderWay(Struct, frozen=True, kw_only=True):
    """code: the hash of the code that this is for; never the code."""

    code: str
    attempt: str
    device: str
    role: str


@dataclass(frozen=True)
class Progress:
    """state: pending, issued or refused. fingerprint: of our key, for people to compare."""

    state: str
    fingerprint: str
    credentials: Credentials | None = None


@dataclass(frozen=True)
class Joining:
    """What is asked for. home: the state folder."""

    home: Path
    code: JoinCode
    host: str
    port: int
    device: DeviceId
    role: Role = "agent"
    folder: str = FOLDER

    def ask(self) -> Progress:
        """Ask once. Raises EdgeNotReached, EdgeNotPinned or EdgeRefused; nothing of ours has changed then."""
        root, certificate = find_root(self.host, self.port, self.code)
        asker = asker_of(self.host, self.port, root.ca)
        under_way, key = self._under_way()
        # On plain HTTP this is what shows that the root's owner answers, before the secret is sent.
        now_ms = ask_time(asker, certificate)
        csr = self._csr()
        ask = JoinAsk(attempt=under_way.attempt, secret=self.code.secret.hex(), csr=csr)
        answer = asker.post("/join", ask, JoinAnswer)
        if answer.state == "issued" and answer.standing is not None:
            return self._take(answer.standing, root.ca, key, now_ms)
        if answer.state == "refused":
            shutil.rmtree(self._folder, ignore_errors=True)
        return Progress(answer.state, fingerprint(spki_digest(key.public_key())))

    def wait(self, told: Callable[[Progress], None], limit_s: float | None = None) -> Progress:
        """Ask until a person has agreed or refused, or the limit has passed. An edge server that is away for a while
        is waited for once it has answered. told: called with the first answer."""
        deadline = None if limit_s is None else time.monotonic() + limit_s
        progress = self.ask()
        told(progress)
        while progress.state == "pending" and (deadline is None or time.monotonic() < deadline):
            time.sleep(POLL_S)
            try:
                progress = self.ask()
            except EdgeNotReached:
                continue
        return progress

    @property
    def _folder(self) -> Path:
        return self.home / (UNDER_WAY if self.folder == FOLDER else f"{self.folder}.joining")

    def _under_way(self) -> tuple[_UnderWay, PrivateKey]:
        """Ours as it was left, when it is for the same code and the same device; else begun anew."""
        wanted = hashlib.sha256(b"kinflow-code" + self.code.pin + self.code.secret).hexdigest()
        try:
            found = msgspec.json.decode((self._folder / _STATE).read_bytes(), type=_UnderWay)
            if (found.code, found.device, found.role) == (wanted, self.device, self.role):
                return found, read_key(self._folder / stored.KEY)
        except (OSError, msgspec.MsgspecError, CredentialsUnusable):
            pass
        shutil.rmtree(self._folder, ignore_errors=True)
        key = new_key()
        fresh = _UnderWay(code=wanted, attempt=secrets.token_hex(16), device=self.device, role=self.role)
        write_private(self._folder / stored.KEY, key_pem(key))
        write_private(self._folder / "request.pem", make_csr(key, self.device, self.role).encode())
        write_private(self._folder / _STATE, msgspec.json.encode(fresh))
        return fresh, key

    def _csr(self) -> str:
        """The very same each time: an ECDSA signature is another one whenever it is made."""
        try:
            return (self._folder / "request.pem").read_text("ascii")
        except OSError as error:
            raise CredentialsUnusable(path=self._folder, detail="request.pem can't be read") from error

    def _take(self, standing: Standing, ca: str, key: PrivateKey, now_ms: int) -> Progress:
        known = facts(x509.load_pem_x509_certificate(standing.certificate.encode()))
        if known.device != self.device or known.key_digest != spki_digest(key.public_key()):
            raise EdgeNotReached(host=self.host, detail="its certificate is not for this device's key")
        made = stored.save(
            self.home / self.folder, key, standing.certificate, ca, joined_of(standing, self.host, self.port)
        )
        KnownTime(made.folder).learn(now_ms)
        shutil.rmtree(self._folder, ignore_errors=True)
        return Progress("issued", fingerprint(known.key_digest), made)


def joined_of(standing: Standing, host: str, port: int) -> Joined:
    """host: by which it was reached, which works; then what it says of itself."""
    hosts = tuple(dict.fromkeys((host, *standing.hosts)))
    # A device on the edge server's own machine reaches the broker's TLS by the address that it listens on.
    if host in PLAIN_HOSTS and standing.hosts:
        hosts = tuple(dict.fromkeys((*standing.hosts, host)))
    return Joined(
        device=standing.device,
        edge=standing.edge,
        role=standing.role,
        hosts=hosts[:16],
        http_port=port,
        mqtts_port=standing.mqtts_port,
        name=standing.name,
        life_ms=standing.life_ms,
    )


def reachable(host: str, port: int, code: JoinCode) -> bool:
    """Whether the edge server that made the code answers there; for choosing among those that mDNS has found."""
    try:
        find_root(host, port, code)
    except KinflowError:
        return False
    return True
