"""What the installed libraries were built for, asked in a child: one that dies there takes nothing along."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from node.hardware.found import Builds

TIMEOUT_S = 30.0
# Each library is asked apart from the other, so that one that is missing or broken does not hide the other.
_QUESTIONS = {
    "onnxruntime": "import json, onnxruntime as one; print(json.dumps(one.get_available_providers()))",
    "llama_gpu": "import json, llama_cpp as one; print(json.dumps(bool(one.llama_supports_gpu_offload())))",
}


def find_builds(python: str = sys.executable) -> Builds:
    """Takes about a second for each library that is there."""
    return msgspec.convert({name: _ask(python, code) for name, code in _QUESTIONS.items()}, Builds)


def _ask(python: str, code: str) -> object:
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, timeout=TIMEOUT_S, check=False)
        # A library may greet on standard output first; the answer is the last line.
        return msgspec.json.decode(done.stdout.strip().rpartition(b"\n")[2]) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError):
        return None
