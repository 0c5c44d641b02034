"""A forward network, a choice of what to train, a loss and an optimizer become one graph for one training step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from models.errors import BatchUnfit, SchemeEmpty
from models.tuning import composites
from models.tuning.autodiff import differentiate
from models.tuning.cleaning import clean
from models.tuning.cutting import Cut, cut
from models.tuning.graph import Array, Builder, Graph, Shape, Spec
from models.tuning.int8 import quantised
from models.tuning.losses import Boxes, attach
from models.tuning.optimizers import Optimizer
from models.tuning.ordering import updates_early
from models.tuning.packed import packed
from models.tuning.recomputing import recomputed
from models.tuning.resolve import resolve
from models.tuning.sampled import Sampled
from models.tuning.sampling import sample
from models.tuning.state import Place, holders
from models.tuning.trained_biases import split_biases

LOSS, NORM = "loss", "gradient_norm"


@dataclass(frozen=True)
class Recipe:
    """batch: examples a step. loss: as models.tuning.losses has it. clip: the largest norm of all gradients together;
    0 for none. accumulate: how many steps' gradients one update takes together. sizes: of axes that the file leaves
    open. int8: frozen matrices as whole numbers of eight bits (models.tuning.int8). packed: frozen matrices kept so,
    and multiplied by as they were (models.tuning.packed). boxes: of a detector.
    recompute: cheap values are computed again rather than kept (models.tuning.recomputing). cut: a frozen beginning is
    a graph of its own, whose results the others are fed with (models.tuning.cutting). channels: share of the input
    channels that are trained at a time (models.tuning.sampling)."""

    batch: int
    loss: str = "classification"
    optimizer: Optimizer = field(default_factory=Optimizer)
    clip: float = 0.0
    accumulate: int = 1
    sizes: Mapping[str, int] = field(default_factory=dict)
    int8: bool = False
    packed: bool = False
    boxes: Boxes | None = None
    recompute: bool = False
    cut: bool = False
    channels: float = 1.0


@dataclass(frozen=True)
class Program:
    """step: one forward and backward pass and, unless gradients accumulate, the update. apply: the update by itself,
    where they do. forward: loss and outputs for given weights. state: first values of what changes, by the name of the
    input; the next ones are outputs of the same names after `next.`, but of `sampled` weights the whole, which no step
    changes. places: where each trained tensor lies in it. inputs: the network's. prefix, kept: where it was cut, what
    makes of the inputs what `step` and `forward` take in their place."""

    step: Graph
    apply: Graph | None
    forward: Graph
    state: dict[str, Array]
    places: tuple[Place, ...]
    inputs: dict[str, Spec]
    targets: dict[str, Spec]
    recipe: Recipe
    prefix: Graph | None = None
    kept: dict[str, Spec] = field(default_factory=dict)
    sampled: tuple[Sampled, ...] = ()


def next_of(name: str) -> str:
    return f"next.{name}"


def compile_training(graph: Graph, trained: Sequence[str], recipe: Recipe) -> Program:
    """graph: as read from a file. trained: names of its constants. Raises what the passes raise."""
    begun = _forward(graph, trained, recipe)
    state, places, step = begun.state, begun.places, begun.graph.copy()
    # A packed matrix would be unpacked for each piece.
    losses = attach(Builder(step, "loss"), recipe.loss, begun.given, recipe.boxes, in_pieces=not recipe.packed)
    forward = {name for node in composites.lower(step).nodes for name in node.outputs}
    build = Builder(step, "back")
    gradients = differentiate(build, losses.seeds, list(state))
    if set(gradients) != set(state):
        lost = sorted(one.tensor for one in places if one.holder not in gradients)
        raise SchemeEmpty(detail=f"the loss does not depend on {', '.join(lost)}")
    step.outputs = [LOSS]
    build.add("Identity", losses.loss, out=LOSS)
    apply = None
    slots = recipe.optimizer.starting(state)
    if recipe.accumulate > 1:
        sums = {f"sum.{name}": value * 0 for name, value in state.items()}
        _inputs(step, sums)
        for name, gradient in gradients.items():
            step.outputs.append(build.add("Add", f"sum.{name}", gradient, out=next_of(f"sum.{name}")))
        apply = _apply(state, slots, recipe)
        everything = state | slots | sums | begun.fixed
    else:
        _inputs(step, slots)
        _update(step, gradients, recipe, 1.0)
        everything = state | slots | begun.fixed
    step = clean(composites.lower(step))
    if recipe.recompute:
        step = clean(recomputed(step, forward))
    if recipe.int8:
        weights = {one.tensor for one in begun.sampled}
        step = clean(quantised(step, _reshaped(step, losses.exact), weights))
    rounded: dict[str, tuple[Array, Array]] = {}
    if recipe.packed:
        step = packed(step, rounded)
    step = updates_early(step)
    plain = begun.graph.copy()
    judged = attach(Builder(plain, "loss"), recipe.loss, begun.given, recipe.boxes)
    plain.outputs = [LOSS, *graph.outputs]
    Builder(plain, "end").add("Identity", judged.loss, out=LOSS)
    plain = clean(composites.lower(plain))
    prefix = composites.lower(begun.cut.prefix) if begun.cut else None
    if recipe.packed:
        plain = packed(plain, rounded)
        prefix = packed(prefix, rounded) if prefix else None
    for one in (step, plain, *([apply] if apply else [])):
        for name in one.outputs:
            source = name.removeprefix("next.")
            if source in everything:
                one.specs[name] = Spec(everything[source].shape, everything[source].dtype)
    kept = begun.cut.kept if begun.cut else {}
    return Program(
        step, apply, plain, everything, places, begun.inputs, losses.targets, recipe, prefix, kept, begun.sampled
    )


def gradient_graph(
    graph: Graph, trained: Sequence[str], recipe: Recipe
) -> tuple[Graph, dict[str, Array], tuple[Place, ...]]:
    """Outputs the loss and `gradient.HOLDER` for each part of the state: to test, and to judge what is worth it."""
    begun = _forward(graph, trained, replace(recipe, cut=False))
    forward, state, places = begun.graph, begun.state, begun.places
    losses = attach(Builder(forward, "loss"), recipe.loss, begun.given, recipe.boxes, in_pieces=True)
    build = Builder(forward, "back")
    gradients = differentiate(build, losses.seeds, list(state))
    forward.outputs = [build.add("Identity", losses.loss, out=LOSS)]
    for name, gradient in gradients.items():
        forward.outputs.append(build.add("Identity", gradient, out=f"gradient.{name}"))
        build.note(f"gradient.{name}", build.shape(name), name)
    return clean(composites.lower(forward)), state, places


@dataclass(frozen=True)
class _Forward:
    """With what is trained as inputs."""

    graph: Graph
    state: dict[str, Array]
    places: tuple[Place, ...]
    inputs: dict[str, Spec]
    cut: Cut | None
    sampled: tuple[Sampled, ...]
    fixed: dict[str, Array]

    @property
    def given(self) -> Shape:
        """Of the network's first input."""
        return next(iter(self.inputs.values())).shape


def _forward(graph: Graph, trained: Sequence[str], recipe: Recipe) -> _Forward:
    if not trained:
        raise SchemeEmpty(detail="it names nothing to train")
    resolved = resolve(graph, recipe.batch, recipe.sizes)
    inputs = {name: resolved.specs[name] for name in resolved.inputs}
    prepared = _prepared(resolved, trained)
    lost = [name for name in trained if name not in prepared.constants]
    if lost:
        raise SchemeEmpty(detail=f"no output depends on {', '.join(lost)}")
    found = _cut(prepared, graph, trained, recipe) if recipe.cut else None
    rest = found.rest if found else prepared
    sampled, fixed = tuple[Sampled, ...](), dict[str, Array]()
    if recipe.channels < 1.0:
        rest, trained, sampled, fixed = sample(rest, trained, recipe.channels)
    forward, places, state = holders(rest, trained)
    return _Forward(forward, state, places, inputs, found, sampled, fixed)


def _prepared(resolved: Graph, trained: Sequence[str]) -> Graph:
    return split_biases(composites.recognise(clean(resolved)), trained)


def _cut(prepared: Graph, graph: Graph, trained: Sequence[str], recipe: Recipe) -> Cut | None:
    """None, too, for a network that takes no single example."""
    try:
        alone = resolve(graph, 1, recipe.sizes)
    except BatchUnfit:
        return None
    return cut(prepared, _prepared(alone, trained), trained)


def _reshaped(graph: Graph, names: Iterable[str]) -> set[str]:
    """`names` under other shapes, and what they were reshaped from."""
    same = set(names)
    for node in [*graph.nodes, *graph.nodes[::-1]]:
        if node.op == "Reshape" and (node.inputs[0] in same or node.outputs[0] in same):
            same |= {node.inputs[0], node.outputs[0]}
    return same


def _inputs(graph: Graph, values: Mapping[str, Array]) -> None:
    for name, value in values.items():
        graph.inputs[name] = (value.shape, value.dtype)
        graph.specs[name] = Spec(value.shape, value.dtype)


def _update(graph: Graph, gradients: Mapping[str, str], recipe: Recipe, share: float) -> None:
    """Append clipping and the optimizer. share: factor of the gradients, one over how many were added up."""
    build = Builder(graph, "update")
    like = next(iter(gradients))
    for name in (*recipe.optimizer.scalars, *(["shrink"] if recipe.optimizer.decay else [])):
        graph.inputs[name] = ((), build.dtype(like))
        graph.specs[name] = Spec((), build.dtype(like))
    if share != 1.0:
        gradients = {
            name: build.note(build.add("Mul", one, build.number(share, name)), build.shape(name), name)
            for name, one in gradients.items()
        }
    if recipe.clip:
        gradients = _clipped(build, gradients, recipe.clip)
    for name, gradient in gradients.items():
        for old, new in recipe.optimizer.update(build, name, gradient).items():
            graph.outputs.append(build.add("Identity", new, out=next_of(old)))


def _clipped(build: Builder, gradients: Mapping[str, str], limit: float) -> dict[str, str]:
    """All by one factor, so that their common norm is at most `limit`, as torch's clip_grad_norm_ does."""
    squares = [build.add("ReduceSum", build.add("Mul", one, one), keepdims=0) for one in gradients.values()]
    total = squares[0]
    for one in squares[1:]:
        total = build.add("Add", total, one)
    norm = build.add("Sqrt", total, out=NORM)
    like = next(iter(gradients))
    over = build.add("Div", build.number(limit, like), build.add("Add", norm, build.number(1e-6, like)))
    factor = build.add("Min", over, build.number(1.0, like))
    return {name: build.note(build.add("Mul", one, factor), build.shape(name), name) for name, one in gradients.items()}


def _apply(state: Mapping[str, Array], slots: Mapping[str, Array], recipe: Recipe) -> Graph:
    """The update from added-up gradients; the sums begin anew."""
    graph = Graph()
    sums = {f"sum.{name}": value for name, value in state.items()}
    _inputs(graph, dict(state) | dict(slots) | sums)
    _update(graph, {name: f"sum.{name}" for name in state}, recipe, 1.0 / recipe.accumulate)
    build = Builder(graph, "again")
    for name in sums:
        graph.outputs.append(build.add("Mul", name, build.number(0.0, name), out=next_of(name)))
    return graph
