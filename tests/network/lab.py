"""Machines on one network, made of network namespaces: each has its own address and one cable, which can be pulled.

A switch (a bridge in a namespace of its own) joins them. Nothing here is reached from outside, and nothing of it stays:
what a killed run left behind is removed by the next one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from node.child import dying_with_parent

NAME = "kflab"
MASK = 24
TERM_S = 30.0


def why_not() -> str:
    """Why no such network can be made here; "" when it can."""
    if os.geteuid() != 0:
        return "it makes network namespaces, which only root may do"
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"`ip netns` does not work here: {done.stderr.strip()}"


class Machine:
    """One namespace on the switch. Its cable's own end is `out`, the switch's end is `port`."""

    def __init__(self, namespace: str, switch: str, port: str, address: str) -> None:
        self.namespace, self.address, self.port = namespace, address, port
        self._switch = switch
        self._running: list[subprocess.Popen[bytes]] = []

    def pull(self) -> None:
        """Pull the cable out of the switch: the machine has no carrier, and nobody hears a good-bye."""
        ip("-n", self._switch, "link", "set", self.port, "down")

    def plug(self) -> None:
        ip("-n", self._switch, "link", "set", self.port, "up")

    def take(self, address: str) -> None:
        """Go by one more address, whoever else does."""
        ip("-n", self.namespace, "address", "add", f"{address}/{MASK}", "dev", "out")

    def drop(self, address: str) -> None:
        ip("-n", self.namespace, "address", "del", f"{address}/{MASK}", "dev", "out")

    def cut_off(self, port: int | None) -> None:
        """Lose what the machine sends to a port, whoever has it; None: nothing any more."""
        inside = ["ip", "netns", "exec", self.namespace, "nft"]
        subprocess.run([*inside, "delete", "table", "inet", NAME], capture_output=True, check=False)
        if port is not None:
            rules = f"add table inet {NAME}; add chain inet {NAME} out {{ type filter hook output priority 0; }};"
            rules += f" add rule inet {NAME} out tcp dport {port} drop"
            subprocess.run([*inside, rules], capture_output=True, check=True)

    def command(self, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """`environment` is set inside the namespace alone: what it preloads is not for `ip`."""
        given = [f"{name}={value}" for name, value in environment.items()]
        return ["ip", "netns", "exec", self.namespace, "env", *given, *command]

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], limit_s: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(command, environment),
            env=own_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def established(self, port: int, pid: int) -> set[tuple[str, int]]:
        """The other ends of the connections to a port of this machine, as the kernel has them. pid: of a process that
        runs here."""
        found = set()
        for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if state == "01" and int(local.partition(":")[2], 16) == port:
                host, _, number = remote.partition(":")
                found.add((socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(number, 16)))
        return found

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """It ends with this process at the latest. Its output is appended to `log`."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                dying_with_parent(self.command(command, environment)),
                env=own_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._running.append(process)
        return process

    def close(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            end(process)


class Network:
    """with Network() as network: network.add("edge", "10.84.7.1")"""

    def __init__(self) -> None:
        self._tag = f"{NAME}-{os.getpid():x}-{time.monotonic_ns() & 0xFFFFF:x}"
        self.switch = f"{self._tag}-switch"
        self.road = Machine(self.switch, self.switch, "road", "")
        self._machines: list[Machine] = []
        self._closing = ExitStack()

    def __enter__(self) -> Network:
        remove_what_was_left()
        try:
            self._make(self.switch)
            # As a switch that knows nothing of groups: what is said to many reaches all.
            ip("-n", self.switch, "link", "add", "road", "type", "bridge", "mcast_snooping", "0")
            ip("-n", self.switch, "link", "set", "road", "up")
            self._closing.callback(self.road.close)
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def add(self, name: str, address: str) -> Machine:
        namespace, port = f"{self._tag}-{name}", f"to-{len(self._machines)}"
        self._make(namespace)
        ip("-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "out", "netns", namespace)
        ip("-n", self.switch, "link", "set", port, "master", "road", "up")
        ip("-n", namespace, "address", "add", f"{address}/{MASK}", "dev", "out")
        ip("-n", namespace, "link", "set", "out", "up")
        machine = Machine(namespace, self.switch, port, address)
        self._machines.append(machine)
        self._closing.callback(machine.close)
        return machine

    def _make(self, namespace: str) -> None:
        ip("netns", "add", namespace)
        self._closing.callback(remove, namespace)
        ip("-n", namespace, "link", "set", "lo", "up")


def ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def remove(namespace: str) -> None:
    """A namespace of ours, with whatever still runs in it."""
    with suppress(RuntimeError):
        for pid in ip("netns", "pids", namespace).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "delete", namespace)


def remove_what_was_left() -> None:
    """By runs that were killed: their names hold the number of a process that is no more."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        if name.startswith(f"{NAME}-") and not Path(f"/proc/{int(name.split('-')[1], 16)}").exists():
            remove(name)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(TERM_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def own_environment() -> dict[str, str]:
    """Ours, without what it says of Kinflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KINFLOW_")}
