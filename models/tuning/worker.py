"""`python -m models.tuning.worker VERB FOLDER`: the parts of a training that run in processes of their own.

prepare: reads the data once, compiles. train: trains. finish: writes delta and network. search: looks for what to
train. Each tells what happens as JSON lines on standard output; a compiler's memory is gone before training begins, and
a library that ends its process by force ends none but this.
"""

from __future__ import annotations

import importlib.util
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from models.errors import DataUnusable
from models.tuning import job as jobs
from models.tuning.data.examples import Examples
from models.tuning.data.opening import open_examples
from models.tuning.events import Event
from models.tuning.gguf_file import is_gguf
from models.tuning.job import Job
from protocol.errors import KinflowError

if TYPE_CHECKING:
    from models.tuning.bundle import Manifest

_TOLD_EVERY_S = 0.2


def tell(event: Event) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


def prepare(folder: Path) -> None:
    from models.tuning.compiling import compile_job, vocabulary_of  # noqa: PLC0415 (needs onnx)

    job = _job(folder)
    examples, labelled = _first_seen(job, folder)
    examples.parts()
    vocabulary = vocabulary_of(job)
    job = msgspec.structs.replace(job, labels=examples.labels, labelled=labelled, vocabulary=vocabulary)
    job = compile_job(job, folder, len(examples.keys))
    jobs.save(folder, job)
    tell(_data("prepared", job, examples, folder))


def _first_seen(job: Job, folder: Path) -> tuple[Examples, tuple[int, ...]]:
    from models.tuning.compiling import input_of, vocabulary_of  # noqa: PLC0415 (needs onnx)
    from models.tuning.data.splitting import split  # noqa: PLC0415 (reads the state folder)

    if job.loss == "detection":
        return _boxes(job)
    name, shape = input_of(job)
    if job.loss == "language" and is_gguf(Path(job.model)):
        split(Path(job.data), Path(job.model), folder / jobs.TOKENS)
    return open_examples(_data_of(job, folder), (name, shape), job.loss, vocabulary_of(job), job.pixels), ()


def _data_of(job: Job, folder: Path) -> Path:
    return folder / jobs.TOKENS if (folder / jobs.TOKENS).exists() else Path(job.data)


def _data(event: str, job: Job, examples: Examples, folder: Path) -> Event:
    from models.tuning.bundle import load_manifest  # noqa: PLC0415

    manifest = load_manifest(folder / jobs.PROGRAM)
    trained = sum(one.count for one in manifest.places)
    return Event(
        event=event, labels=job.labels, left_out=examples.left_out, examples=len(examples.keys), trained=trained
    )


def train(folder: Path, threads: int) -> None:
    from models.tuning.bundle import load_manifest  # noqa: PLC0415
    from models.tuning.trainer import Trainer  # noqa: PLC0415 (nothing else here loads a session)
    from models.tuning.training import train as steps  # noqa: PLC0415

    job, manifest = _job(folder), load_manifest(folder / jobs.PROGRAM)
    examples, labelled = opened(job, manifest, folder)
    if (examples.labels, labelled) != (job.labels, job.labelled):
        raise DataUnusable(path=job.data, detail="its classes are not those that training began with")
    stopping = Stop()
    if manifest.kept:
        found = _kept(manifest, examples, folder, threads, stopping)
        if found is None:
            tell(Event(event="stopped"))
            return
        examples = found
    # The frozen beginning's session is closed by now: both together would take the memory of both.
    trainer = Trainer(folder / jobs.PROGRAM, threads)
    told = 0.0
    loop = steps(trainer, examples, job, folder)
    for step in loop:
        if step.judged is not None or time.monotonic() - told > _TOLD_EVERY_S or step.done == step.total:
            told = time.monotonic()
            judged = step.judged
            tell(
                Event(
                    event="step", done=step.done, total=step.total, epoch=step.epoch, loss=step.loss,
                    judged_loss=judged.loss if judged else None,
                    measure=judged.measure if judged else "", score=judged.score if judged else 0.0,
                )
            )  # fmt: skip
        if stopping.asked:
            loop.close()
            tell(Event(event="stopped", done=step.done, total=step.total))
            return
    tell(Event(event="trained", done=trainer.steps_done))


def _kept(manifest: Manifest, examples: Examples, folder: Path, threads: int, stopping: Stop) -> Examples | None:
    """None where it was asked to stop."""
    from models.tuning.keeping import Prefix, Store, fill  # noqa: PLC0415 (loads a session)

    store, total = Store(folder, manifest.kept | manifest.targets), len(examples.keys)
    told = 0.0
    for done in fill(store, Prefix(folder / jobs.PROGRAM, manifest, threads), examples, manifest.batch):
        if time.monotonic() - told > _TOLD_EVERY_S or done == total:
            told = time.monotonic()
            tell(Event(event="kept", done=done, total=total))
        if stopping.asked:
            return None
    return replace(examples, load=store.read)


def opened(job: Job, manifest: Manifest, folder: Path) -> tuple[Examples, tuple[int, ...]]:
    """What the job is trained on, and for a detector the classes that it labels."""
    if job.loss == "detection":
        return _boxes(job)
    ((name, tensor), *_) = manifest.inputs.items()
    return open_examples(_data_of(job, folder), (name, tensor.shape), job.loss, job.vocabulary, job.pixels), ()


def _boxes(job: Job) -> tuple[Examples, tuple[int, ...]]:
    from models.tuning.data.yolo import yolo  # noqa: PLC0415
    from models.tuning.detectors import network_of  # noqa: PLC0415

    return yolo(Path(job.data), network_of(Path(job.model)), job.names)


class Stop:
    """Asked for by Ctrl-C or by a service that ends: the step that runs is finished, and what was learnt is saved."""

    def __init__(self) -> None:
        self.asked = False
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def finish(folder: Path) -> None:
    from models.tuning import deltas, safetensors_file  # noqa: PLC0415
    from models.tuning.bundle import load_manifest  # noqa: PLC0415
    from models.tuning.gguf_file import write_adapter  # noqa: PLC0415
    from models.tuning.results import apply_delta, make_delta  # noqa: PLC0415
    from models.tuning.sampled import tensors  # noqa: PLC0415

    job, manifest = _job(folder), load_manifest(folder / jobs.PROGRAM)
    state, metadata = safetensors_file.read(folder / jobs.STATE)
    samples = int(metadata["steps_done"]) * manifest.batch
    program, trained = folder / jobs.PROGRAM, tensors(manifest.places, manifest.sampled, state)
    deltas.write(folder / jobs.DELTA, make_delta(program, manifest, trained, samples, job.made_anew))
    model = Path(job.model)
    if is_gguf(model) or importlib.util.find_spec("onnx") is not None:
        apply_delta(model, folder / jobs.DELTA, folder / jobs.network_of(job))
    if is_gguf(model) and manifest.merges:
        write_adapter(model, manifest.merges, trained, folder / jobs.ADAPTER)
    tell(Event(event="finished"))


def search(folder: Path, budget: tuple[float, float], minutes: float, threads: int) -> None:
    """budget: of memory in MB and of a step in ms, 0 for any. Writes FOLDER/found.json where something was found."""
    from models.tuning.search.cost import Cost  # noqa: PLC0415 (needs onnx)
    from models.tuning.search.scheme_file import FOUND  # noqa: PLC0415
    from models.tuning.search.searching import Search  # noqa: PLC0415

    job, stopping = _job(folder), Stop()
    examples, labelled = _first_seen(job, folder)
    job = msgspec.structs.replace(job, labels=examples.labels, labelled=labelled)
    jobs.save(folder, job)
    (folder / FOUND).unlink(missing_ok=True)
    memory_mb, step_ms = budget
    searching = Search(
        job, examples, folder, Cost(step_ms, memory_mb), minutes * 60, threads, stopped=lambda: stopping.asked
    )
    for one in searching.run():
        tell(
            Event(event="tried", name=one.name, step_ms=one.step_ms, memory_mb=one.memory_mb, judged_loss=one.loss,
                  done=one.steps, pieces=one.pieces)
        )  # fmt: skip
    result = searching.result()
    if result is not None:
        (folder / FOUND).write_bytes(msgspec.json.encode(result))
    tell(Event(event="stopped" if stopping.asked else "finished"))


def _job(folder: Path) -> Job:
    job = jobs.load(folder)
    if job is None:
        raise FileNotFoundError(folder / jobs.JOB)
    return job


def main(arguments: list[str]) -> int:
    verb, folder, *rest = arguments
    try:
        if verb == "prepare":
            prepare(Path(folder))
        elif verb == "train":
            train(Path(folder), int(rest[0]) if rest else 1)
        elif verb == "search":
            memory_mb, step_ms, minutes, threads = map(float, rest)
            search(Path(folder), (memory_mb, step_ms), minutes, int(threads))
        else:
            finish(Path(folder))
    except KeyboardInterrupt:
        # Where nothing else hears it: what is written is whole or not there, and the same command goes on.
        tell(Event(event="stopped"))
    except KinflowError as error:
        tell(Event(event="failed", number=error.number, fields={key: str(one) for key, one in error.fields.items()}))
        return error.exit_status
    except OSError as error:
        tell(
            Event(
                event="failed", fields={"errno": str(error.errno or 0), "text": str(error), "file": str(error.filename)}
            )
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
