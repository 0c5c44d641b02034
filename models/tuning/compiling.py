"""From a job to a compiled program in its folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec

from models.errors import BatchUnfit, SchemeEmpty, SchemeUnreadable
from models.tuning import job as jobs
from models.tuning import networks
from models.tuning.adapters import with_adapters
from models.tuning.bundling import Origin, save, tensors_of
from models.tuning.compiler import Program, Recipe, compile_training
from models.tuning.detectors import network_of
from models.tuning.graph import Graph
from models.tuning.heads import classes_of, with_classes
from models.tuning.job import Job
from models.tuning.keeping import row_bytes
from models.tuning.losses import Boxes
from models.tuning.measuring import settle_order
from models.tuning.resolve import fixed
from models.tuning.schemes import Scheme, choose

# What passes less memory from node to node than this is not worth two more processes.
_WORTH_ORDERING_BYTES = 8_000_000
# Of what is free.
_MOST_OF_DISK = 0.5


def compile_job(job: Job, folder: Path, examples: int = 0) -> Job:
    """Writes FOLDER/program; the job as it is returned knows what was made anew. examples: how many there are; what
    frozen layers give for them is kept where there is room for it. Raises what the passes raise."""
    graph, anew = prepared(job)
    scheme = choose(graph, job.scheme, job.loss)
    lacking = [name for name in anew if name not in scheme.tensors]
    if lacking:
        # A fresh last layer that stays as it was drawn would judge at random.
        scheme = replace(scheme, tensors=(*scheme.tensors, *lacking))
    program = compile_scheme(job, folder, graph, scheme, cut=bool(job.keep_mb) and job.epochs > 1)
    if program.prefix is not None and not _has_room(job, folder, program, examples):
        program = compile_scheme(job, folder, graph, scheme)
    if passed_bytes(program) >= _WORTH_ORDERING_BYTES:
        settle_order(folder / jobs.PROGRAM)
    return msgspec.structs.replace(job, made_anew=anew)


def _has_room(job: Job, folder: Path, program: Program, examples: int) -> bool:
    wanted = examples * row_bytes(tensors_of(program.kept | program.targets))
    return wanted <= min(job.keep_mb * 1e6, shutil.disk_usage(folder).free * _MOST_OF_DISK)


def compile_scheme(job: Job, folder: Path, graph: Graph, scheme: Scheme, cut: bool = False) -> Program:
    """graph: as `prepared` gives it. cut: where it can be (models.tuning.cutting). Writes FOLDER/program.
    Raises SchemeUnreadable (KF370) where the batch has no such pieces."""
    adapted, merges = with_adapters(graph, scheme.adapters, job.seed)
    trained = [*scheme.tensors, *(part for one in merges for part in (one.down, one.up))]
    if not trained:
        raise SchemeEmpty(detail=f"the scheme {scheme.name} trains nothing")
    if job.batch % scheme.pieces:
        detail = f"a batch of {job.batch} can't be cut into {scheme.pieces} equal pieces"
        raise SchemeUnreadable(path=scheme.name, detail=detail)
    is_packed, boxes = networks.is_packed(Path(job.model)), _boxes(job)
    recipe = Recipe(
        job.batch // scheme.pieces, job.loss, job.optimizer, job.clip, job.accumulate * scheme.pieces, job.sizes,
        job.int8, is_packed, boxes, job.recompute, cut, min(job.channels, scheme.channels),
    )  # fmt: skip
    program = compile_training(adapted, trained, recipe)
    save(program, folder / jobs.PROGRAM, Origin(Path(job.model), scheme.name, merges, job.labels))
    return program


def passed_bytes(program: Program) -> int:
    """Of all that nodes of a step hand on to others, as far as it is known."""
    specs = program.step.specs
    return sum(specs[name].nbytes for node in program.step.nodes for name in node.outputs if name in specs)


def _boxes(job: Job) -> Boxes | None:
    if job.loss != "detection":
        return None
    network = network_of(Path(job.model))
    # Before data has been seen, it may label everything.
    labelled = job.labelled or tuple(range(len(network.labels)))
    return Boxes(network.decoded, tuple(place in labelled for place in range(len(network.labels))))


def prepared(job: Job) -> tuple[Graph, tuple[str, ...]]:
    """The network with as many classes as the data has, and the tensors that were made anew for it."""
    graph = networks.read(Path(job.model), job.sizes)
    count = len(job.labels)
    if job.loss != "classification" or not count or classes_of(graph) == count:
        return graph, ()
    return with_classes(graph, count, job.seed)


def input_of(job: Job) -> tuple[str, tuple[int, ...]]:
    """The network's one input, with the job's batch. Raises BatchUnfit (KF363)."""
    graph = networks.read(Path(job.model), job.sizes)
    if len(graph.inputs) != 1:
        raise BatchUnfit(batch=job.batch, detail=f"it has {len(graph.inputs)} inputs, and data gives one")
    ((name, (dims, _)),) = graph.inputs.items()
    return name, fixed(name, dims, job.batch, job.sizes)


def vocabulary_of(job: Job) -> int:
    """How many tokens a language model tells apart, by its last layer; 0 for other networks."""
    return networks.vocabulary(Path(job.model), job.sizes) if job.loss == "language" else 0
