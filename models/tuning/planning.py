"""What each scheme would train, and what a step of it takes here: measured, not guessed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from models.errors import OperatorUnknown, SchemeEmpty
from models.tuning import job as jobs
from models.tuning.bundle import load_manifest
from models.tuning.compiling import compile_job
from models.tuning.job import Job
from models.tuning.measuring import measured

MEASURED_STEPS = 12


class Row(Struct, kw_only=True):
    """trained: numbers. memory_mb: over what the process holds once numpy and onnxruntime are loaded. refused: why this
    scheme can't be, in which case the figures are 0."""

    scheme: str
    tensors: int = 0
    trained: int = 0
    step_ms: float = 0.0
    memory_mb: float = 0.0
    fits: bool = False
    refused: str = ""


def plan(job: Job, schemes: Iterable[str], memory_mb: float, step_ms: float, threads: int = 1) -> Iterator[Row]:
    """memory_mb, step_ms: what is allowed; 0 for anything. Raises what concerns the network and not one scheme."""
    for name in schemes:
        with tempfile.TemporaryDirectory(prefix="kinflow-plan-") as folder:
            try:
                compile_job(msgspec.structs.replace(job, scheme=name), Path(folder))
            except (SchemeEmpty, OperatorUnknown) as error:
                yield Row(scheme=name, refused=error.cause_text)
                continue
            program = Path(folder) / jobs.PROGRAM
            manifest = load_manifest(program)
            found = measured(program, MEASURED_STEPS, threads)
        # A scheme may compute a batch in pieces, and a step is a whole batch's.
        pieces = manifest.accumulate // job.accumulate
        memory, took = found["rss_over_import_mb"], found["step_ms"] * pieces
        yield Row(
            scheme=name,
            tensors=len(manifest.places),
            trained=sum(one.count for one in manifest.places),
            step_ms=round(took, 2),
            memory_mb=memory,
            fits=(not memory_mb or memory <= memory_mb) and (not step_ms or took <= step_ms),
        )


def best(rows: Iterable[Row]) -> Row | None:
    """Of those that fit, the one that trains the most."""
    return max((row for row in rows if row.fits), key=lambda row: row.trained, default=None)
