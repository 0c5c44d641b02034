"""`kinflow bench adapting`: what a scheme that was searched for learns, beside bias-only and last-k at equal memory.

A small network is trained on much, then on a little of something new: spoken digits of five speakers and then of a
sixth; books and then one kind of dialogues. The limit of memory is what bias-only takes. last-k gets as many layers as
fit it, the search is told it. Each scheme trains for equally many steps, at the rate of RATES that was best for it on
held-back examples of all runs of a task; what is told was measured on examples that nothing chose by.
"""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.tuning.networks import Llama, llama, spectrogram_network
from models.tuning import deltas, onnx_file
from models.tuning import job as jobs
from models.tuning.bundle import hash_of
from models.tuning.compiling import compile_scheme, prepared
from models.tuning.data.examples import Examples, shuffled
from models.tuning.data.opening import open_examples
from models.tuning.graph import Graph
from models.tuning.job import Job
from models.tuning.layers import layers
from models.tuning.optimizers import Optimizer
from models.tuning.planning import measured
from models.tuning.results import apply_delta, make_delta
from models.tuning.schemes import Scheme, choose
from models.tuning.search.cost import Cost
from models.tuning.search.searching import Search
from models.tuning.trainer import Trainer
from models.tuning.training import Judged, factor, judge

RATES = (0.003, 0.01)
SHAPE = (1, 32, 40)
DIGITS = "0123456789"
FORM = Llama(vocabulary=256, width=64, layers=4, heads=4, hidden=172, places=64)
SEARCHED, BIASES, LAST, DEEP = "searched", "bias-only", "last-k", "deep"


class Row(Struct, kw_only=True):
    """before, after: loss on what nothing chose by; score: accuracy there, of digits or of following bytes."""

    task: str
    what: str
    scheme: str
    rate: float
    trained: int
    memory_mb: float
    step_ms: float
    before: float
    after: float
    score_before: float
    score: float


@dataclass(frozen=True)
class Task:
    """folder: of everything that is made. learnt, test: data of what is new."""

    name: str
    what: str
    net: Path
    learnt: Path
    test: Path
    loss: str
    steps: int
    batch: int = 16

    def job(self, net: Path, data: Path, scheme: str, rate: float, labels: Sequence[str] = ()) -> Job:
        return Job(
            model=str(net), base_sha256=hash_of(net), data=str(data), scheme=scheme, loss=self.loss, batch=self.batch,
            optimizer=Optimizer("adam", rate), clip=1.0, labels=tuple(labels),
        )  # fmt: skip

    def examples(self, data: Path) -> Examples:
        if self.loss == "language":
            return open_examples(data, ("tokens", (self.batch, FORM.places)), "language", FORM.vocabulary)
        return open_examples(data, ("sounds", (self.batch, *SHAPE)), self.loss)


def measure(tasks: Sequence[Task], minutes: float, tell: Callable[[Row], None]) -> list[Row]:
    """minutes: of each search."""
    rows = []
    for name in dict.fromkeys(one.name for one in tasks):
        runs = [(one, *_schemes(one, minutes)) for one in tasks if one.name == name]
        for scheme in runs[0][2]:
            tried = {rate: [_held_loss(task, graph, of[scheme], rate) for task, graph, of in runs] for rate in RATES}
            rate = min(RATES, key=lambda one: float(np.mean(tried[one])))
            for task, graph, of in runs:
                rows.append(_row(task, scheme, graph, of[scheme], rate))
                tell(rows[-1])
    return rows


def summary(rows: Sequence[Row]) -> list[dict[str, object]]:
    """For each task and other scheme: by how much the searched one's loss is lower, and its score higher, over the same
    speakers or services: mean, and the half width of a 95 % interval (Student's t)."""
    told: list[dict[str, object]] = []
    for task in dict.fromkeys(one.task for one in rows):
        mine = {one.what: one for one in rows if (one.task, one.scheme) == (task, SEARCHED)}
        for scheme in dict.fromkeys(one.scheme for one in rows if one.task == task and one.scheme != SEARCHED):
            theirs = [one for one in rows if (one.task, one.scheme) == (task, scheme) and one.what in mine]
            loss = _interval([one.after - mine[one.what].after for one in theirs])
            score = _interval([mine[one.what].score - one.score for one in theirs])
            told.append({"task": task, "against": scheme, "runs": len(theirs), "less_loss": loss, "more_score": score})
    return told


# Student's t for 95 %, both sides, by degrees of freedom.
_T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365}


def _interval(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (round(float(np.mean(values)), 4) if values else 0.0, float("nan"))
    half = _T.get(len(values) - 1, 2.2) * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return round(float(np.mean(values)), 4), round(half, 4)


def _schemes(task: Task, minutes: float) -> tuple[Graph, dict[str, Scheme]]:
    known = task.examples(task.learnt)
    job = task.job(task.net, task.learnt, "", RATES[0], known.labels)
    graph, _ = prepared(job)
    biases = choose(graph, BIASES, task.loss)
    most = _cost(job, graph, biases).memory_mb
    found = {BIASES: biases, LAST: _last_that_fits(job, graph, task.loss, most)}
    with TemporaryDirectory(prefix="kinflow-adapting-") as folder:
        search = Search(job, known, Path(folder), Cost(0.0, most), minutes * 60)
        for _ in search.run():
            pass
        result = search.result()
    # Nothing less than the head is measured, and it fits wherever biases do.
    found[SEARCHED] = Scheme(SEARCHED, result.tensors if result is not None else choose(graph, "head").tensors)
    return graph, found | {DEEP: choose(graph, DEEP, task.loss)}


def _last_that_fits(job: Job, graph: Graph, loss: str, most_mb: float) -> Scheme:
    """By halving: more layers take more."""
    fits, too_many = 1, len(layers(graph)) + 1
    while too_many - fits > 1:
        k = (fits + too_many) // 2
        if _cost(job, graph, choose(graph, "last-k", loss, k=k)).memory_mb <= most_mb:
            fits = k
        else:
            too_many = k
    return choose(graph, "last-k", loss, k=fits)


def _cost(job: Job, graph: Graph, scheme: Scheme) -> Cost:
    with TemporaryDirectory(prefix="kinflow-adapting-") as place:
        compile_scheme(job, Path(place), graph, scheme)
        found = measured(Path(place) / jobs.PROGRAM, 8, 1)
    return Cost(found["step_ms"], found["rss_over_import_mb"])


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
        task=task.name, what=task.what, scheme=name, rate=rate, trained=trained, memory_mb=cost.memory_mb,
        step_ms=cost.step_ms, before=round(before.loss, 4), after=round(after.loss, 4),
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
        before = judge(trainer, *test, task.batch)
        _train(trainer, *learnt, task.steps, task.batch)
        count = sum(one.count for one in trainer.manifest.places)
        return before, judge(trainer, *test, task.batch), count


def _train(trainer: Trainer, examples: Examples, numbers: list[int], steps: int, batch: int) -> None:
    done = epoch = 0
    while done < steps:
        for feeds in examples.batches(shuffled(numbers, 0, epoch), batch):
            trainer.step(feeds, factor(done, steps))
            done += 1
            if done == steps:
                return
        epoch += 1


def _pretrained(task: Task, data: Path, steps: int, rate: float, out: Path) -> None:
    """Trains every weight of task.net on `data`; the network that comes of it is `out`."""
    examples = task.examples(data)
    learnt, _ = examples.parts()
    job = task.job(task.net, data, "full", rate, examples.labels)
    graph, anew = prepared(job)
    with TemporaryDirectory(prefix="kinflow-adapting-") as place:
        folder = Path(place)
        compile_scheme(job, folder, graph, choose(graph, "full", task.loss))
        trainer = Trainer(folder / jobs.PROGRAM)
        _train(trainer, examples, learnt, steps, task.batch)
        delta = make_delta(folder / jobs.PROGRAM, trainer.manifest, trainer.tensors(), steps * task.batch, anew)
        deltas.write(folder / jobs.DELTA, delta)
        apply_delta(task.net, folder / jobs.DELTA, out)


def digits(recordings: Path, folder: Path, runs: int, steps: tuple[int, int] = (600, 60), seed: int = 0) -> list[Task]:
    """recordings: DIGIT_SPEAKER_NUMBER.wav. steps: on the others, and on what is new. One run for each
    of the first `runs` speakers, who is new in it."""
    files = sorted(recordings.glob("*_*_*.wav"))
    speakers = sorted({one.stem.split("_")[1] for one in files})
    tasks = []
    for place, speaker in enumerate(speakers[:runs]):
        here = folder / f"digits-{speaker}"
        random = np.random.default_rng((seed, place))
        parts = {name: here / name for name in ("others", "learnt", "test")}
        for digit in DIGITS:
            mine = [one for one in files if one.stem.startswith(f"{digit}_{speaker}_")]
            half = set(random.permutation(len(mine))[: len(mine) // 2].tolist())
            for number, one in enumerate(mine):
                _put(one, parts["learnt" if number in half else "test"] / digit)
            for one in files:
                if one.stem.startswith(f"{digit}_") and f"_{speaker}_" not in one.stem:
                    _put(one, parts["others"] / digit)
        start, net = here / "start.onnx", here / "net.onnx"
        onnx_file.write(spectrogram_network(len(DIGITS), SHAPE, seed + place), start)
        first = Task("digits", speaker, start, parts["learnt"], parts["test"], "classification", 0)
        _pretrained(first, parts["others"], steps[0], 0.003, net)
        tasks.append(Task("digits", speaker, net, parts["learnt"], parts["test"], "classification", steps[1]))
    return tasks


def _put(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / file.name)


def dialogues(
    texts: tuple[Path, Path], folder: Path, runs: int, steps: tuple[int, int] = (800, 80), seed: int = 0
) -> list[Task]:
    """texts: books as JSON lines with `text`, and talks with `services` and `turns`. Both may be packed as .xz. One
    run for each of the `runs` most frequent services."""
    books, talks = texts
    here = folder / "dialogues"
    here.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    whole = [json.loads(line)["text"] for line in _lines(books, 12)]
    pieces = [text[start : start + 1024] for text in whole for start in range(2000, 60_000, 1024)]
    chosen = random.permutation(len(pieces))[:500]
    _write(here / "books.jsonl", [pieces[one] for one in chosen])
    start, net = here / "start.onnx", here / "net.onnx"
    onnx_file.write(llama(FORM, seed), start)
    first = Task("dialogues", "books", start, here, here, "language", 0)
    _pretrained(first, here / "books.jsonl", steps[0], 0.003, net)
    spoken: dict[str, list[str]] = {}
    for line in _lines(talks, 4000):
        one = json.loads(line)
        if len(one["services"]) == 1:
            text = "\n".join(f"{who}: {said}" for who, said in one["turns"])
            spoken.setdefault(one["services"][0], []).append(text)
    tasks = []
    for service in sorted(spoken, key=lambda one: -len(spoken[one]))[:runs]:
        learnt, test = here / f"{service}.jsonl", here / f"{service}-test.jsonl"
        _write(learnt, spoken[service][:25])
        _write(test, spoken[service][25:40])
        tasks.append(Task("dialogues", service, net, learnt, test, "language", steps[1]))
    return tasks


def _lines(path: Path, most: int) -> list[str]:
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return list(islice(file, most))


def _write(path: Path, texts: Sequence[str]) -> None:
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n", "utf-8")


def encoded(rows: Sequence[Row]) -> str:
    return msgspec.json.encode({"rows": list(rows), "summary": summary(rows)}).decode()
