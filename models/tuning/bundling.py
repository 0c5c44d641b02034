"""Writes a compiled program as a folder (models.tuning.bundle)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.tuning import onnx_file, safetensors_file
from models.tuning.bundle import APPLY, PREFIX, START, WEIGHTS, Manifest, Merge, Tensor, hash_of, save_manifest
from models.tuning.compiler import Program
from models.tuning.graph import Graph, Spec


@dataclass(frozen=True)
class Origin:
    """base: the ONNX file that a program was compiled from. labels: names of classes, where it has such."""

    base: Path
    scheme: str
    merges: tuple[Merge, ...] = ()
    labels: tuple[str, ...] = ()


def save(program: Program, folder: Path, origin: Origin) -> Manifest:
    """The manifest comes last: without it the folder is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    graphs: dict[str, Graph] = {"step": program.step, "forward": program.forward}
    if program.apply is not None:
        graphs["apply"] = program.apply
    if program.prefix is not None:
        graphs["prefix"] = program.prefix
    for name in (APPLY, PREFIX):
        # Of what was here before.
        (folder / name).unlink(missing_ok=True)
    onnx_file.write_with_weights(graphs, folder, WEIGHTS)
    safetensors_file.write(folder / START, program.state, {})
    recipe = program.recipe
    manifest = Manifest(
        base=origin.base.name,
        base_sha256=hash_of(origin.base),
        scheme=origin.scheme,
        loss=recipe.loss,
        batch=recipe.batch,
        optimizer=recipe.optimizer,
        clip=recipe.clip,
        accumulate=recipe.accumulate,
        inputs=tensors_of(program.inputs),
        targets=tensors_of(program.targets),
        outputs=tuple(program.forward.outputs),
        places=program.places,
        merges=origin.merges,
        labels=origin.labels,
        kept=tensors_of(program.kept),
        sampled=program.sampled,
    )
    save_manifest(folder, manifest)
    return manifest


def tensors_of(specs: Mapping[str, Spec]) -> dict[str, Tensor]:
    return {name: Tensor(one.shape, one.dtype.name) for name, one in specs.items()}
