"""SNMP as the adapter needs it: read some objects, write some objects, in one exchange each. pysnmp behind it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdgen
from pysnmp.proto import errind, rfc1902, rfc1905

from edge_server.cabinet.ntcip.objects import Oid
from edge_server.cabinet.ntcip.security import Security, User
from edge_server.errors import CabinetRefused, CabinetUnreachable
from protocol.errors import KinflowError

TIMEOUT_S = 0.5
TRIES = 3
# Far beyond all tries: nothing waits for ever for a library to call back.
GIVE_UP_S = 10.0
# One that is silent may be another one by now, or have lost its memory: it is got to know anew, this often at most.
ANEW_S = 5.0
# So many varbinds of small integers stay far below the 484 bytes that every SNMP agent has to take.
MOST_OBJECTS = 24

AUTHENTICATION = {
    "sha-224": config.USM_AUTH_HMAC128_SHA224,
    "sha-256": config.USM_AUTH_HMAC192_SHA256,
    "sha-384": config.USM_AUTH_HMAC256_SHA384,
    "sha-512": config.USM_AUTH_HMAC384_SHA512,
    "sha-1": config.USM_AUTH_HMAC96_SHA,
    "md5": config.USM_AUTH_HMAC96_MD5,
    "none": config.USM_AUTH_NONE,
}
PRIVACY = {
    "aes-128": config.USM_PRIV_CFB128_AES,
    "aes-192": config.USM_PRIV_CFB192_AES,
    "aes-256": config.USM_PRIV_CFB256_AES,
    "des": config.USM_PRIV_CBC56_DES,
    "none": config.USM_PRIV_NONE,
}
_ERROR_STATUS = {
    1: "the answer would be too big", 2: "it knows no such object", 3: "a value is out of its range",
    4: "an object may only be read", 5: "general error", 6: "this user may not do that", 7: "wrong type",
    8: "wrong length", 10: "wrong value", 11: "it knows no such object", 12: "inconsistent value",
    14: "it could not carry it out", 16: "this user has no rights", 17: "an object may only be read",
}  # fmt: skip

_GET, _SET = cmdgen.GetCommandGenerator(), cmdgen.SetCommandGenerator()

Value = int | str | None


class Snmp(Protocol):
    """Both block for a second or two at most, and raise CabinetUnreachable (KF324) or CabinetRefused (KF325)."""

    def get(self, oids: Sequence[Oid]) -> dict[Oid, Value]:
        """None for what the controller does not have. Text comes as Latin-1."""
        ...

    def set(self, values: Mapping[Oid, int]) -> None:
        """All of them or none, as one message."""
        ...

    def close(self) -> None: ...


class UdpSnmp:
    """One controller over UDP. Has a thread with pysnmp's event loop. Calls may come from any one thread at a time."""

    def __init__(self, host: str, port: int, security: Security, user: User) -> None:
        self.address = f"{host}:{port}"
        self._to = (host, port, security, user)
        self._known_s = time.monotonic()
        self._stale = False
        logging.getLogger("pysnmp").setLevel(logging.ERROR)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"snmp-{host}", daemon=True)
        self._thread.start()
        self._closed = False
        try:
            self._run(self._open(*self._to))
        except BaseException:
            self.close()
            raise

    def get(self, oids: Sequence[Oid]) -> dict[Oid, Value]:
        found: dict[Oid, Value] = {}
        for start in range(0, len(oids), MOST_OBJECTS):
            some = [(oid, None) for oid in oids[start : start + MOST_OBJECTS]]
            found |= self._run(self._ask(_GET, some))
        return found

    def set(self, values: Mapping[Oid, int]) -> None:
        self._run(self._ask(_SET, [(oid, rfc1902.Integer32(value)) for oid, value in values.items()]))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, wanted: Any) -> Any:
        running = asyncio.run_coroutine_threadsafe(wanted, self._loop)
        try:
            return running.result(GIVE_UP_S)
        except TimeoutError as error:
            running.cancel()
            raise CabinetUnreachable(address=self.address, detail=f"no end after {GIVE_UP_S:g} s") from error

    async def _open(self, host: str, port: int, security: Security, user: User) -> None:
        self._engine = engine.SnmpEngine()
        if security.version == "v3":
            config.add_v3_user(
                self._engine,
                user.name,
                AUTHENTICATION[security.authentication],
                user.authentication_key or None,
                PRIVACY[security.privacy],
                user.privacy_key or None,
            )
            config.add_target_parameters(self._engine, "cabinet", user.name, security.level)
        else:
            config.add_v1_system(self._engine, "cabinet", user.name)
            config.add_target_parameters(
                self._engine, "cabinet", "cabinet", "noAuthNoPriv", 0 if security.version == "v1" else 1
            )
        transport = udp.UdpAsyncioTransport()
        config.add_transport(self._engine, udp.DOMAIN_NAME, transport.open_client_mode())
        try:
            found = await self._loop.getaddrinfo(host, port, family=2, type=2)
        except OSError as error:
            raise CabinetUnreachable(address=self.address, detail=f"its name is not known ({error})") from error
        config.add_target_address(
            self._engine, "cabinet", udp.DOMAIN_NAME, found[0][4], "cabinet", round(TIMEOUT_S * 100), TRIES - 1
        )

    async def _get_to_know(self) -> None:
        """pysnmp keeps for ever which SNMP engine is at an address, and what its clock says."""
        await self._shut()
        await self._open(*self._to)
        self._known_s, self._stale = time.monotonic(), False

    async def _shut(self) -> None:
        opened = self.__dict__.pop("_engine", None)
        if opened is not None:
            opened.close_dispatcher()
        # Closing a socket of asyncio's takes a round of its loop.
        await asyncio.sleep(0)

    async def _ask(self, generator: Any, pairs: list[tuple[Oid, Any]]) -> dict[Oid, Value]:
        if self._stale and time.monotonic() - self._known_s > ANEW_S:
            await self._get_to_know()
        answered: asyncio.Future[tuple[Any, Any, Any, Any]] = self._loop.create_future()

        def take(_engine: Any, _handle: Any, indication: Any, status: Any, index: Any, got: Any, _context: Any) -> None:
            if not answered.done():
                answered.set_result((indication, status, index, got))

        generator.send_varbinds(self._engine, "cabinet", None, "", pairs, take)
        indication, status, index, got = await answered
        self._stale = bool(indication)
        if indication:
            raise self._error(indication)
        if int(status):
            at = int(index) - 1
            where = f" ({'.'.join(map(str, pairs[at][0]))})" if 0 <= at < len(pairs) else ""
            detail = _ERROR_STATUS.get(int(status), f"error status {int(status)}")
            raise CabinetRefused(address=self.address, detail=f"{detail}{where}")
        return {tuple(name): _value(value) for name, value in got}

    def _error(self, indication: Any) -> KinflowError:
        """pysnmp's texts, which name neither keys nor users, for those that are no silence."""
        if isinstance(indication, errind.RequestTimedOut):
            return CabinetUnreachable(
                address=self.address, detail=f"no answer to {TRIES} messages within {TIMEOUT_S * TRIES:g} s"
            )
        meaning = {
            errind.UnknownUserName: "it has no such user",
            errind.WrongDigest: "the authentication key or its algorithm is wrong",
            errind.AuthenticationFailure: "the authentication key or its algorithm is wrong",
            errind.DecryptionError: "the privacy key or its algorithm is wrong",
            errind.UnsupportedSecurityLevel: "it wants another security level of this user",
            errind.NotInTimeWindow: "its SNMP clock and ours do not agree",
        }
        for kind, text in meaning.items():
            if isinstance(indication, kind):
                return CabinetRefused(address=self.address, detail=text)
        return CabinetRefused(address=self.address, detail=str(indication)[:200])


def _value(value: Any) -> Value:
    if isinstance(value, rfc1905.NoSuchObject | rfc1905.NoSuchInstance | rfc1905.EndOfMibView):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return bytes(value).decode("latin-1")
