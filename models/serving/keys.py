"""Keys for programs that ask `/v1`: each belongs to a tenant, and a tenant may be held to limits.

A key is 256 random bits and shown once; the file has its SHA-256 alone. Nobody can guess 256 bits, so there is nothing
that a slow hash would slow down.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from models.errors import KeysUnusable, KeyTaken, KeyUnknown
from models.serving.limits import Allowed
from node.update.durable import write_durably
from protocol.ids import slug

FILE_NAME = "serving-keys.json"
PREFIX = "kfk_"
EVERYTHING = Allowed()


class Key(Struct, frozen=True, kw_only=True):
    """sha256: of the key, in hexadecimal. made_s: when, in seconds of Unix time."""

    name: str
    tenant: str
    sha256: str
    made_s: int


class KeyRing(Struct, frozen=True, kw_only=True):
    """What the file holds. tenants: of those that are held to limits."""

    version: int = 1
    keys: tuple[Key, ...] = ()
    tenants: dict[str, Allowed] = {}

    def tenant_of(self, secret: str) -> str | None:
        """Every key is compared, and each in constant time: how long it takes tells nothing."""
        given, found = digest(secret), None
        for key in self.keys:
            if hmac.compare_digest(given, key.sha256):
                found = key.tenant
        return found

    def allowed(self, tenant: str) -> Allowed:
        return self.tenants.get(tenant, EVERYTHING)

    def with_key(self, key: Key, allowed: Allowed | None) -> KeyRing:
        """allowed: the limits of its tenant from now on, None for those that it has. Raises KeyTaken (KF512)."""
        if any(one.name == key.name for one in self.keys):
            raise KeyTaken(name=key.name)
        tenants = self.tenants if allowed is None else {**self.tenants, key.tenant: allowed}
        return replace(self, keys=(*self.keys, key), tenants=tenants)

    def without(self, name: str) -> KeyRing:
        """A tenant's limits go with its last key. Raises KeyUnknown (KF513)."""
        keys = tuple(one for one in self.keys if one.name != name)
        if len(keys) == len(self.keys):
            raise KeyUnknown(name=name[:63])
        left = {one.tenant for one in keys}
        return replace(self, keys=keys, tenants={one: each for one, each in self.tenants.items() if one in left})


class KeyFile:
    """Safe from any thread. Another process may change the file meanwhile: it is looked at anew with each question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[object, KeyRing] = (None, KeyRing())
        self._lock = threading.Lock()

    def ring(self) -> KeyRing:
        """Raises KeysUnusable (KF510)."""
        with self._lock:
            try:
                status = self._path.stat()
            except FileNotFoundError:
                return KeyRing()
            except OSError as error:
                raise KeysUnusable(path=self._path, detail=type(error).__name__) from error
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._seen[0] != mark:
                self._seen = mark, self._read(status.st_mode)
            return self._seen[1]

    def tenant_of(self, secret: str) -> str | None:
        """None for what is no key. Raises KeysUnusable (KF510)."""
        return self.ring().tenant_of(secret) if secret.startswith(PREFIX) else None

    def add(self, name: str, tenant: str = "", allowed: Allowed | None = None) -> str:
        """The key, which is shown to nobody again. tenant: "" for one of the key's own name. Raises InvalidId (KF10),
        KeyTaken (KF512), KeysUnusable (KF510)."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            name=slug(name, "key name"),
            tenant=slug(tenant or name, "tenant"),
            sha256=digest(secret),
            made_s=int(time.time()),
        )
        self._change(lambda ring: ring.with_key(key, allowed))
        return secret

    def revoke(self, name: str) -> None:
        """Raises KeyUnknown (KF513), KeysUnusable (KF510)."""
        self._change(lambda ring: ring.without(name))

    def _read(self, mode: int) -> KeyRing:
        if mode & 0o077:
            raise KeysUnusable(path=self._path, detail="others than its owner may read it")
        try:
            ring = msgspec.json.decode(self._path.read_bytes(), type=KeyRing)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeysUnusable(path=self._path, detail=str(error)[:120]) from error
        if ring.version != 1:
            raise KeysUnusable(path=self._path, detail=f"it is of version {ring.version}, which a newer Kinflow wrote")
        return ring

    def _change(self, change: Callable[[KeyRing], KeyRing]) -> None:
        ring = change(self.ring())
        try:
            write_durably(self._path, msgspec.json.format(msgspec.json.encode(ring), indent=2) + b"\n", 0o600)
        except OSError as error:
            raise KeysUnusable(path=self._path, detail=type(error).__name__) from error


def digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
