"""`python -m models.training.kin`: make the family and the heads that read questions, stage by stage."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated

import torch
import typer

from models.family.shipped import FOLDER
from models.training.kin.drawing import Drawing
from models.training.kin.export import parameters
from models.training.kin.heads import Heads
from models.training.kin.network import Family, Shape
from models.training.kin.reading import learn_vocabulary, read
from models.training.kin.shipping import ship as ship_all
from models.training.kin.tokenizer import Tokenizer
from models.training.kin.train import Plan, State, load, save, train

app = typer.Typer(add_completion=False, no_args_is_help=True)
TABLES = ("words.npz", "spans.npz")
PRESETS = {
    "cpu": (Shape(3072), 8),
    # Not yet run anywhere: the same code, for an accelerator or many cores.
    "accelerator": (Shape(4096, 384, 6, 2, 1152, (4, 8, 12), context_tokens=512), 64),
}
Out = Annotated[Path, typer.Option(help="Where checkpoints and what is made on the way go.")]
Data = Annotated[Path, typer.Option(help="The folder that shared/data/README.md describes.")]


@app.callback()
def kin() -> None:
    """Make the family kin."""


@app.command("train")
def run(  # noqa: PLR0917 (its options)
    out: Out,
    data: Data,
    minutes: Annotated[float, typer.Option(help="Of this run; a second one goes on from the first.")] = 60.0,
    decay: Annotated[
        float, typer.Option(help="Share of the run in which the rate falls; 0 for a run to go on from.")
    ] = 0.3,
    questions: Annotated[float, typer.Option(help="Share of the batches that are questions.")] = 0.5,
    rate: float = 4e-3,
    name: str = "kin",
    preset: str = "cpu",
    member: Annotated[int | None, typer.Option(help="Train this member alone, as an independent model.")] = None,
    finish: Annotated[
        bool, typer.Option(help="With --member: only what no smaller member goes through learns; no other one changes.")
    ] = False,
    tokens: Annotated[int, typer.Option(help="End after so many tokens.")] = 0,
    threads: int = 1,
    seed: int = 1,
) -> None:
    """Learn the vocabulary, read the data, train."""
    if finish and member is None:
        raise typer.BadParameter("needs --member: the one that is finished", param_hint="--finish")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    shape, rows = PRESETS[preset]
    drawing = Drawing.shipped(data)
    words = out / "tokenizer.json"
    if not words.exists():
        texts = drawing.texts(random.Random(seed))  # noqa: S311 (examples, no secrets)
        learn_vocabulary(data, texts, shape.vocabulary).save(words)
    tokenizer = Tokenizer.load(words)
    sources = read(data, tokenizer, out)
    path = out / f"{name}.pt"
    state = load(path) if path.exists() else State(Family(shape), Heads(shape.width))
    members = tuple(range(len(shape.exits))) if member is None else (member,)
    plan = Plan(
        minutes, decay, rate, rows=rows, questions=questions, members=members, finish=finish, tokens=tokens, seed=seed
    )
    try:
        train(plan, state, sources, lambda chance: drawing.lesson(tokenizer, chance), tokenizer.control("pad"), path)
    except KeyboardInterrupt:
        # A run is useful whenever it ends.
        save(state, path)
        raise


@app.command()
def ship(
    out: Out,
    data: Data,
    into: Annotated[Path, typer.Option(help="The folder that is shipped.")] = FOLDER,
    version: str = "1",
) -> None:
    """Write the family file, the heads and the facts, with the losses of all members and of the independent models."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.load(out / "tokenizer.json")
    state = load(out / "kin.pt")
    alone = {place: out / f"alone-{name}.pt" for place, name in enumerate(state.family.shape.names)}
    told, by_source = ship_all(
        state,
        tokenizer,
        read(data, tokenizer, out),
        {at: path for at, path in alone.items() if path.exists()},
        into,
        version,
        [out / one for one in TABLES],
    )
    for name, facts in told["members"].items():
        typer.echo(f"{name}: {facts}; " + ", ".join(f"{source} {loss:.2f}" for source, loss in by_source[name].items()))
    typer.echo(f"{state.seen} tokens in {state.steps} steps; parameters {parameters(state.family)}")


if __name__ == "__main__":
    app()
