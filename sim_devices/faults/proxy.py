"""A TCP proxy on loopback that spoils a link on demand.

It works on the bytes inside TCP: packets are not touched, so that loss shows as what applications see of it, stalls and
resets. The fates of chunks follow from the seed, the connection's number and its direction; how the system cuts a
stream into chunks, and so when each fate falls, does not.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from random import Random

from node.errors import PortInUse
from sim_devices.faults.link_state import LinkState

CHUNK_BYTES = 16 * 1024
QUEUE_BYTES = 256 * 1024
POLL_S = 0.05
CONNECT_TIMEOUT_S = 5.0


class LinkProxy:
    """Passes connections to `port` (0: a free one) on to `target`. Thread-safe; set_state takes effect at once, on open
    connections too. Raises PortInUse (KF48)."""

    def __init__(self, target: tuple[str, int], seed: int = 0, port: int = 0, host: str = "127.0.0.1") -> None:
        self.target = target
        self._seed = seed
        self._state = LinkState()
        self._changed = threading.Condition()
        self._stopping = False
        self._pairs: set[_Pair] = set()
        self._numbers = 0
        try:
            self._listener = _listen(host, port)
        except OSError as error:
            raise PortInUse(port=port, host=host, user="another program") from error
        self._address: tuple[str, int] = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name="link-proxy", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def connections(self) -> int:
        with self._changed:
            return len(self._pairs)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._end_all()
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    def set_state(self, state: LinkState) -> None:
        """From now on the link is like this. Connections are reset by a cut of the kind `refused`; what a `black-hole`
        held back crosses after it, as TCP would send it again."""
        with self._changed:
            self._state = state
            self._changed.notify_all()
        if state.cut == "refused":
            self._end_all()

    def _end_all(self) -> None:
        with self._changed:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()

    def _accept(self) -> None:
        self._listener.settimeout(POLL_S)
        while not self._stopping:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            # A listening port always accepts: a refusal is a connection that is reset at once.
            if self._state.cut == "refused":
                _reset(client)
                continue
            self._numbers += 1
            threading.Thread(
                target=self._join, args=(client, self._numbers), name="link-proxy-open", daemon=True
            ).start()

    def _join(self, client: socket.socket, number: int) -> None:
        self.wait_passable()
        try:
            server = socket.create_connection(self.target, CONNECT_TIMEOUT_S)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        for one in (client, server):
            # A link holds no small packet back until another was acknowledged.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(self, client, server)
        with self._changed:
            self._pairs.add(pair)
            refused = self._stopping or self._state.cut == "refused"
        if refused:
            pair.reset()
        for direction, (source, sink) in enumerate(((client, server), (server, client))):
            random = Random(f"{self._seed}/{number}/{direction}")  # noqa: S311 - a simulated link
            pump = _Pump(self, pair, source, sink, random)
            threading.Thread(target=pump.read, name="link-proxy-in", daemon=True).start()
            threading.Thread(target=pump.write, name="link-proxy-out", daemon=True).start()

    def wait_passable(self) -> None:
        """Return when the link is no black hole (any more)."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._state.cut != "black-hole")

    def forget(self, pair: _Pair) -> None:
        with self._changed:
            self._pairs.discard(pair)


class _Pair:
    """The two sockets of one connection."""

    def __init__(self, proxy: LinkProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._sockets = (client, server)
        self._ended = 0
        self._lock = threading.Lock()

    def reset(self) -> None:
        self._proxy.forget(self)
        for one in self._sockets:
            _reset(one)

    def end_direction(self) -> None:
        """Called once for each direction that has ended in good order."""
        with self._lock:
            self._ended += 1
            if self._ended < 2:
                return
        self._proxy.forget(self)
        for one in self._sockets:
            one.close()


class _Pump:
    """One direction: a reader that stamps chunks with the time when they may go on, and a writer that keeps to it."""

    def __init__(
        self, proxy: LinkProxy, pair: _Pair, source: socket.socket, sink: socket.socket, random: Random
    ) -> None:
        self._proxy, self._pair, self._source, self._sink = proxy, pair, source, sink
        self._random = random
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._changed = threading.Condition()

    def read(self) -> None:
        sent = ready = 0.0
        while True:
            try:
                data = self._source.recv(CHUNK_BYTES)
            except OSError:
                data = b""
            state = self._proxy.state
            wait_s = state.waiting_s(self._random) if data else 0.0
            if wait_s is None:
                self._pair.reset()
                data, wait_s = b"", 0.0
            sent = max(sent, time.monotonic()) + state.sending_s(len(data))
            ready = max(ready, sent + wait_s)
            with self._changed:
                self._chunks.append((ready, data))
                self._held += len(data)
                self._changed.notify_all()
                if not data:
                    return
                self._changed.wait_for(lambda: self._held < QUEUE_BYTES)

    def write(self) -> None:
        broken = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._chunks))
                ready, data = self._chunks.popleft()
            time.sleep(max(0.0, ready - time.monotonic()))
            if data and not broken:
                self._proxy.wait_passable()
                try:
                    self._sink.sendall(data)
                except OSError:
                    broken = True
            with self._changed:
                self._held -= len(data)
                self._changed.notify_all()
            if not data:
                with contextlib.suppress(OSError):
                    self._sink.shutdown(socket.SHUT_WR)
                self._pair.end_direction()
                return


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


def _reset(one: socket.socket) -> None:
    """Close so that the other side sees a reset, and wake whoever reads here."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RD)
    one.close()
