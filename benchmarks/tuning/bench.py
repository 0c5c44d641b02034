"""`kinflow bench tuning`: what a training step takes, ours beside torch's.

All engines of one network and batch are running processes, of which one works at a time: rounds of a few steps go
round, so that what else the machine does meets each of them alike. torch is measured as it comes, with glibc's
allocator told to keep its memory, and in channels-last order: the best of these is what counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from msgspec import Struct

from benchmarks.errors import PeerFailed
from benchmarks.tuning.installed import installed_mb
from benchmarks.tuning.subject import SUBJECTS
from models.tuning import onnx_file
from models.tuning.bundling import Origin, save
from models.tuning.compiler import Recipe, compile_training, gradient_graph
from models.tuning.graph import Array, Graph
from models.tuning.measuring import settle_order
from models.tuning.optimizers import Optimizer
from models.tuning.schemes import choose
from models.tuning.state import taken
from models.tuning.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
# So low that the loss stays what it is: numbers near zero take longer, and no engine is to meet them.
RATE = 1e-6
COMPARED_STEPS = 200
OURS = "kinflow"
# glibc then keeps freed memory instead of returning it to the kernel, which would hand it out anew page by page.
_KEEPING = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
_TORCH = {"torch": {}, "torch-malloc": {}, "torch-channels-last": {"channels_last": True}}
# Minutes for the first step, and a compiler of C++: only where it is asked for.
_COMPILED = {"torch-compile": {"compiled": True}}


class Row(Struct, kw_only=True):
    """step_ms: median, by the clock. cpu_ms: of the processor's time, which other work on the machine changes less.
    rss_over_import_mb: peak, over the process with its libraries loaded. first_step_s: from the start of the process.
    gradient_error: largest difference from torch in double precision over the largest gradient, the worst tensor.
    loss_error: largest difference of the loss, over itself, from torch in double precision in so many steps of SGD;
    torch's own in single precision beside it. None without torch."""

    model: str
    batch: int
    threads: int
    engine: str
    scheme: str
    step_ms: float
    cpu_ms: float
    rss_over_import_mb: float
    first_step_s: float
    installed_mb: float
    gradient_error: float | None = None
    loss_error: float | None = None


class Figures(Struct, kw_only=True):
    """ratios: torch (the best of its ways) over ours, for each model, batch and threads; full_over_deep compares torch
    training everything with ours training the deep scheme."""

    rows: list[Row]
    ratios: list[dict[str, Any]]
    machine: str


@dataclass(frozen=True)
class Setting:
    models: Sequence[str] = tuple(SUBJECTS)
    batches: Sequence[int] = (1, 8)
    threads: Sequence[int] = (1,)
    schemes: Sequence[str] = ("full", "deep")
    rounds: int = 6
    steps: int = 5
    torch: Path | None = None
    compiled: bool = False


@dataclass
class Engine:
    """A process that takes steps when told to."""

    name: str
    scheme: str
    process: subprocess.Popen[str]
    installed: float
    first_step_s: float = 0.0
    times: list[tuple[float, float]] = field(default_factory=list)
    rss_mb: float = 0.0
    gradient_error: float | None = None
    loss_error: float | None = None

    def read(self) -> Any:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise PeerFailed(engine=self.name, detail=f"it ended with status {self.process.wait()}")
        return json.loads(line)

    def take(self, steps: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        self.times += self.read()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.rss_mb = self.read()["rss_over_import_mb"]
        self.process.wait()


def measure(setting: Setting) -> Figures:
    rows: list[Row] = []
    own_mb = installed_mb(["numpy", "onnxruntime"])
    torch_mb = _torch_mb(setting.torch) if setting.torch else 0.0
    for model in setting.models:
        for batch in setting.batches:
            for threads in setting.threads:
                rows += _together(setting, model, batch, threads, (own_mb, torch_mb))
    return Figures(rows=rows, ratios=list(_ratios(rows)), machine=f"{os.cpu_count()} x {os.uname().machine}")


def _together(
    setting: Setting, model: str, batch: int, threads: int, installed: tuple[float, float]
) -> Iterable[Row]:  # fmt: skip
    subject = SUBJECTS[model]
    graph = subject.network()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kinflow-bench-")))
        feeds = subject.feeds(graph, batch)
        np.savez(folder / "feeds.npz", x=feeds[next(iter(graph.inputs))], labels=feeds["labels"])
        weights = {name: one for name, one in graph.constants.items() if name.endswith(("weight", "bias"))}
        np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
        base = folder / "base.onnx"
        onnx_file.write(graph, base)
        engines: list[Engine] = []
        for scheme in setting.schemes:
            names = choose(graph, scheme, subject.loss).tensors
            recipe = Recipe(batch, subject.loss, Optimizer("sgd", RATE), boxes=subject.boxes)
            for name, one in _ways(model, scheme, recipe).items():
                program = folder / f"{name}-{scheme}"
                save(compile_training(graph, names, one), program, Origin(base, scheme))
                settle_order(program)
                command = [sys.executable, "-m", "benchmarks.tuning.ours", str(program), str(threads)]
                process = _start([*command, str(folder / "feeds.npz")], {}, stack)
                engines.append(_engine(name, scheme, process, installed[0]))
            if setting.torch is None:
                continue
            spec = {
                "network": model, "weights": str(folder / "weights.npz"), "feeds": str(folder / "feeds.npz"),
                "trained": names, "threads": threads, "rate": RATE,
            }  # fmt: skip
            ours = next(one for one in engines if (one.name, one.scheme) == (OURS, scheme))
            compared = replace(recipe, optimizer=Optimizer("sgd", subject.rate))
            exact = _exact({**spec, "rate": subject.rate, "steps": COMPARED_STEPS}, setting.torch)
            ours.gradient_error = gradient_error(graph, compared, feeds, names, exact)
            program = folder / f"compared-{scheme}"
            save(compile_training(graph, names, compared), program, Origin(base, scheme))
            ours.loss_error = loss_error(_losses(program, feeds), exact)
            ways = {**_TORCH, **_COMPILED} if setting.compiled else _TORCH
            for name, more in ways.items():
                if name == "torch-channels-last" and model == "llama":
                    continue
                path = folder / f"{name}-{scheme}.json"
                path.write_text(json.dumps({**spec, **more}))
                command = [str(setting.torch), "-m", "models.training.tuning_peer", str(path)]
                process = _start(command, {} if name == "torch" else _KEEPING, stack)
                engines.append(_engine(name, scheme, process, installed[1]))
                if name == "torch":
                    engines[-1].loss_error = loss_error(exact["single"], exact)
        for one in engines:
            one.take(2)
            one.times.clear()
        for _ in range(setting.rounds):
            for one in engines:
                one.take(setting.steps)
        for one in engines:
            one.end()
            yield Row(
                model=model, batch=batch, threads=threads, engine=one.name, scheme=one.scheme,
                step_ms=round(median(wall for wall, _ in one.times), 3),
                cpu_ms=round(median(cpu for _, cpu in one.times), 3), rss_over_import_mb=round(one.rss_mb, 1),
                first_step_s=round(one.first_step_s, 2), installed_mb=one.installed,
                gradient_error=one.gradient_error, loss_error=one.loss_error,
            )  # fmt: skip


def _ways(model: str, scheme: str, recipe: Recipe) -> dict[str, Recipe]:
    """Ours. kept: what the frozen beginning gives was computed before, as in each epoch but the first."""
    found = {OURS: recipe}
    if scheme != "full":
        found["kinflow-kept"] = replace(recipe, cut=True)
        if model == "llama":
            found["kinflow-int8"] = replace(recipe, int8=True)
            found["kinflow-int8-kept"] = replace(recipe, int8=True, cut=True)
    return found


def _engine(name: str, scheme: str, process: subprocess.Popen[str], installed: float) -> Engine:
    """Once its first step is done: the next one starts on a machine that this one no longer uses."""
    engine = Engine(name, scheme, process, installed)
    engine.first_step_s = engine.read()["first_step_s"]
    return engine


def _start(command: list[str], more: dict[str, str], stack: ExitStack) -> subprocess.Popen[str]:
    """It waits for its turn; when the bench ends for any reason, it ends too."""
    environment = {**os.environ, **more, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE if not more else None, text=True,
        env=environment, cwd=ROOT,
    )  # fmt: skip

    def end() -> None:
        if process.poll() is None:
            process.kill()
        process.wait()
        for one in (process.stdin, process.stdout, process.stderr):
            if one is not None and not one.closed:
                one.close()

    stack.callback(end)
    return process


def gradient_error(
    graph: Graph, recipe: Recipe, feeds: dict[str, Any], names: Sequence[str], exact: Mapping[str, Array]
) -> float:  # fmt: skip
    """Largest |ours - torch in double precision| over the tensor's largest gradient, of the worst tensor."""
    compiled, state, places = gradient_graph(graph, names, recipe)
    session = onnxruntime.InferenceSession(
        onnx_file.to_model(compiled).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = dict(zip(compiled.outputs, session.run(None, {**feeds, **state}), strict=True))
    ours = taken(places, {name: found[f"gradient.{name}"] for name in state})
    # A level that no box stands on has no gradient, and must have none here.
    largest = {name: max(float(np.abs(exact[name]).max()), 1e-30) for name in names}
    return max(float(np.abs(ours[name] - exact[name]).max()) / largest[name] for name in names)


def loss_error(losses: Array, exact: Mapping[str, Array]) -> float:
    """Largest |loss - torch's in double precision| over the latter, of all steps."""
    return float((np.abs(losses - exact["double"]) / np.abs(exact["double"])).max())


def _losses(program: Path, feeds: dict[str, Any]) -> Array:
    trainer = Trainer(program, 1)
    return np.array([trainer.step(feeds) for _ in range(COMPARED_STEPS)])


def _exact(spec: dict[str, Any], torch: Path) -> Mapping[str, Array]:
    folder = Path(spec["weights"]).parent
    path, out = folder / "exact.json", folder / "exact.npz"
    path.write_text(json.dumps(spec))
    _run([str(torch), "-m", "models.training.tuning_peer", str(path), str(out)])
    return dict(np.load(out))


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no word"]
        raise PeerFailed(engine=command[0], detail=lines[-1][:200])
    return done.stdout


def _torch_mb(python: Path) -> float:
    return float(_run([str(python), "-m", "benchmarks.tuning.installed", "torch", "numpy"]))


def _ratios(rows: Sequence[Row]) -> Iterable[dict[str, Any]]:
    """By the processor's time where one thread works, else by the clock: a thread that waits takes time too."""

    def cost(row: Row) -> float:
        return row.cpu_ms if row.threads == 1 else row.step_ms

    for key in dict.fromkeys((row.model, row.batch, row.threads) for row in rows):
        here = [row for row in rows if (row.model, row.batch, row.threads) == key]
        ours = {
            row.scheme + row.engine.removeprefix(OURS).replace("-", "_"): row
            for row in here
            if row.engine.startswith(OURS)
        }
        theirs: dict[str, list[Row]] = {}
        for row in here:
            if not row.engine.startswith(OURS):
                theirs.setdefault(row.scheme, []).append(row)
        found: dict[str, Any] = dict(zip(("model", "batch", "threads"), key, strict=True))
        for name, own in ours.items():
            if own.scheme in theirs:
                found[f"{own.scheme}_over_{name}"] = round(min(map(cost, theirs[own.scheme])) / cost(own), 2)
        if "full" in theirs and "deep" in ours:
            full, deep = theirs["full"], ours["deep"]
            memory, first = min(row.rss_over_import_mb for row in full), min(row.first_step_s for row in full)
            for name, own in ours.items():
                if own.scheme != "full":
                    found[f"full_over_{name}"] = round(min(map(cost, full)) / cost(own), 2)
                    found[f"memory_full_over_{name}"] = round(memory / max(own.rss_over_import_mb, 0.1), 2)
                    found[f"first_step_full_over_{name}"] = round(first / own.first_step_s, 2)
            found["installed"] = round(full[0].installed_mb / deep.installed_mb, 2)
        if len(found) > 3:
            yield found
