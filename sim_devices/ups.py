"""A UPS that is not real, behind a small `upsd`: the text protocol of Network UPS Tools, as far as reading goes.

Answers VER, NETVER, LIST UPS, LIST VAR, GET VAR, USERNAME, PASSWORD, LOGIN and LOGOUT; ERR and a reason to all else.
"""

from __future__ import annotations

import re
import socketserver
import threading
from dataclasses import dataclass, field

from node.errors import PortInUse

# As upsd: quotes and backslashes inside a value are escaped.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
LIMIT_BYTES = 512


@dataclass
class Fault:
    """What goes wrong from now on. error: the reason of an ERR to each GET VAR, such as "DATA-STALE". drop: the
    connection ends in the middle of an answer. silent: nothing is answered."""

    error: str = ""
    drop: bool = False
    silent: bool = False


@dataclass
class Ups:
    name: str = "ups"
    variables: dict[str, str] = field(default_factory=dict)


class SimulatedUps:
    """Serves on a loopback port (0: any free one). mains(), battery() and low() change what it says, `fault` how."""

    def __init__(self, name: str = "ups", port: int = 0, host: str = "127.0.0.1") -> None:
        self.ups = Ups(name)
        self.fault = Fault()
        self.asked = 0
        self.mains()
        try:
            self._server = _Server((host, port), self)
        except OSError as error:
            raise PortInUse(port=port, host=host, user="another program") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="upsd", daemon=True)

    @property
    def source(self) -> str:
        """For `power.source`."""
        host, port = self._server.server_address[:2]
        return f"nut://{host!s}:{port}/{self.ups.name}"

    def start(self) -> SimulatedUps:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def mains(self, charge_percent: float | None = 100.0) -> None:
        self._say("OL CHRG" if charge_percent is not None and charge_percent < 100 else "OL", charge_percent)

    def battery(self, charge_percent: float | None = 90.0) -> None:
        self._say("OB DISCHRG", charge_percent)

    def low(self, charge_percent: float | None = 8.0) -> None:
        self._say("OB DISCHRG LB", charge_percent)

    def _say(self, status: str, charge_percent: float | None) -> None:
        said = {"device.mfr": 'Kinflow "simulated"', "ups.status": status, "input.voltage": "230.0"}
        if charge_percent is not None:
            said["battery.charge"] = f"{charge_percent:g}"
        self.ups.variables = said


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], simulated: SimulatedUps) -> None:
        self.simulated = simulated
        super().__init__(address, _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 30.0

    def handle(self) -> None:
        simulated = self.server.simulated
        try:
            while line := self.rfile.readline(LIMIT_BYTES):
                words = [
                    re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
                    for quoted, bare in _WORD.findall(line.decode("ascii", "replace"))
                ]
                simulated.asked += 1
                if simulated.fault.silent:
                    continue
                answer = answer_of(words, simulated.ups, simulated.fault.error)
                if simulated.fault.drop:
                    self.wfile.write(answer.encode("ascii")[: len(answer) // 2])
                    return
                self.wfile.write(answer.encode("ascii"))
                if words[:1] == ["LOGOUT"]:
                    return
        except OSError:
            return


def answer_of(words: list[str], ups: Ups, error: str = "") -> str:
    """What upsd says to one line, with line ends."""
    match words:
        case ["VER"]:
            said = "Kinflow simulated upsd"
        case ["NETVER"]:
            said = "1.3"
        case ["LOGOUT"]:
            said = "OK Goodbye"
        case ["USERNAME" | "PASSWORD", _]:
            said = "OK"
        case ["LIST", "UPS"]:
            said = f'BEGIN LIST UPS\nUPS {ups.name} "simulated"\nEND LIST UPS'
        case ["LIST", "VAR", name] | ["GET", "VAR", name, _] | ["LOGIN", name] if name != ups.name:
            said = "ERR UNKNOWN-UPS"
        case ["LOGIN", _]:
            said = "OK"
        case ["LIST", "VAR", name]:
            lines = [_line(name, variable, value) for variable, value in sorted(ups.variables.items())]
            said = "\n".join([f"BEGIN LIST VAR {name}", *lines, f"END LIST VAR {name}"])
        case ["GET", "VAR", _, _] if error:
            said = f"ERR {error}"
        case ["GET", "VAR", name, variable]:
            known = variable in ups.variables
            said = _line(name, variable, ups.variables[variable]) if known else "ERR VAR-NOT-SUPPORTED"
        case ["GET" | "LIST" | "LOGIN" | "USERNAME" | "PASSWORD", *_]:
            said = "ERR INVALID-ARGUMENT"
        case _:
            said = "ERR UNKNOWN-COMMAND"
    return said + "\n"


def _line(name: str, variable: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'VAR {name} {variable} "{escaped}"'
