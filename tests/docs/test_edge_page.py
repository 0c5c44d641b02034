"""docs/users/edge.md from top to bottom: every line that stands in a block is run, in order, as a person would. It
takes a minute or two; test_user_pages.py asks with every run whether Kinflow would take the lines.

What stands in for root, for a network and for hardware, and for nothing else:
- `sudo` runs the command as who runs the test; KINFLOW_PREFIX puts /opt, /etc and /var/lib below a folder.
- `systemctl` starts and stops the process that the installed unit names.
- `sudo ./install.sh edge` fetches packages: it is run with --dry-run. The bundle on the stick is tests/install's tiny
  one; what its launcher would start is this clone's Kinflow.
- The clone is a folder with install.sh, whose `.venv` is set up already, by a stamp as install.sh writes it.
- The stick is a folder. THIS-MACHINE is 127.0.0.2, which is reached by HTTPS as any address but 127.0.0.1 is, and ports
  are free ones. The device and "another machine" are state folders of their own.
- Passwords are typed into standard input.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.broker.mosquitto import find_mosquitto
from node.ports import any_free_port
from tests.docs.user_page import commands
from tests.install.tiny_bundle import make_bundle

pytestmark = [
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
    pytest.mark.timeout(600),
    pytest.mark.slow,
]

LOCAL, LAN = "127.0.0.1", "127.0.0.2"
PASSWORD = "four words nobody joins"
WITHIN_S = 150.0
TIERS = ("agent", "cloud", "edge_server")
PROGRAM = """#!{python}
import sys
sys.path.insert(0, {repository!r})
from kinflow.main import main
main()
"""


def until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


class Closet:
    """A clone, a stick, and the machine's folders below `root`."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.clone, self.usb, self.root = folder / "clone", folder / "usb", folder / "root"
        self.state, self.device = self.root / "var/lib/kinflow", folder / "device"
        self.port = any_free_port(LAN)
        self.code = ""
        self.service: subprocess.Popen[bytes] | None = None
        self.waiting: subprocess.Popen[str] | None = None
        stand_ins = folder / "bin"
        for one in (stand_ins, self.root, self.clone / ".venv/bin"):
            one.mkdir(parents=True)
        program = PROGRAM.format(python=sys.executable, repository=str(repository))
        for path in (stand_ins / "kinflow", self.clone / ".venv/bin/kinflow"):
            path.write_text(program)
            path.chmod(0o755)
        (stand_ins / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        (stand_ins / "sudo").chmod(0o755)
        for name in ("install.sh", "pyproject.toml", "constraints.txt"):
            shutil.copy(repository / name, self.clone)
        for name in (*TIERS, "benchmarks", "firmware_configs", "kinflow", "models", "node", "protocol", "sim_devices"):
            (self.clone / name).symlink_to(repository / name)
        (self.clone / ".venv/bin/python").symlink_to(sys.executable)
        make_bundle(self.usb, repository)
        self.log = folder / "served.log"
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("KINFLOW", "DISPLAY", "WAYL"))}
        self.environment = {
            **clean,
            "PATH": f"{stand_ins}:{clean['PATH']}",
            "PYTHONPATH": str(repository),
            "KINFLOW_PYTHON": sys.executable,
            "KINFLOW_PREFIX": str(self.root),
            "KINFLOW_HOME": str(self.clone / ".kinflow"),
            "KINFLOW_EDGE_PORT": str(self.port),
            "KINFLOW_BROKER_PORT": str(any_free_port(LAN)),
            "KINFLOW_BROKER_TLS_PORT": str(any_free_port(LAN)),
        }
        self._stamp()

    def _stamp(self) -> None:
        """What a set-up of this clone would leave: see fingerprint() in install.sh."""
        asked = subprocess.run(
            [self.clone / ".venv/bin/python", "-c", "import sys; print(sys.version)"], capture_output=True, check=True
        )
        whole = b"".join((self.clone / one).read_bytes() for one in ("pyproject.toml", "constraints.txt"))
        whole += asked.stdout + f"agent,edge,sim\n{self.clone}\n".encode()
        (self.clone / ".venv/kinflow-run.stamp").write_text(f"{hashlib.sha256(whole).hexdigest()}  -\n")

    # --- the lines of the page ---

    def obey(self, line: str) -> None:
        said = self._place(line)
        if said in {"./install.sh run"} or " edge run " in said:
            self._serve_and_stop(said)
        elif found := re.fullmatch(r"sudo systemctl (start|stop|restart) kinflow-edge", said):
            self._systemctl(found[1])
        elif said.endswith("--wait"):
            self.waiting = self._start(said, KINFLOW_HOME=str(self.device))
        elif said == "sudo ./install.sh edge":
            assert "pip install" in self._run("sudo ./install.sh --dry-run edge")
        else:
            self._note(line, self._run(said))

    def _place(self, line: str) -> str:
        """The line with this test's places for those of a machine."""
        names = {
            "/media/usb": str(self.usb),
            "/var/lib/kinflow": str(self.state),
            "THIS-MACHINE": f"{LAN}:{self.port}",
            "CODE": self.code,
        }
        for name, own in names.items():
            line = line.replace(name, own)
        return line

    def _note(self, line: str, out: str) -> None:
        """What a person reads off one line and uses in the next, and what becomes true by it."""
        if line.endswith("kinflow edge code"):
            self.code = out.split(maxsplit=1)[0]
        elif line.startswith("sudo /media"):
            assert (self.root / "etc/systemd/system/kinflow-edge.service").is_file()
            # From here on this is the machine in the closet.
            self.environment["KINFLOW_HOME"] = str(self.state)
            self.environment["KINFLOW_EDGE_HOST"] = LAN
            self._systemctl("start")
        elif line.endswith("edge requests"):
            assert "north-1" in out
        elif line.endswith("edge approve north-1"):
            assert self.waiting is not None
            out, wrong = self.waiting.communicate(timeout=WITHIN_S)
            assert self.waiting.returncode == 0, wrong
            assert (self.device / "trust/certificate.pem").is_file()
        elif line.endswith("edge devices"):
            assert "north-1" in out
        elif "install-line" in line:
            assert "--pinnedpubkey" in out
            assert self.code in out
        elif line.endswith("site.toml") and "site check" in line:
            assert "0 faults" in out
        elif "uninstall" in line:
            assert not (self.clone / ".venv").exists()

    # --- processes ---

    def _start(self, line: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.clone,
            env={**self.environment, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # without a terminal, at which a password would be asked for
        )

    def _run(self, line: str) -> str:
        process = self._start(line)
        out, wrong = process.communicate(f"{PASSWORD}\n{PASSWORD}\n", timeout=WITHIN_S)
        # A request to join needs a moment to arrive.
        if line.endswith("edge requests"):
            until("the request to join", lambda: "north-1" in self._listed(line))
            return self._listed(line)
        assert process.returncode == 0, f"{line}\n{out}\n{wrong}"
        return out

    def _listed(self, line: str) -> str:
        done = subprocess.run(["bash", "-c", line], env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def _serve_and_stop(self, line: str) -> None:
        """Started, asked for its page, and ended by Ctrl-C."""
        process = self._spawn(line)
        try:
            until("the page", lambda: self._answers(process, LOCAL))
            if line.startswith("./install.sh"):
                until(
                    "the city's devices", lambda: "mill-pi" in self._listed(f"{sys.executable} -m kinflow edge devices")
                )
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(WITHIN_S) == 0

    def _systemctl(self, verb: str) -> None:
        if verb in {"stop", "restart"}:
            self.stop()
        if verb in {"start", "restart"} and self.service is None:
            unit = (self.root / "etc/systemd/system/kinflow-edge.service").read_text()
            (starts,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
            launcher, *arguments = shlex.split(starts)
            assert launcher == str(self.root / "opt/kinflow/bin/kinflow")
            service = self._spawn(shlex.join(["kinflow", *arguments]))
            self.service = service
            until("the page by HTTPS", lambda: self._answers(service, LAN))

    def _spawn(self, line: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["bash", "-c", f"exec {line}"],
                cwd=self.clone,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self, process: subprocess.Popen[bytes], host: str) -> bool:
        assert process.poll() is None, self.log.read_text()
        kinds = {LOCAL: http.client.HTTPConnection, LAN: http.client.HTTPSConnection}
        # As curl -k: the authority is the server's own, made a moment ago.
        more = {"context": ssl._create_unverified_context()} if host == LAN else {}
        connection = kinds[host](host, self.port, timeout=10, **more)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        for process in (self.service, self.waiting):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(WITHIN_S)
        self.service = None


@pytest.fixture
def closet(tmp_path: Path, repository: Path) -> Iterator[Closet]:
    pytest.importorskip("libsumo", reason="needs SUMO")
    made = Closet(tmp_path, repository)
    yield made
    made.stop()


def test_from_unboxing_to_a_restored_edge_server(closet: Closet) -> None:
    lines = commands("edge.md")
    assert len(lines) >= 20
    for line in lines:
        closet.obey(line)
    # The last line started what was restored: it is the edge server that it was.
    assert "north-1" in closet._listed("kinflow edge devices")
    assert "anna" in closet._listed("kinflow edge user list")
    assert "reporter" in closet._listed("kinflow edge token list")
    assert list(closet.state.parent.glob("kinflow.before"))
