"""A real prefill worker beside the bench, and a slowed link to it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import running
from benchmarks.engine import made_model
from models.engine.trust import Trust, fingerprint
from models.family.shelf import models_folder
from models.serving.holding import Holding, file_holding, find_holding
from node.config.schema import Serving
from sim_devices.faults.link_state import LinkState
from sim_devices.faults.proxy import LinkProxy


@dataclass(frozen=True)
class Place:
    """A state folder for the bench alone, in which `family` is accepted; "" is a file of the engine benchmark's shape.
    rows: context of each sequence."""

    home: Path
    family: str
    context_tokens: int

    def holding(self, threads: int, sequences: int) -> Holding:
        given = Serving(family=self.family, threads=threads, sequences=sequences, context_tokens=self.context_tokens)
        if self.family:
            return find_holding(self.home, given, "cloud")
        return file_holding(made_model(), given, Trust(self.home / "models"))


@contextmanager
def placed(family: str, context_tokens: int) -> Iterator[Place]:
    """Raises RuntimeError where the model can't be made."""
    home = Path(tempfile.mkdtemp(prefix="kinflow-bench-kv-"))
    try:
        if not family:
            path = made_model()
            Trust(home / "models").accept(path, fingerprint(path))
        elif (known := models_folder() / "accepted.json").is_file():
            # What the person who runs the bench has accepted counts here, too.
            (home / "models").mkdir(parents=True)
            shutil.copy(known, home / "models" / known.name)
        if family and not Path(family).is_dir() and (models_folder() / family).is_dir():
            shutil.copytree(models_folder() / family, home / "models" / family)
        yield Place(home, family, context_tokens)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def worker(place: Place, threads: int) -> Iterator[tuple[int, Path]]:
    """Its port and the file with its secret. Raises RuntimeError when it doesn't come up."""
    command = [sys.executable, "-c", "from kinflow.main import main; main()", "serving", "prefill"]
    command += ["--listen", "127.0.0.1:0", "--threads", str(threads), "--sequences", "1", "--tier", "cloud"]
    command += ["--context-tokens", str(place.context_tokens), "--home", str(place.home)]
    command += ["--family", place.family] if place.family else ["--file", str(made_model())]
    environment = {**os.environ, "KINFLOW_HOME": str(place.home)}
    with running(command, environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker did not start; it ended with status {process.wait()}")
        told = json.loads(line)
        yield int(told["listen"].rpartition(":")[2]), Path(told["secret_file"])


@contextmanager
def slowed(port: int, mbit: float, rtt_ms: float) -> Iterator[int]:
    """mbit: 0 for as fast as it goes."""
    proxy = LinkProxy(("127.0.0.1", port))
    proxy.set_state(LinkState(delay_ms=rtt_ms / 2, bytes_per_s=mbit * 125_000))
    proxy.start()
    try:
        yield proxy.address[1]
    finally:
        proxy.stop()
