"""`kinflow bench adapting`: what a scheme that was searched for learns, beside bias-only and last-k at equal memory.

A network that has learnt much is trained on a little of something new: spoken digits of five speakers and then of a
sixth, or of a good microphone and then of a bad one; books and then one kind of dialogues; streets and then streets
in fog. The limit of memory is what the head alone takes and a share of what all biases take in addition. last-k gets
as many layers as fit it, and so does bias-only, both from the network's end on; the search is told it. Each scheme
trains for equally many steps, at the rate that was best for it on held-back examples of all runs of a task; what is
told was measured on examples that nothing chose by. A searched scheme may compute a batch in pieces, which takes less
memory; so that one sees what is the search's and what is that, last-k stands there a second time, in pieces, too.
Beside them stand full, which no limit holds (what `deep` learns is to be nearly as much), and `deep` with a quarter of
the channels at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.tuning.tasks import Task, train
from models.tuning import job as jobs
from models.tuning.compiling import compile_scheme, prepared
from models.tuning.data.examples import Examples
from models.tuning.graph import Graph
from models.tuning.job import Job
from models.tuning.layers import layers
from models.tuning.measuring import measured
from models.tuning.schemes import Scheme, choose
from models.tuning.search.cost import Cost
from models.tuning.search.searching import Search
from models.tuning.trainer import Trainer
from models.tuning.training import Judged, judge

SEARCHED, BIASES, LAST, DEEP, FULL = "searched", "bias-only", "last-k", "deep", "full"
# `deep`, of whose weights some input channels are trained at a time, others each epoch.
SAMPLED, CHANNELS = "deep, a quarter", 0.25
LAST_PIECES, PIECES = "last-k in pieces", (2, 4, 8, 16)
# Whose losses and scores are told beside which others'.
PAIRS = (
    (SEARCHED, BIASES), (SEARCHED, LAST), (SEARCHED, LAST_PIECES), (SEARCHED, DEEP), (SEARCHED, FULL), (DEEP, FULL),
    (DEEP, LAST), (SAMPLED, DEEP), (SAMPLED, FULL),
)  # fmt: skip


class Row(Struct, kw_only=True):
    """pieces: that a batch of step_ms is computed in. before, after: loss on what nothing chose by; score: accuracy
    there, of digits or of following bytes."""

    task: str
    what: str
    scheme: str
    rate: float
    trained: int
    pieces: int = 1
    memory_mb: float
    step_ms: float
    before: float
    after: float
    score_before: float
    score: float


def measure(tasks: Sequence[Task], minutes: float, tell: Callable[[Row], None], share: float = 1.0) -> list[Row]:
    """minutes: of each search; 0 for none. share: of the memory that all biases take beyond the head alone, 0..1."""
    rows = []
    for name in dict.fromkeys(one.name for one in tasks):
        runs = [(one, *_schemes(one, minutes, share)) for one in tasks if one.name == name]
        for scheme in runs[0][2]:
            rates = runs[0][0].rates
            tried = {rate: [_held_loss(task, graph, of[scheme], rate) for task, graph, of in runs] for rate in rates}
            rate = min(rates, key=lambda one: float(np.mean(tried[one])))
            for task, graph, of in runs:
                rows.append(_row(task, scheme, graph, of[scheme], rate))
                tell(rows[-1])
    return rows


def summary(rows: Sequence[Row]) -> list[dict[str, object]]:
    """For each task and pair of schemes: by how much the first one's loss is lower, and its score higher, over the same
    speakers, services or halves: mean, and the half width of a 95 % interval (Student's t)."""
    told: list[dict[str, object]] = []
    for task in dict.fromkeys(one.task for one in rows):
        by_scheme: dict[str, dict[str, Row]] = {}
        for row in rows:
            if row.task == task:
                by_scheme.setdefault(row.scheme, {})[row.what] = row
        for scheme, other in PAIRS:
            mine, theirs = by_scheme.get(scheme, {}), by_scheme.get(other, {})
            both = [(mine[what], theirs[what]) for what in mine if what in theirs]
            if both:
                loss = _interval([one.after - own.after for own, one in both])
                score = _interval([own.score - one.score for own, one in both])
                told.append(
                    {"task": task, "scheme": scheme, "against": other, "runs": len(both), "less_loss": loss,
                     "more_score": score}
                )  # fmt: skip
    return told


# Student's t for 95 %, both sides, by degrees of freedom.
_T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365}


def _interval(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (round(float(np.mean(values)), 4) if values else 0.0, float("nan"))
    half = _T.get(len(values) - 1, 2.2) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return round(float(np.mean(values)), 4), round(half, 4)


def _schemes(task: Task, minutes: float, share: float) -> tuple[Graph, dict[str, Scheme]]:
    known = task.examples(task.learnt)
    job = task.job(task.net, task.learnt, "", task.rates[0], known.labels)
    graph, _ = prepared(job)
    biases, more = choose(graph, BIASES, task.loss), {name: choose(graph, name, task.loss) for name in (DEEP, FULL)}
    more[SAMPLED] = replace(more[DEEP], channels=CHANNELS)
    least, most = (_cost(job, graph, one).memory_mb for one in (choose(graph, "head"), biases))
    most = least + share * (most - least)
    count = len(layers(graph))

    def last(pieces: int) -> tuple[int, Scheme]:
        return _most_that_fits(
            job, graph, most, lambda k: replace(choose(graph, LAST, task.loss, k=k), pieces=pieces), count
        )

    whole = last(1)
    found = {
        BIASES: _most_that_fits(job, graph, most, lambda k: _last_biases(graph, biases, k), count)[1],
        LAST: whole[1],
    }
    if not minutes:
        return graph, found | more
    # The most layers, with the fewest pieces that they fit with.
    ways = [whole, *(last(one) for one in PIECES if task.batch % one == 0)]
    found[LAST_PIECES] = max(ways, key=lambda one: one[0])[1]
    with TemporaryDirectory(prefix="kinflow-adapting-") as folder:
        search = Search(job, known, Path(folder), Cost(0.0, most), minutes * 60)
        for _ in search.run():
            pass
        result = search.result()
    # Nothing less than the head is measured, and it fits wherever biases do.
    tensors, pieces = (result.tensors, result.pieces) if result is not None else (choose(graph, "head").tensors, 1)
    found[SEARCHED] = Scheme(SEARCHED, tensors, pieces=pieces)
    return graph, found | more


def _last_biases(graph: Graph, biases: Scheme, k: int) -> Scheme:
    """Of the last k layers, with the head where bias-only trains it."""
    found = layers(graph)
    left_out = {name for one in found[: len(found) - k] for name in (one.weight, *one.vectors)}
    return Scheme(BIASES, tuple(name for name in biases.tensors if name not in left_out))


def _most_that_fits(
    job: Job, graph: Graph, most_mb: float, of: Callable[[int], Scheme], count: int
) -> tuple[int, Scheme]:
    """of: a scheme for so many layers, 1 to `count`. How many they are, and the scheme. By halving: more layers take
    more."""
    fits, too_many = 1, count + 1
    while too_many - fits > 1:
        k = (fits + too_many) // 2
        if not of(k).tensors or _cost(job, graph, of(k)).memory_mb <= most_mb:
            fits = k
        else:
            too_many = k
    return fits, of(fits)


def _cost(job: Job, graph: Graph, scheme: Scheme) -> Cost:
    with TemporaryDirectory(prefix="kinflow-adapting-") as place:
        compile_scheme(job, Path(place), graph, scheme)
        found = measured(Path(place) / jobs.PROGRAM, 8, 1)
    return Cost(found["step_ms"] * scheme.pieces, found["rss_over_import_mb"])


def _held_loss(task: Task, graph: Graph, scheme: Scheme, rate: float) -> float:
    known = task.examples(task.learnt)
    inner, held = known.apart(known.parts()[0], "rate")
    loss = _trained(task, graph, scheme, rate, (known, inner), (known, held))[1].loss
    return loss if np.isfinite(loss) else 1e9


def _row(task: Task, name: str, graph: Graph, scheme: Scheme, rate: float) -> Row:
    known, test = task.examples(task.learnt), task.examples(task.test)
    everything = list(range(len(test.keys)))
    before, after, trained = _trained(task, graph, scheme, rate, (known, known.parts()[0]), (test, everything))
    cost = _cost(task.job(task.net, task.learnt, "", rate, known.labels), graph, scheme)
    return Row(
        task=task.name, what=task.what, scheme=name, rate=rate, trained=trained, pieces=scheme.pieces,
        memory_mb=cost.memory_mb, step_ms=cost.step_ms, before=round(before.loss, 4), after=round(after.loss, 4),
        score_before=round(before.score, 4), score=round(after.score, 4),
    )  # fmt: skip


def _trained(  # noqa: PLR0917 (what is trained, how, on what, and judged on what)
    task: Task, graph: Graph, scheme: Scheme, rate: float, learnt: tuple[Examples, list[int]],
    test: tuple[Examples, list[int]],
) -> tuple[Judged, Judged, int]:  # fmt: skip
    with TemporaryDirectory(prefix="kinflow-adapting-") as place:
        job = task.job(task.net, task.learnt, "", rate, learnt[0].labels)
        compile_scheme(job, Path(place), graph, scheme)
        trainer = Trainer(Path(place) / jobs.PROGRAM)
        before = judge(trainer, *test)
        train(trainer, *learnt, task.steps)
        count = sum(one.count for one in trainer.manifest.places)
        return before, judge(trainer, *test), count


def encoded(rows: Sequence[Row]) -> str:
    return msgspec.json.encode({"rows": list(rows), "summary": summary(rows)}).decode()
