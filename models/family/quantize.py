"""Make weights smaller by llama.cpp's own quantiser, in a process of its own: where it finds a fault it ends that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from models.errors import QuantizeFailed

# llama.h: enum llama_ftype. The ones that people use.
KINDS = {
    "f16": 1,
    "q4_0": 2,
    "q8_0": 7,
    "q2_k": 10,
    "q3_k_m": 12,
    "q4_k_s": 14,
    "q4_k_m": 15,
    "q5_k_m": 17,
    "q6_k": 18,
    "bf16": 32,
}


def quantize(source: Path, target: Path, kind: str, *, threads: int = 0) -> None:
    """kind: one of KINDS. A Q8_0 file may be quantised again, which costs a little more than from the original. The
    file appears when it is whole. Raises QuantizeFailed (KF405)."""
    part = target.with_name(f".{target.name}.part")
    arguments = [os.fspath(source), os.fspath(part), str(KINDS[kind]), str(threads)]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "models.family.quantize", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=Path(__file__).resolve().parent.parent.parent,
        )
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise QuantizeFailed(path=source, detail=said[-300:])
        part.replace(target)
    except OSError as error:
        raise QuantizeFailed(path=source, detail=error.strerror or error) from error
    finally:
        part.unlink(missing_ok=True)


def _child(source: str, target: str, kind: int, threads: int) -> int:
    from models.engine.llama.library import last_words, library  # noqa: PLC0415 (loads llama.cpp, here alone)

    llama = library().llama
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = kind
    parameters.nthread = threads
    parameters.allow_requantize = True
    status = int(llama.llama_model_quantize(os.fsencode(source), os.fsencode(target), parameters))
    if status:
        print(last_words(f"status {status}"), file=sys.stderr)
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
