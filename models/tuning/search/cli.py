"""`kinflow tune search`: what is worth training for this data, within what this machine may give."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from models.tuning import job as jobs
from models.tuning.bundle import hash_of
from models.tuning.events import Event
from models.tuning.job import Job
from models.tuning.options import (
    AsJson,
    BatchOption,
    DataOption,
    Int8Option,
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
from models.tuning.search.scheme_file import FOUND, Found, write


def search(  # noqa: PLR0917 (its options)
    model: Model,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The scheme file to write; what was tried is kept in OUT.search.")],
    memory: MemoryOption = "",
    step_ms: StepOption = 0.0,
    minutes: Annotated[float, typer.Option(min=0.01, help="About how long it may take.")] = 10.0,
    loss: LossOption = Loss.classification,
    batch: BatchOption = 8,
    optimizer: UpdateOption = Update.adam,
    rate: RateOption = 0.0,
    pixels: PixelsOption = Pixels.unit,
    size: SizeOption = None,
    int8: Int8Option = False,
    recompute: RecomputeOption = False,
    names: NamesOption = "",
    threads: ThreadsOption = 1,
    seed: Annotated[int, typer.Option(help="Of the order of examples, and of evolution.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was tried.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try each part of the network alone, and put together what gains the most within memory and time, both measured
    here. Stopped by Ctrl-C, it writes the best so far; the same command goes on where it was."""
    from models.tuning.running import run_worker  # noqa: PLC0415 (--help need not pay for it)

    if out.suffix != ".toml":
        raise typer.BadParameter(f"{out} is no NAME.toml")
    budget_mb = megabytes(memory)
    job = Job(
        model=str(model.resolve()), base_sha256=hash_of(model), data=str(data.resolve()), scheme="search",
        loss=loss.value, epochs=1, batch=batch, optimizer=optimizer_of(optimizer, rate), clip=1.0,
        sizes=sizes_of(size), pixels=pixels.value, seed=seed, int8=int8, recompute=recompute, names=names_of(names),
    )  # fmt: skip
    folder = out.with_suffix(".search")
    if fresh and (folder / jobs.JOB).exists():
        shutil.rmtree(folder)
    there = jobs.load(folder)
    if there is not None:
        job = msgspec.structs.replace(job, labels=there.labels, labelled=there.labelled)
        jobs.require_same(folder, there, job)
    jobs.save(folder, job)
    shown = _Shown(quiet=as_json)
    whole = run_worker("search", folder, shown.hear, [str(one) for one in (budget_mb, step_ms, minutes, threads)])
    if not (folder / FOUND).exists():
        typer.echo("Stopped before anything was tried; the same command goes on.", err=True)
        raise KeyboardInterrupt
    found = msgspec.json.decode((folder / FOUND).read_bytes(), type=Found)
    write(out, model, found)
    if as_json:
        told = msgspec.structs.asdict(found) | {"whole": whole, "tried": shown.rows}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        _tell(out, model, found, job)
    if not whole:
        raise KeyboardInterrupt


def _tell(out: Path, model: Path, found: Found, job: Job) -> None:
    parts = ", ".join(found.parts) or "the head alone"
    typer.echo(f"{out} trains {len(found.tensors)} tensors: {parts}.")
    if found.pieces > 1:
        typer.echo(f"Each batch is computed in {found.pieces} pieces, one after the other, and updates once.")
    typer.echo(f"Measured here: {found.step_ms:.1f} ms a step, {found.memory_mb:.0f} MB beside the libraries.")
    typer.echo(
        f"After {found.steps} steps its loss on held-back examples was {found.head_loss - found.gain:.3f}, that of the "
        f"head alone {found.head_loss:.3f}; what its parts gained alone adds up to {found.expected:.3f} less."
    )
    if found.untried:
        typer.echo(f"There was no time for {found.untried} parts: the same command tries them.")
    typer.echo(f"Train it: kinflow tune run {model} --data {job.data} --scheme {out} --out FOLDER")


class _Shown:
    """Each try as a line on standard error."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self.rows: list[dict[str, object]] = []

    def hear(self, event: Event) -> None:
        if event.event != "tried":
            return
        self.rows.append(
            {
                "name": event.name, "step_ms": event.step_ms, "memory_mb": event.memory_mb, "pieces": event.pieces,
                "loss": event.judged_loss,
            }
        )  # fmt: skip
        if self._quiet:
            return
        if len(self.rows) == 1:
            typer.echo(f"{'ms a step':>10}{'memory':>10}{'loss':>9}  trained beside the head", err=True)
        pieces = f", in {event.pieces} pieces" if event.pieces > 1 else ""
        loss = "-" if event.judged_loss is None else f"{event.judged_loss:.3f}"
        typer.echo(f"{event.step_ms:>10.2f}{event.memory_mb:>7.0f} MB{loss:>9}  {event.name}{pieces}", err=True)
