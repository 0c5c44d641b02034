"""What the commands of `kinflow tune` are asked with, and what the words mean."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.errors import BatchUnfit
from models.tuning.optimizers import Optimizer


class Loss(StrEnum):
    classification = "classification"
    language = "language"
    detection = "detection"


class Update(StrEnum):
    sgd = "sgd"
    momentum = "momentum"
    adam = "adam"


class Pixels(StrEnum):
    byte = "byte"
    unit = "unit"
    imagenet = "imagenet"


Model = Annotated[
    Path,
    typer.Argument(help="The network: an ONNX file, or a GGUF of the Llama type.", exists=True, dir_okay=False),
]
LossOption = Annotated[Loss, typer.Option(help="What the network is for.")]
BatchOption = Annotated[int, typer.Option(min=1, max=1024, help="Examples a step.")]
UpdateOption = Annotated[Update, typer.Option("--optimizer", help="How weights are changed.")]
SizeOption = Annotated[list[str] | None, typer.Option("--size", help="NAME=LENGTH of an axis left open.")]
Int8Option = Annotated[bool, typer.Option("--int8", help="Frozen matrices in eight bits: faster, and less exact.")]
RecomputeOption = Annotated[bool, typer.Option("--recompute", help="Do cheap values again: less memory, more time.")]
ChannelsOption = Annotated[
    float,
    typer.Option(min=0.01, max=1.0, help="Share of input channels that are trained at a time, others each epoch."),
]
ThreadsOption = Annotated[int, typer.Option(min=1, max=64, help="Of onnxruntime.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DataOption = Annotated[Path, typer.Option(help="A folder for each class, pictures with YOLO labels, or JSON lines.")]
NamesOption = Annotated[str, typer.Option(help="Of the classes in YOLO labels, 0 first: ambulance,car.")]
RateOption = Annotated[float, typer.Option(min=0.0, help="Of learning, at its height. 0: fit for the optimizer.")]
PixelsOption = Annotated[Pixels, typer.Option(help="0 to 255, 0 to 1, or ImageNet's scale.")]
MemoryOption = Annotated[str, typer.Option(help="The most that it may take beside libraries: 150MB.")]
KeepOption = Annotated[
    str, typer.Option("--keep", help="The most disk for what frozen layers give, computed once: 1GB. 0 for none.")
]
StepOption = Annotated[float, typer.Option(help="The most that a step may take.")]


def optimizer_of(update: Update, rate: float) -> Optimizer:
    return Optimizer(update.value, rate or {"sgd": 0.02, "momentum": 0.005, "adam": 0.001}[update.value])


def names_of(given: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in given.split(",") if one.strip())


def megabytes(text: str) -> float:
    """150MB, 0.5GB or 150 (megabytes); "" is 0, anything."""
    factors = {"KB": 1e-3, "MB": 1.0, "GB": 1e3}
    upper = text.strip().upper()
    factor = factors.get(upper[-2:], 1.0)
    try:
        return float(upper[:-2] if upper[-2:] in factors else upper or 0) * factor
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no amount of memory, such as 150MB") from error


def sizes_of(given: list[str] | None) -> dict[str, int]:
    sizes = {}
    for one in given or []:
        name, _, length = one.partition("=")
        if not name or not length.isdigit() or int(length) < 1:
            raise BatchUnfit(batch="that size", detail=f"{one!r} is not NAME=LENGTH")
        sizes[name] = int(length)
    return sizes
