"""One process of a site, kept running as a service manager would: what ends is started again a second later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

from benchmarks.child import end
from benchmarks.edge import ROOT
from node.child import dying_with_parent

RESTART_S = 1.0
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.05


class Kept:
    """died: how it ended each time that nobody had ended it, as an exit status or minus a signal."""

    def __init__(self, name: str, module: str, orders: Struct, folder: Path) -> None:
        self.name = name
        self._module = module
        self._orders = folder / f"{name}.orders.json"
        self._orders.write_bytes(msgspec.json.encode(orders))
        self.log = folder / f"{name}.log"
        self._home = folder
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._ours = False
        self._thread = threading.Thread(target=self._keep, name=f"keep-{name}", daemon=True)
        self.died: list[int] = []

    def start(self) -> None:
        self._spawn()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        with self._lock:
            if self._process is not None:
                self.hang(False)
                end(self._process)
        # Last: what it has started again ends with it.
        if self._thread.ident is not None:
            self._thread.join()

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Returns when it has ended."""
        with self._lock:
            self._ours = True
            process = self._process
            assert process is not None
            process.send_signal(number)
        process.wait(PATIENCE_S)

    def hang(self, hanging: bool) -> None:
        """Stop it and its children where they stand, or let them go on."""
        for one in self.members():
            with suppress(psutil.Error):
                one.suspend() if hanging else one.resume()

    def members(self) -> list[psutil.Process]:
        with self._lock, suppress(psutil.Error):
            assert self._process is not None
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def child(self, name: str) -> psutil.Process | None:
        for one in self.members()[1:]:
            with suppress(psutil.Error):
                if one.name() == name:
                    return one
        return None

    def _spawn(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KINFLOW_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                dying_with_parent([sys.executable, "-X", "faulthandler", "-m", self._module, str(self._orders)]),
                cwd=ROOT,
                env={**environment, "KINFLOW_HOME": str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def _keep(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            with self._lock:
                ended = self._process is not None and self._process.poll() is not None
            if not ended:
                continue
            if not self._ours and self._process is not None:
                self.died.append(self._process.returncode)
            began = time.monotonic()
            self._stopping.wait(RESTART_S - (time.monotonic() - began))
            with self._lock:
                if not self._stopping.is_set():
                    self._ours = False
                    self._spawn()
