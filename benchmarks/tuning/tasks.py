"""What the bench adapts to: a network that has learnt much, and a little of something new."""

from __future__ import annotations

import json
import lzma
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.tuning.microphone import Microphone
from benchmarks.tuning.networks import Llama, llama, spectrogram_network
from models.tuning import deltas, onnx_file
from models.tuning import job as jobs
from models.tuning.bundle import hash_of
from models.tuning.compiling import compile_scheme, prepared
from models.tuning.data.examples import Examples, shuffled
from models.tuning.data.opening import open_examples
from models.tuning.data.yolo import yolo
from models.tuning.detectors import network_of
from models.tuning.job import Job
from models.tuning.optimizers import Optimizer
from models.tuning.results import apply_delta, make_delta
from models.tuning.schemes import choose
from models.tuning.trainer import Trainer
from models.tuning.training import redraw, scheduled

SHAPE = (1, 32, 40)
DIGITS = "0123456789"
FORM = Llama(vocabulary=256, width=64, layers=4, heads=4, hidden=172, places=64)
# Of labels numbered as COCO's 91 classes are, the first nine; none of them is number 0.
STREETS = ("nothing", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck")


@dataclass(frozen=True)
class Task:
    """what: which run of it. learnt, test: data of what is new. rates: of learning, from which each scheme takes the
    one that is best for it. labelled: of a detector's classes those that the data labels."""

    name: str
    what: str
    net: Path
    learnt: Path
    test: Path
    loss: str
    steps: int
    batch: int = 16
    rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    labelled: tuple[int, ...] = ()

    def job(self, net: Path, data: Path, scheme: str, rate: float, labels: Sequence[str] = ()) -> Job:
        return Job(
            model=str(net), base_sha256=hash_of(net), data=str(data), scheme=scheme, loss=self.loss, batch=self.batch,
            optimizer=Optimizer("adam", rate), clip=1.0, labels=tuple(labels), labelled=self.labelled,
        )  # fmt: skip

    def examples(self, data: Path) -> Examples:
        if self.loss == "language":
            return open_examples(data, ("tokens", (self.batch, FORM.places)), "language", FORM.vocabulary)
        if self.loss == "detection":
            return yolo(data, network_of(self.net), STREETS)[0]
        return open_examples(data, ("sounds", (self.batch, *SHAPE)), self.loss)


def train(trainer: Trainer, examples: Examples, numbers: list[int], steps: int) -> None:
    """steps: updates, of however many pieces."""
    done, epoch, total = 0, 0, steps * trainer.manifest.accumulate
    each = -(-len(numbers) // trainer.manifest.batch)
    while done < total:
        for feeds in examples.batches(shuffled(numbers, 0, epoch), trainer.manifest.batch):
            redraw(trainer, each, 0)
            trainer.step(feeds, scheduled(trainer, done, total))
            done += 1
            if done == total:
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
        train(trainer, examples, learnt, steps)
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


def microphones(recordings: Path, folder: Path, runs: int, steps: tuple[int, int] = (600, 60)) -> list[Task]:
    """recordings: DIGIT_SPEAKER_NUMBER.wav, of 16 bits. A network that has heard all speakers hears them through
    another, bad microphone, which is made: uneven over frequencies, humming, hissing, overdriven. One run a
    microphone."""
    files = sorted(recordings.glob("*_*_*.wav"))
    random = np.random.default_rng(0)
    parts = np.array_split(random.permutation(len(files)), [len(files) // 2, len(files) * 3 // 4])
    clean, start, net = folder / "clean", folder / "clean.onnx", folder / "clean-net.onnx"
    for number in parts[0]:
        _put(files[number], clean / files[number].stem[0])
    onnx_file.write(spectrogram_network(len(DIGITS), SHAPE), start)
    _pretrained(Task("microphones", "clean", start, clean, clean, "classification", 0), clean, steps[0], 0.003, net)
    tasks = []
    for place in range(runs):
        here, microphone = folder / f"microphone-{place}", Microphone(place)
        for name, numbers in (("learnt", parts[1]), ("test", parts[2])):
            for number in numbers:
                file = files[number]
                target = here / name / file.stem[0]
                target.mkdir(parents=True, exist_ok=True)
                microphone.record(file, target / file.name)
        tasks.append(
            Task("microphones", f"{place}", net, here / "learnt", here / "test", "classification", steps[1])
        )  # fmt: skip
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


def streets(pictures: Path, folder: Path, net: Path, runs: int, steps: int = 90) -> list[Task]:
    """pictures: images/ and labels/, classes numbered as COCO's 91. net: a detector that has learnt already. Each run
    learns from another half, and is judged by the rest."""
    files = sorted((pictures / "images").glob("*.jpg"))
    tasks = []
    for place in range(runs):
        order = np.random.default_rng(place).permutation(len(files)).tolist()
        parts = {name: folder / f"streets-{place}" / name for name in ("learnt", "test")}
        for rank, number in enumerate(order):
            file, part = files[number], parts["learnt" if rank < len(files) // 2 else "test"]
            _put(file, part / "images")
            _put(pictures / "labels" / f"{file.stem}.txt", part / "labels")
        _, labelled = yolo(parts["learnt"], network_of(net), STREETS)
        tasks.append(
            Task(
                "streets", f"half {place}", net, parts["learnt"], parts["test"], "detection", steps, batch=4,
                rates=(0.00003, 0.0001, 0.0003, 0.001), labelled=labelled,
            )
        )  # fmt: skip
    return tasks
