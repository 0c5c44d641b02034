"""The loop: epochs over the data, judged and saved as it goes; what it tells is left to the caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import LossDiverged, RunDiffers
from models.tuning import safetensors_file
from models.tuning.data.examples import Examples, shuffled
from models.tuning.job import STATE, Job
from models.tuning.trainer import Trainer

SAVED_EVERY_S = 30.0


@dataclass(frozen=True)
class Judged:
    """loss: mean over the examples that were kept for judging. score: 0..1, of the kind that `measure` names."""

    loss: float
    measure: str
    score: float


@dataclass(frozen=True)
class Step:
    """done: steps of `total`. loss: of this batch. judged: at the beginning and after each epoch."""

    done: int
    total: int
    epoch: int
    loss: float
    judged: Judged | None = None


def train(
    trainer: Trainer, examples: Examples, job: Job, folder: Path, now: Callable[[], float] = time.monotonic
) -> Generator[Step, None, None]:
    """Goes on from FOLDER/state.safetensors where it is there. Whenever the caller stops asking (Ctrl-C), what was done
    so far is saved. Raises LossDiverged (KF373), after which the last saved state is the last good one."""
    trained, judged = examples.parts()
    batch = trainer.manifest.batch
    each = -(-len(trained) // batch)
    total = each * job.epochs
    if (folder / STATE).exists():
        restore(trainer, folder)
    saved = now()
    good = True
    try:
        if trainer.steps_done == 0:
            first = judge(trainer, examples, judged)
            save(trainer, folder)
            yield Step(0, total, 0, first.loss, first)
        while trainer.steps_done < total:
            epoch, position = divmod(trainer.steps_done, each)
            order = shuffled(trained, job.seed, epoch)
            for feeds in examples.batches(order, batch, position):
                redraw(trainer, each, job.seed)
                loss = trainer.step(feeds, scheduled(trainer, trainer.steps_done, total))
                if not np.isfinite(loss):
                    good = False
                    raise LossDiverged(step=trainer.steps_done + 1, kept=f"{folder / STATE} is the last good state")
                ended = trainer.steps_done % each == 0
                verdict = judge(trainer, examples, judged) if ended else None
                if verdict is not None and not np.isfinite(verdict.loss):
                    good = False
                    raise LossDiverged(step=trainer.steps_done, kept=f"{folder / STATE} is the last good state")
                if ended or now() - saved > SAVED_EVERY_S:
                    save(trainer, folder)
                    saved = now()
                yield Step(trainer.steps_done, total, epoch + 1, loss, verdict)
    finally:
        if good:
            save(trainer, folder)


def redraw(trainer: Trainer, each: int, seed: int) -> None:
    """Before a step: of sampled weights other channels are trained from an epoch's first whole update on. each: steps
    an epoch. Which ones depends on the epoch alone: a training that goes on there draws the same again."""
    every = trainer.manifest.accumulate
    epoch, position = divmod(trainer.steps_done, each)
    if trainer.manifest.sampled and epoch and position < every and trainer.steps_done % every == 0:
        trainer.redraw(np.random.default_rng((seed, epoch)))


def scheduled(trainer: Trainer, done: int, total: int) -> float:
    """Of the learning rate, by updates: of a batch in pieces all have the same."""
    every = trainer.manifest.accumulate
    return factor(done // every, max(total // every, 1))


def factor(step: int, total: int) -> float:
    """Of the learning rate: up over the first twentieth, then down to a tenth along half a cosine (Loshchilov and
    Hutter 2017, arXiv 1608.03983)."""
    warm = max(total // 20, 1)
    if step < warm:
        return (step + 1) / warm
    return 0.1 + 0.45 * (1 + float(np.cos(np.pi * (step - warm) / max(total - warm, 1))))


def judge(trainer: Trainer, examples: Examples, numbers: list[int]) -> Judged:
    losses, count, batch = 0.0, 0, trainer.manifest.batch
    scorer, output = examples.scorer(), trainer.manifest.outputs[1]
    for place, feeds in enumerate(examples.batches(numbers, batch)):
        found = trainer.evaluate(feeds)
        here = scorer.add(numbers[place * batch : (place + 1) * batch], found[output], feeds["labels"])
        losses += float(found["loss"]) * here
        count += here
    return Judged(losses / max(count, 1), scorer.name, scorer.score())


def save(trainer: Trainer, folder: Path) -> None:
    """Only a state that is all numbers: else the last good one stays."""
    state = trainer.state()
    if all(bool(np.isfinite(one).all()) for one in state.values()):
        program = trainer.manifest.base_sha256 + trainer.manifest.scheme
        safetensors_file.write(folder / STATE, state, {"steps_done": str(trainer.steps_done), "program": program})


def restore(trainer: Trainer, folder: Path) -> None:
    state, metadata = safetensors_file.read(folder / STATE)
    if metadata.get("program") != trainer.manifest.base_sha256 + trainer.manifest.scheme:
        raise RunDiffers(path=folder, detail="its saved state is that of another program")
    trainer.restore(state, int(metadata["steps_done"]))
