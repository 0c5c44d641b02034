"""A recorder: reads a cabinet and never writes to it, for installations that only watch."""

from __future__ import annotations

from dataclasses import replace

from edge_server.cabinet.port import Cabinet, Reading, Wish

UNFIT = "it is only recorded (acts = false)"


class Recorder:
    """In front of any cabinet. There is no way through it to the other's serve() and let_go()."""

    def __init__(self, cabinet: Cabinet) -> None:
        self._look = cabinet.look
        self._close = cabinet.close

    def look(self) -> Reading:
        reading = self._look()
        return replace(reading, unfit=UNFIT)

    def serve(self, wish: Wish, reading: Reading) -> None:  # noqa: ARG002 (the port's)
        raise AssertionError("a recorder that is unfit for commands was given one")

    def let_go(self) -> None:
        """Nothing was asked for."""

    def close(self) -> None:
        self._close()
