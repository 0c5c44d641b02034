"""The search as it runs: tries each part alone, then what evolution puts together, then changes of the best so far; and
keeps a log to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from msgspec import Struct

from models.errors import BudgetTooSmall
from models.tuning import job as jobs
from models.tuning.compiling import compile_scheme, prepared
from models.tuning.data.examples import Examples, shuffled
from models.tuning.graph import Graph
from models.tuning.job import Job
from models.tuning.measuring import measured
from models.tuning.resolve import resolve
from models.tuning.schemes import Scheme
from models.tuning.search.climbing import last_that_fits, neighbours
from models.tuning.search.cost import Cost, Costs
from models.tuning.search.evolution import Gains, evolve
from models.tuning.search.scheme_file import Found
from models.tuning.search.space import Choice, Space, space_of
from models.tuning.trainer import Trainer
from models.tuning.training import judge, scheduled

LOG = "tried.jsonl"
MEASURED_STEPS = 8
# Of the time allowed; the rest is for what is put together.
_FOR_SINGLES = 0.5
LEAST_STEPS, MOST_STEPS, MOST_EPOCHS = 10, 400, 10
MOST_HELD = 200
# A batch is computed in no more pieces than this.
MOST_PIECES = 16
# How often evolution is asked again, since what it proposed did not fit after all.
MOST_EVOLVED = 5
# The loss of what became no number; JSON has no infinity.
DIVERGED = 1e30


class Tried(Struct, frozen=True):
    """A line of the log. step_ms: of a whole batch, whatever pieces it has. loss, score: on held-back examples after
    `steps` steps; none where it was only measured."""

    biases: int
    groups: tuple[int, ...]
    step_ms: float
    memory_mb: float
    steps: int = 0
    loss: float | None = None
    score: float = 0.0
    name: str = ""
    pieces: int = 1

    @property
    def choice(self) -> Choice:
        return Choice(self.biases, frozenset(self.groups))

    @property
    def cost(self) -> Cost:
        return Cost(self.step_ms, self.memory_mb)


@dataclass
class Search:
    """One search in its folder. stopped: asked between steps whether to end with what there is. most_pieces: that a
    batch may be computed in, where the budget of memory wants it."""

    job: Job
    examples: Examples
    folder: Path
    budget: Cost
    seconds: float
    threads: int = 1
    stopped: Callable[[], bool] = lambda: False
    now: Callable[[], float] = time.monotonic
    most_pieces: int = MOST_PIECES

    def __post_init__(self) -> None:
        graph, anew = prepared(self.job)
        self._graph: Graph = graph
        self.space: Space = space_of(resolve(graph, self.job.batch, self.job.sizes), self.job.loss, anew)
        trained, _ = self.examples.parts()
        self._learnt, held = self.examples.apart(trained, "search")
        self._held = held[:MOST_HELD]
        self.tried: dict[tuple[Choice, int], Tried] = {
            (one.choice, one.pieces): one for one in _read(self.folder / LOG)
        }
        doubling = [2**power for power in range(self.most_pieces.bit_length())]
        self._pieces = [one for one in doubling if self.job.batch % one == 0]
        self._steps = max((one.steps for one in self.tried.values()), default=0)
        self._evolved, self._has_evolved = 0, False
        self._began = self.now()

    def run(self) -> Iterator[Tried]:
        """Each try as it is done."""
        every = Choice(len(self.space.biases) - 1, frozenset(range(len(self.space.groups))))
        singles = self.space.singles()
        if not self.space.always.tensors:
            singles = singles[1:]
        if (every, 1) not in self.tried:
            yield self._measure(every, "all together")
        for name, choice in singles:
            if self._ended(_FOR_SINGLES):
                break
            if self._is_open(choice):
                if not self._steps:
                    self._steps = self._affordable(len(singles))
                # The head is what all are compared with, whether it fits or not.
                yield self._try(choice, name, only_if_it_fits=bool(choice.groups) or choice.biases >= 0)
        yield from self._together()

    def _together(self) -> Iterator[Tried]:
        while not self._ended(1.0):
            choice = next((one for one in self._proposals() if self._is_open(one) and self.space.tensors(one)), None)
            if choice is None:
                return
            # What does not fit after all is known as such from now on, and not proposed again.
            yield self._try(choice, "together", only_if_it_fits=True)

    def _proposals(self) -> Iterator[Choice]:
        """As much as fits from the network's end on, since short trainings tell small gains badly; what evolution puts
        together, until some of it fits; then changes of the best that was trained."""
        space, gains = self.space, self._gains()
        costs = self._costs()
        yield last_that_fits([one.first for one in space.groups], len(space.biases), costs, self.budget)
        if self._evolved < MOST_EVOLVED and not self._has_evolved:
            self._evolved += 1
            ranked = [one for one in evolve(gains, costs, self.budget, self.job.seed) if space.tensors(one)]
            self._has_evolved = bool(ranked) and self._trained(ranked[0]) is not None
            yield from ranked[:1]
        best = self._best()
        if best is not None:
            parts = len(space.biases), len(space.groups)
            yield from neighbours(best.choice, parts, gains, costs, self.budget)

    def _best(self) -> Tried | None:
        """Of what was trained and fits, with as many pieces."""
        done = [one for one in self.tried.values() if one.loss is not None and one.step_ms]
        fitting = [one for one in done if one.cost.fits(self.budget) and self.space.tensors(one.choice)]
        return min(fitting, key=lambda one: one.loss if one.loss is not None else math.inf, default=None)

    def _known(self, choice: Choice) -> list[Tried]:
        """With whatever pieces, the fewest first."""
        return [self.tried[choice, one] for one in self._pieces if (choice, one) in self.tried]

    def _trained(self, choice: Choice) -> Tried | None:
        """What it learns does not depend on how many pieces a batch has."""
        return next((one for one in self._known(choice) if one.loss is not None), None)

    def _is_open(self, choice: Choice) -> bool:
        known = self._known(choice)
        if self._trained(choice) is not None:
            # Under another budget it may want more pieces than it was trained with.
            return not any(one.cost.fits(self.budget) for one in known) and self._might_fit(known[-1])
        return not known or choice == Choice() or self._might_fit(known[-1])

    def _might_fit(self, known: Tried) -> bool:
        """It, or more pieces of it; those take no less time."""
        in_time = Cost(known.step_ms, 0.0).fits(Cost(self.budget.step_ms, 0.0))
        return known.cost.fits(self.budget) or (in_time and known.pieces < self._pieces[-1])

    def result(self) -> Found | None:
        """The best of what was tried and fits; None where nothing was tried. Raises BudgetTooSmall (KF376)."""
        done = [one for one in self.tried.values() if one.loss is not None and one.step_ms]
        if not done:
            return None
        best = self._best()
        if best is None:
            least = min(done, key=lambda one: one.cost.excess(self.budget))
            told = f"{least.name} takes {least.step_ms:.1f} ms a step and {least.memory_mb:.0f} MB"
            raise BudgetTooSmall(network=Path(self.job.model).name, least=told)
        head = self._head_loss()
        untried = sum(self._is_open(choice) for _, choice in self.space.singles()[1:])
        return Found(
            tensors=self.space.tensors(best.choice),
            parts=tuple(part.name for part in self.space.parts(best.choice)),
            pieces=best.pieces,
            step_ms=best.step_ms,
            memory_mb=best.memory_mb,
            gain=head - (best.loss or 0.0),
            expected=self._gains().of(best.choice),
            head_loss=head,
            steps=self._steps,
            untried=untried,
        )

    def _head_loss(self) -> float:
        """Of what everything is compared with: 0 as long as it was not tried."""
        head = self._trained(Choice())
        return head.loss if head is not None and head.loss is not None else 0.0

    def _gains(self) -> Gains:
        head = self._head_loss()
        biases: dict[int, float] = {}
        groups: dict[int, float] = {}
        for _, choice in self.space.singles()[1:]:
            known = self._trained(choice)
            if known is None or known.loss is None:
                continue
            if choice.groups:
                groups[next(iter(choice.groups))] = head - known.loss
            else:
                biases[choice.biases] = head - known.loss
        return Gains(biases, groups)

    def _costs(self) -> Costs:
        known = {key: one.cost for key, one in self.tried.items() if one.step_ms}
        if not self.space.always.tensors:
            known |= {(Choice(), one): Cost(math.inf, math.inf) for one in self._pieces}
        return Costs(self.space, len(self.job.optimizer.slots), known, self.budget, self._pieces)

    def _affordable(self, tries: int) -> int:
        """Steps of each short training, so that all of them end in time."""
        step_s = max(one.step_ms for one in self.tried.values()) / 1e3
        left = self.seconds * _FOR_SINGLES - (self.now() - self._began)
        most = min(MOST_STEPS, MOST_EPOCHS * -(-len(self._learnt) // self.job.batch))
        return max(LEAST_STEPS, min(most, int(left / tries / max(step_s, 1e-4) / 2)))

    def _measure(self, choice: Choice, name: str) -> Tried:
        with TemporaryDirectory(prefix="kinflow-search-") as made:
            return self._keep(self._measured(choice, 1, name, Path(made)))

    def _measured(self, choice: Choice, pieces: int, name: str, place: Path) -> Tried:
        """Compiled, and run a few steps."""
        compile_scheme(self.job, place, self._graph, Scheme("search", self.space.tensors(choice), pieces=pieces))
        found = measured(place / jobs.PROGRAM, MEASURED_STEPS, self.threads)
        groups, step_ms = tuple(sorted(choice.groups)), found["step_ms"] * pieces
        return Tried(choice.biases, groups, step_ms, found["rss_over_import_mb"], name=name, pieces=pieces)

    def _try(self, choice: Choice, name: str, only_if_it_fits: bool) -> Tried:
        trained = self._trained(choice)
        only_if_it_fits |= trained is not None
        with TemporaryDirectory(prefix="kinflow-search-") as made:
            place = Path(made)
            known = self._fitting(choice, name, place) if only_if_it_fits else self._measured(choice, 1, name, place)
            if only_if_it_fits and not known.cost.fits(self.budget):
                return known
            if trained is not None:
                learnt = {"steps": trained.steps, "loss": trained.loss, "score": trained.score}
                return self._keep(msgspec.structs.replace(known, **learnt))
            trainer = Trainer(place / jobs.PROGRAM, self.threads)
            if not self.space.always.tensors and self._trained(Choice()) is None:
                before = judge(trainer, self.examples, self._held)
                self._keep(Tried(-1, (), 0.0, 0.0, self._steps, before.loss, before.score, self.space.always.name))
            sound = self._train(trainer)
            if self.stopped():
                return known
            verdict = judge(trainer, self.examples, self._held)
            loss = verdict.loss if sound and np.isfinite(verdict.loss) else DIVERGED
            return self._keep(msgspec.structs.replace(known, steps=self._steps, loss=loss, score=verdict.score))

    def _fitting(self, choice: Choice, name: str, place: Path) -> Tried:
        """With ever more pieces, from as many on as are guessed to be enough, until it fits; compiled in `place`."""
        first = self._costs().pieces(choice)
        for pieces in [one for one in self._pieces if one >= first]:
            before = self.tried.get((choice, pieces))
            too_much = before is not None and not before.cost.fits(self.budget)
            known = before if before and too_much else self._keep(self._measured(choice, pieces, name, place))
            if known.cost.fits(self.budget) or not self._might_fit(known):
                break
        return known

    def _train(self, trainer: Trainer) -> bool:
        """False when it did not come to its end: stopped, or the loss became no number."""
        done = epoch = 0
        total = self._steps * trainer.manifest.accumulate
        while done < total:
            order = shuffled(self._learnt, self.job.seed, epoch)
            for feeds in self.examples.batches(order, trainer.manifest.batch):
                if self.stopped() or not np.isfinite(trainer.step(feeds, scheduled(trainer, done, total))):
                    return False
                done += 1
                if done == total:
                    break
            epoch += 1
        return True

    def _keep(self, tried: Tried) -> Tried:
        self.tried[tried.choice, tried.pieces] = tried
        with (self.folder / LOG).open("ab") as file:
            file.write(msgspec.json.encode(tried) + b"\n")
        return tried

    def _ended(self, share: float) -> bool:
        return self.stopped() or self.now() - self._began > self.seconds * share


def _read(path: Path) -> list[Tried]:
    """A last line that was cut off is tried again."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            found.append(msgspec.json.decode(line, type=Tried))
        except msgspec.MsgspecError:
            continue
    return found
