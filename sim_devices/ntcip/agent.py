"""The simulated controller's SNMP agent over UDP, on loopback unless told otherwise, and the thread that moves it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any

from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config, engine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.smi import error as smi
from pysnmp.smi import instrum

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.security import Security, User
from edge_server.cabinet.ntcip.snmp import AUTHENTICATION, PRIVACY
from node.clock import Clock
from sim_devices.errors import SimulatedAgentFailed
from sim_devices.ntcip import core, tables
from sim_devices.ntcip.card import Card
from sim_devices.ntcip.core import Fault, State

TICK_S = 0.1
ALL = (1, 3, 6, 1)


class SimulatedNtcipController:
    """Thread-safe. port 0 takes a free one; `port` says which. clock None: time moves by advance() alone.

    Raises SimulatedAgentFailed (KF345)."""

    def __init__(  # noqa: PLR0917 (what one agent is made of)
        self, card: Card, security: Security, user: User, clock: Clock | None, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        logging.getLogger("pysnmp").setLevel(logging.ERROR)
        self._clock = clock
        self._lock = threading.Lock()
        self._card = card
        self._state = core.boot(card, clock.monotonic_ms() if clock is not None else 0)
        self._security, self._user = security, user
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ntcip-agent", daemon=True)
        self._thread.start()
        self._closed = self._deaf = False
        try:
            self._on_loop(self._open(host, port))
        except OSError as error:
            self.stop()
            raise SimulatedAgentFailed(address=f"{host}:{port}", detail=error) from error

    @property
    def state(self) -> State:
        with self._lock:
            return self._state

    def advance(self, dt_ms: int) -> None:
        self.change(lambda state: core.advance(state, dt_ms))

    def change(self, how: Callable[[State], State]) -> None:
        with self._lock:
            self._state = how(self._state)

    def spoil(self, fault: Fault | None) -> None:
        self.change(lambda state: core.spoil(state, fault))

    def restart(self) -> None:
        """As after a power cut: all red, nothing asked for."""
        self.change(lambda state: core.boot(self._card, state.now_ms))

    def stop(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._on_loop(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_loop(self, wanted: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(wanted, self._loop).result()

    async def _open(self, host: str, port: int) -> None:
        # An engine of its own each time: one that comes back with another's id and an earlier clock is a replay.
        found = engine.SnmpEngine(snmpEngineID=rfc1902.OctetString(b"\x80\x00\x04\xb6\x05" + secrets.token_bytes(8)))
        self._engine = found
        transport = _Deafened(lambda: self._deaf or self.state.fault == "dead")
        transport.open_server_mode((host, port))
        # pysnmp tells of a port that is taken nowhere else.
        await transport._lport
        self.port = int(transport.transport.get_extra_info("sockname")[1])
        config.add_transport(found, udp.DOMAIN_NAME, transport)
        security, user = self._security, self._user
        if security.version == "v3":
            config.add_v3_user(
                found, user.name, AUTHENTICATION[security.authentication], user.authentication_key or None,
                PRIVACY[security.privacy], user.privacy_key or None,
            )  # fmt: skip
            config.add_vacm_user(found, 3, user.name, security.level, ALL, ALL)
        else:
            config.add_v1_system(found, "agent", user.name)
            config.add_vacm_user(found, 1 if security.version == "v1" else 2, "agent", "noAuthNoPriv", ALL, ALL)
        served = context.SnmpContext(found)
        served.unregister_context_name(b"")
        served.register_context_name(b"", _Objects(self))
        cmdrsp.GetCommandResponder(found, served)
        cmdrsp.SetCommandResponder(found, served)
        found.transport_dispatcher.job_started(1)
        if self._clock is not None:
            self._ticking = self._loop.create_task(self._tick(self._clock))

    async def _tick(self, clock: Clock) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_ms = clock.monotonic_ms()
            self.change(lambda state, now_ms=now_ms: core.advance(state, now_ms - state.now_ms))

    async def _shut(self) -> None:
        ticking = getattr(self, "_ticking", None)
        if ticking is not None:
            ticking.cancel()
        found = getattr(self, "_engine", None)
        self._deaf = True
        if found is not None:
            found.close_dispatcher()
        await asyncio.sleep(0)


class _Objects(instrum.AbstractMibInstrumController):
    """What pysnmp asks for each message."""

    def __init__(self, controller: SimulatedNtcipController) -> None:
        self._controller = controller

    def read_variables(self, *pairs: Any, **_: Any) -> list[tuple[Any, Any]]:
        state = self._controller.state
        found = []
        for name, _value in pairs:
            value = tables.read(state, tuple(name))
            if value is None:
                wrapped: Any = rfc1905.noSuchObject
            elif tuple(name) == objects.SYS_UP_TIME:
                wrapped = rfc1902.TimeTicks(value)
            else:
                wrapped = rfc1902.OctetString(value) if isinstance(value, bytes) else rfc1902.Integer32(value)
            found.append((name, wrapped))
        return found

    def write_variables(self, *pairs: Any, **_: Any) -> list[tuple[Any, Any]]:
        try:
            values = {tuple(name): int(value) for name, value in pairs}
            self._controller.change(lambda state: tables.change(state, values))
        except tables.Refused as refused:
            kinds = {"read-only": smi.NotWritableError, "value": smi.WrongValueError}
            kind = kinds.get(refused.kind, smi.NoSuchObjectError)
            raise kind(name=pairs[refused.index - 1][0], idx=refused.index - 1) from refused
        return list(pairs)


class _Deafened(udp.UdpAsyncioTransport):
    """A dead controller says nothing at all, not even which engine it is."""

    def __init__(self, dead: Callable[[], bool]) -> None:
        super().__init__()
        self._dead = dead

    def datagram_received(self, datagram: bytes, transportAddress: Any) -> None:
        if not self._dead():
            super().datagram_received(datagram, transportAddress)
