"""`python -m models.training.detector --data DIR --out DIR` makes the shipped weights again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from models.training.detector import recipe
from models.training.detector.network import load_coco, with_road_classes
from models.training.detector.train import Plan, train


def main(  # noqa: PLR0917 (its options)
    data: Annotated[Path, typer.Option(help="The folder with emergency/, traffic/ and weights/yolox_nano.onnx.")],
    out: Annotated[Path, typer.Option(help="Where everything that is made goes; a second call goes on from there.")],
    steps: Annotated[int, typer.Option(min=1, help="How long to train.")] = 5000,
    minutes: Annotated[float, typer.Option(min=0, help="End sooner, after so many minutes of training.")] = 0.0,
    processes: Annotated[int, typer.Option(min=1, help="One for each core.")] = 2,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = 1,
) -> None:
    """Prepare the pictures, ask the teacher, train, and write road.onnx and road.toml."""
    torch.manual_seed(seed)
    weights = data / "weights" / "yolox_nano.onnx"
    recipe.prepare(data, out)
    lessons = recipe.lessons(data, out, weights, seed)
    network = with_road_classes(load_coco(weights))
    plan = Plan(steps, processes=processes, seed=seed, minutes=minutes)
    trained = train(plan, network, lessons, out / "checkpoint.pt")
    for label, threshold in recipe.ship(trained, data, out, weights).items():
        print(f"{label}: {threshold:.2f}")


if __name__ == "__main__":
    typer.run(main)
