"""Kinflow's own server: `kinflow serving run`, with no knob turned."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.serving.peers.peer import Launch, Peer, Say, Terms
from models.engine.trust import Trust, fingerprint

KINFLOW = "from kinflow.main import main; main()"


def kinflow() -> Peer:
    return Peer("kinflow", "default", _launch)


def _launch(terms: Terms, port: int, folder: Path, _: Say) -> Launch:
    Trust(folder / "models").accept(terms.gguf, fingerprint(terms.gguf))
    command = [sys.executable, "-c", KINFLOW, "serving", "run", str(terms.gguf), "--port", str(port)]
    command += ["--sequences", str(terms.slots), "--context", str(terms.context_tokens)]
    command += ["--threads", str(terms.threads), "--home", str(folder)]
    root = str(Path(__file__).resolve().parents[3])
    return Launch(command, {"KINFLOW_HOME": str(folder), "PYTHONPATH": root}, "tier-token")
