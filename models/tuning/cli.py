"""`kinflow tune`: train a network where it stands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from models.tuning import job as jobs
from models.tuning.bundle import hash_of
from models.tuning.job import Job
from models.tuning.optimizers import Optimizer
from models.tuning.options import (
    AsJson,
    BatchOption,
    ChannelsOption,
    DataOption,
    Int8Option,
    KeepOption,
    Loss,
    LossOption,
    MemoryOption,
    Model,
    NamesOption,
    Pixels,
    PixelsOption,
    RateOption,
    RecomputeOption,
    SizeOption,
    StepOption,
    ThreadsOption,
    Update,
    UpdateOption,
    megabytes,
    names_of,
    optimizer_of,
    sizes_of,
)  # fmt: skip
from models.tuning.schemes import NAMES
from models.tuning.screen import Screen
from models.tuning.search.cli import search

app = typer.Typer(help="Train a network on this machine.", add_completion=False, no_args_is_help=True)
app.command()(search)


@app.command()
def plan(  # noqa: PLR0917 (its options)
    model: Model,
    memory: MemoryOption = "",
    step_ms: StepOption = 0.0,
    scheme: Annotated[list[str] | None, typer.Option(help="One of the schemes or a file; again for more.")] = None,
    loss: LossOption = Loss.classification,
    batch: BatchOption = 8,
    optimizer: UpdateOption = Update.sgd,
    size: SizeOption = None,
    int8: Int8Option = False,
    recompute: RecomputeOption = False,
    channels: ChannelsOption = 1.0,
    keep: KeepOption = "1GB",
    threads: ThreadsOption = 1,
    tensors: Annotated[bool, typer.Option("--tensors", help="List the network's layers and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """What each scheme would train, and what a step takes on this machine, before anything is trained."""
    from models.tuning import planning  # noqa: PLC0415 (needs onnx)

    if tensors:
        _list_tensors(model)
        return
    job = Job(
        model=str(model), base_sha256=hash_of(model), data="", scheme="", loss=loss.value, batch=batch,
        optimizer=Optimizer(optimizer.value), sizes=sizes_of(size), int8=int8, recompute=recompute,
        channels=channels, keep_mb=megabytes(keep),
    )  # fmt: skip
    rows = []
    if not as_json:
        typer.echo(f"{'scheme':<12}{'tensors':>8}{'numbers':>12}{'ms a step':>12}{'memory':>10}  fits")
    for row in planning.plan(job, scheme or NAMES, megabytes(memory), step_ms, threads):
        rows.append(row)
        if as_json:
            continue
        if row.refused:
            typer.echo(f"{row.scheme:<12}{row.refused}")
            continue
        figures = f"{row.tensors:>8}{row.trained:>12,}{row.step_ms:>12.2f}{row.memory_mb:>7.0f} MB"
        typer.echo(f"{row.scheme:<12}{figures}  {'yes' if row.fits else 'no'}")
    chosen = planning.best(rows)
    if as_json:
        typer.echo(msgspec.json.encode({"rows": rows, "chosen": chosen.scheme if chosen else None}).decode())
    elif memory or step_ms:
        typer.echo(f"Of those that fit, {chosen.scheme} trains the most." if chosen else "None fits.")
    if not as_json:
        typer.echo("Which learns the most, data tell: `kinflow tune search` puts a scheme together for yours.")


@app.command()
def run(  # noqa: PLR0917 (its options)
    model: Model,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The folder that the training lives in.")],
    scheme: Annotated[str, typer.Option(help="head, bias-only, last-k, deep, full, lora, or a scheme file.")] = "deep",
    loss: LossOption = Loss.classification,
    epochs: Annotated[int, typer.Option(min=1, max=10_000, help="How often all examples are seen.")] = 5,
    batch: BatchOption = 8,
    rate: RateOption = 0.0,
    optimizer: UpdateOption = Update.adam,
    clip: Annotated[float, typer.Option(min=0.0, help="The largest norm of all gradients together; 0 for any.")] = 1.0,
    accumulate: Annotated[int, typer.Option(min=1, max=1024, help="Steps that one update takes together.")] = 1,
    pixels: PixelsOption = Pixels.unit,
    size: SizeOption = None,
    int8: Int8Option = False,
    recompute: RecomputeOption = False,
    channels: ChannelsOption = 1.0,
    keep: KeepOption = "1GB",
    threads: ThreadsOption = 1,
    names: NamesOption = "",
    seed: Annotated[int, typer.Option(help="Of the order of examples.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, and delete what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train. Stopped by Ctrl-C or by anything else, the same command goes on where it was."""
    from models.tuning.running import run_worker  # noqa: PLC0415 (--help need not pay for it)

    job = Job(
        model=str(model.resolve()), base_sha256=hash_of(model), data=str(data.resolve()), scheme=scheme,
        loss=loss.value, epochs=epochs, batch=batch, optimizer=optimizer_of(optimizer, rate), clip=clip,
        accumulate=accumulate, sizes=sizes_of(size), pixels=pixels.value, seed=seed, int8=int8,
        recompute=recompute, channels=channels, names=names_of(names), keep_mb=megabytes(keep),
    )  # fmt: skip
    if fresh and (out / jobs.JOB).exists():
        shutil.rmtree(out)
    there = jobs.load(out)
    screen = Screen(out, quiet=as_json)
    if there is None or not (out / jobs.PROGRAM).is_dir():
        jobs.save(out, job)
        try:
            if not run_worker("prepare", out, screen.hear):
                raise KeyboardInterrupt
        except BaseException:
            (out / jobs.JOB).unlink(missing_ok=True)
            raise
    else:
        job = msgspec.structs.replace(
            job, labels=there.labels, made_anew=there.made_anew, labelled=there.labelled, vocabulary=there.vocabulary,
        )  # fmt: skip
        jobs.require_same(out, there, job)
        jobs.save(out, job)
    whole = run_worker("train", out, screen.hear, [str(threads)])
    whole &= run_worker("finish", out, screen.hear)
    screen.close(whole)
    if not whole:
        raise KeyboardInterrupt


@app.command()
def apply(
    model: Model,
    delta: Annotated[Path, typer.Argument(help="delta.safetensors of a training of this very file.", exists=True)],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
) -> None:
    """A network with what was learnt elsewhere. The file that it is made from stays as it is."""
    from models.tuning.results import apply_delta  # noqa: PLC0415 (needs onnx)

    done = apply_delta(model, delta, out)
    typer.echo(f"{out}: {len(done.differences)} tensors changed, learnt from {done.samples} examples.")


@app.command()
def show(delta: Annotated[Path, typer.Argument(exists=True, dir_okay=False)], as_json: AsJson = False) -> None:
    """What a delta holds."""
    from models.tuning import deltas  # noqa: PLC0415

    found = deltas.read(delta)
    shapes = {name: list(one.shape) for name, one in found.differences.items()}
    if as_json:
        told = {
            "base_sha256": found.base_sha256, "scheme": found.scheme, "samples": found.samples, "tensors": shapes,
            "whole": found.whole, "labels": found.labels, "masks": found.masks,
        }  # fmt: skip
        typer.echo(msgspec.json.encode(told).decode())
        return
    typer.echo(f"base     SHA-256 {found.base_sha256}\nscheme   {found.scheme}\nsamples  {found.samples}")
    for name, shape in shapes.items():
        typer.echo(f"  {name}  {'x'.join(map(str, shape))}{'  whole' if name in found.whole else ''}")


def _list_tensors(model: Path) -> None:
    from models.tuning import networks  # noqa: PLC0415 (needs onnx)
    from models.tuning.layers import layers  # noqa: PLC0415

    graph = networks.read(model, {})
    for one in layers(graph):
        shape = "x".join(map(str, graph.constants[one.weight].shape))
        typer.echo(f"{one.kind:<10} {one.weight}  {shape}" + "".join(f"\n{'':<10} {name}" for name in one.vectors))
