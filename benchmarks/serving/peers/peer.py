"""A server to be put beside ours, as a process of its own on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.child import running
from benchmarks.errors import PeerNotStarted, ServerUnmeasured
from benchmarks.serving.wire import Server, asked
from node.ports import any_free_port

UP_S, LOOK_S = 300.0, 0.2
KEPT_CHARACTERS = 400

Say = Callable[[str], None]


@dataclass(frozen=True)
class Terms:
    """What every server gets. context_tokens: of each slot; slots: answers at once."""

    gguf: Path
    threads: int
    slots: int
    context_tokens: int


@dataclass(frozen=True)
class Launch:
    """token_file: appears in the folder once it runs, "" where no key is wanted."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    token_file: str = ""


@dataclass(frozen=True)
class Peer:
    """setting: what was turned, "default" for nothing. launch: how it is started, with the port and a folder of its
    own; makes what has to be built first. Raises PeerNotStarted (KF530)."""

    name: str
    setting: str
    launch: Callable[[Terms, int, Path, Say], Launch]

    @contextmanager
    def running(self, terms: Terms, say: Say) -> Iterator[Server]:
        """Until the end of the block. Raises PeerNotStarted (KF530)."""
        with tempfile.TemporaryDirectory(prefix="kinflow-peer-") as name:
            folder, port = Path(name), any_free_port()
            launch = self.launch(terms, port, folder, say)
            environment = {**os.environ, **launch.environment}
            with (folder / "log").open("wb") as log, running(launch.command, environment, folder, log) as process:
                yield self._up(process, port, folder, launch)

    def _up(self, process: subprocess.Popen[bytes], port: int, folder: Path, launch: Launch) -> Server:
        until_s, said = time.monotonic() + UP_S, "it did not answer in time"
        while time.monotonic() < until_s:
            if process.poll() is not None:
                words = (folder / "log").read_bytes().decode("utf-8", "replace").strip()
                detail = f"it ended with status {process.returncode}: {words[-KEPT_CHARACTERS:]}"
                raise PeerNotStarted(server=self.name, detail=detail)
            token = folder / launch.token_file
            key = token.read_text("ascii").strip() if launch.token_file and token.is_file() else ""
            server = Server("127.0.0.1", port, token=key)
            try:
                status, _ = asyncio.run(asked(server, "GET", "/models"))
                if status == 200:
                    return server
                said = f"it answered {status}"
            except ServerUnmeasured:
                pass
            time.sleep(LOOK_S)
        raise PeerNotStarted(server=self.name, detail=said)
