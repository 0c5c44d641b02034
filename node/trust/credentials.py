"""What a joined device holds: its key, its certificate, the one root that it believes, and where its edge server is.

Files in $KINFLOW_HOME/trust/: key.pem (0600), certificate.pem, ca.pem, joined.json. A key and the certificate for
it are never replaced one without the other: a renewal keeps the key, a new joining moves a whole folder into place.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509
from msgspec import Meta, Struct

from node.broker.port import BrokerAddress
from node.errors import CredentialsUnusable
from node.trust.certificates import Facts, facts
from node.trust.keys import PrivateKey, key_pem, read_key, write_private, write_whole
from node.trust.known_time import FILE as TIME
from node.trust.known_time import KnownTime
from node.trust.tls import PinnedContext
from protocol.ids import SLUG_PATTERN, DeviceId
from protocol.messages.presence import Role

FOLDER = "trust"
KEY, CERTIFICATE, CA, JOINED = "key.pem", "certificate.pem", "ca.pem", "joined.json"

Slug = Annotated[DeviceId, Meta(pattern=SLUG_PATTERN)]
Host = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:%-]+$")]
Port = Annotated[int, Meta(ge=1, le=65535)]


class Joined(Struct, frozen=True, kw_only=True):
    """joined.json. hosts: addresses and names of the edge server, and of its pair, the best first. name: what people
    call this device, as the edge's operator wrote it. life_ms: how long its
    certificates last."""

    device: Slug
    edge: Slug
    role: Role
    hosts: Annotated[tuple[Host, ...], Meta(min_length=1, max_length=16)]
    http_port: Port = 8800
    mqtts_port: Port = 8883
    name: Annotated[str, Meta(max_length=100)] = ""
    life_ms: Annotated[int, Meta(ge=1)] = 7 * 86_400_000


@dataclass(frozen=True)
class Credentials:
    """folder: where the files lie. certificate, ca: PEM."""

    folder: Path
    joined: Joined
    ca: str
    certificate: str

    @property
    def device(self) -> DeviceId:
        return self.joined.device

    @property
    def edge(self) -> DeviceId:
        return self.joined.edge

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.joined.hosts

    @property
    def http_port(self) -> int:
        return self.joined.http_port

    @property
    def mqtts_port(self) -> int:
        return self.joined.mqtts_port

    @property
    def facts(self) -> Facts:
        return facts(x509.load_pem_x509_certificate(self.certificate.encode()))

    @property
    def time(self) -> KnownTime:
        return KnownTime(self.folder)

    def key(self) -> PrivateKey:
        """Raises CredentialsUnusable (KF164)."""
        return read_key(self.folder / KEY)

    def tls(self) -> PinnedContext:
        """A client's context: this site's root alone, our own certificate, and time as we know it best. Made anew for
        each connection it shows the newest certificate. Raises CredentialsUnusable (KF164)."""
        context = PinnedContext(self.ca, self.time.now_ms)
        try:
            context.load_cert_chain(self.folder / CERTIFICATE, self.folder / KEY)
        except OSError as error:
            raise CredentialsUnusable(path=self.folder, detail=str(error)) from error
        return context

    def brokers(self) -> tuple[BrokerAddress, ...]:
        return tuple(BrokerAddress(host=host, port=self.mqtts_port, tls=True) for host in self.hosts)


def load(home: Path) -> Credentials | None:
    """Those in a state folder; None where it has not joined. Raises CredentialsUnusable (KF164) for damaged ones."""
    return load_folder(home / FOLDER)


def load_folder(folder: Path) -> Credentials | None:
    recover(folder)
    if not (folder / JOINED).exists():
        return None
    try:
        joined = msgspec.json.decode((folder / JOINED).read_bytes(), type=Joined)
        ca = (folder / CA).read_text("ascii")
        certificate = (folder / CERTIFICATE).read_text("ascii")
        x509.load_pem_x509_certificate(ca.encode())
        found = Credentials(folder, joined, ca, certificate)
        known = found.facts
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise CredentialsUnusable(path=folder, detail=f"{type(error).__name__}: {error}") from error
    if known.device != joined.device:
        raise CredentialsUnusable(path=folder, detail="certificate.pem is another device's")
    return found


def save(folder: Path, key: PrivateKey, certificate: str, ca: str, joined: Joined) -> Credentials:
    """Put new credentials into place as a whole: at every moment the old ones or the new ones are there."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    write_private(fresh / KEY, key_pem(key))
    write_whole(fresh / CERTIFICATE, certificate.encode("ascii"))
    write_whole(fresh / CA, ca.encode("ascii"))
    if (folder / TIME).exists():
        shutil.copyfile(folder / TIME, fresh / TIME)
    write_whole(fresh / JOINED, msgspec.json.encode(joined))
    swap_in(fresh, folder)
    found = load_folder(folder)
    assert found is not None
    return found


def swap_in(fresh: Path, folder: Path) -> None:
    """A folder can't be renamed over a full one, so the old one steps aside first; recover() ends what a power cut
    between the two has begun."""
    aside = folder.with_name(folder.name + ".old")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    fresh.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def recover(folder: Path) -> None:
    """Of a renewal by joining anew, or of a move (node/trust/keeper.py)."""
    for suffix in (".old", ".before"):
        aside = folder.with_name(folder.name + suffix)
        if not folder.exists() and aside.exists():
            aside.rename(folder)


def update(credentials: Credentials, *, certificate: str | None = None, joined: Joined | None = None) -> Credentials:
    """The same key with a renewed certificate, or a changed joined.json."""
    if certificate is not None:
        write_whole(credentials.folder / CERTIFICATE, certificate.encode("ascii"))
    if joined is not None and joined != credentials.joined:
        write_whole(credentials.folder / JOINED, msgspec.json.encode(joined))
    found = load_folder(credentials.folder)
    assert found is not None
    return found
