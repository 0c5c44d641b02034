"""`kinflow eval`: each command imports its own file only when it runs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from benchmarks.eval.detector import ClassFigures, Figures

app = typer.Typer(help="Judge how good answers are.", add_completion=False, no_args_is_help=True)

_CACHE = Path.home() / ".cache" / "kinflow"

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.command()
def detector(  # noqa: PLR0917 (its options)
    images: Annotated[Path, typer.Option(help="Pictures, of any size.", exists=True, file_okay=False)],
    labels: Annotated[
        Path, typer.Option(help="NAME.txt for each picture, in YOLO's form.", exists=True, file_okay=False)
    ],
    names: Annotated[str, typer.Option(help="The label files' classes, from 0: a,b,c.")],
    renames: Annotated[
        list[str] | None, typer.Option("--map", metavar="OLD=NEW", help="Rename labels and predictions. Repeatable.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="An ONNX file; default: the one that comes with Kinflow.")] = None,
    against: Annotated[Path | None, typer.Option(help="Another one, to compare the time with.")] = None,
    as_json: AsJson = False,
) -> None:
    """A detector against labelled pictures: average precision, precision, recall, time."""
    from benchmarks.eval.detector import LEAST_SCORE, measure  # noqa: PLC0415
    from benchmarks.eval.naming import Naming  # noqa: PLC0415
    from benchmarks.eval.pictures import labelled  # noqa: PLC0415
    from models.vision.opening import open_detector  # noqa: PLC0415

    listed = [one.strip() for one in names.split(",")]
    renamed = _renamed(renames or [])
    cases = labelled(images, labels, len(listed))
    if not cases:
        raise typer.BadParameter(f"there is no picture below {images}", param_hint="--images")
    if all(one.things is None for one in cases):
        raise typer.BadParameter(
            f"no picture below {images} has a file of labels below {labels}", param_hint="--labels"
        )
    judged = open_detector(model, least_score=LEAST_SCORE)
    other = open_detector(against, least_score=LEAST_SCORE) if against is not None else None
    naming = Naming(listed, renamed, judged.labels)
    figures = measure(cases, naming, judged, other)
    for name in naming.unreachable(tuple(figures.classes)):
        _warn(f"{judged.name} finds nothing that is called {name}: it can only be missed.")
    if figures.images_without_labels:
        _warn(
            f"{figures.images_without_labels} of {figures.images} pictures have no file of labels: they count as empty."
        )
    if as_json:
        typer.echo(msgspec.json.encode(figures).decode())
    else:
        _print(figures)


@app.command()
def siren(
    wavs: Annotated[Path, typer.Option(help="WAV files with a siren.", exists=True, file_okay=False)],
    negatives: Annotated[
        Path | None,
        typer.Option(help="WAV files without; default: street sounds made here.", exists=True, file_okay=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=1, help="Of the sounds that are made.")] = 1,
    made: Annotated[int, typer.Option(min=20, help="How many sounds are made, where no --negatives are given.")] = 600,
    as_json: AsJson = False,
) -> None:
    """The siren detector against clips: recall, and false alarms on sounds without a siren."""
    from benchmarks.eval.siren import measure  # noqa: PLC0415

    figures = measure(wavs, negatives, seed, made)
    if figures.negatives_are_made:
        _warn(f"no --negatives: {figures.negatives} street sounds were made, by seed {seed}.")
    if figures.unreadable:
        _warn(f"{figures.unreadable} files could not be read and are left out.")
    _show(figures, as_json)


@app.command()
def emergency(  # noqa: PLR0917 (its options)
    hours: Annotated[float, typer.Option(min=0.1, help="Of one camera's time; 96 give 60 events and 2,000 passes.")],
    seed: Annotated[int, typer.Option(help="Of roads, cameras, weather, vehicles and lamps.")] = 1,
    model: Annotated[Path | None, typer.Option(help="An ONNX file; default: the one that comes with Kinflow.")] = None,
    stand_in: Annotated[
        bool, typer.Option("--stand-in", help="The renderer's own boxes, made unsteady, in the detector's place.")
    ] = False,
    passes_per_day: Annotated[int, typer.Option(min=1, help="Distractors that pass the site's camera in a day.")] = 500,
    quick: Annotated[int | None, typer.Option(min=4, help="So many windows in all, a quarter of them events.")] = None,
    cache: Annotated[Path, typer.Option(help="Where results are kept, so that a run goes on.")] = _CACHE,
    as_json: AsJson = False,
) -> None:
    """Requests for way on rendered roads: found, how soon, and falsely raised. About 3 s a window and core."""
    from benchmarks.eval.emergency import measure  # noqa: PLC0415
    from benchmarks.eval.eyes import detector_eyes, stand_in_eyes  # noqa: PLC0415

    def told(done: int, of: int) -> None:
        if done % 50 == 0:
            _warn(f"{done} of {of} windows")

    eyes = stand_in_eyes() if stand_in else detector_eyes(model)
    _show(measure(eyes, hours, seed, passes_per_day, quick, cache, told), as_json)


def _show(figures: msgspec.Struct, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(figures).decode())
        return
    for name, value in msgspec.to_builtins(figures).items():
        typer.echo(f"{name:<32}{value}")


class Scenario(StrEnum):
    day = "day"
    fog = "fog"
    night = "night"
    rain = "rain"
    queue = "queue"


@app.command()
def index(  # noqa: PLR0917 (its options)
    scenario: Annotated[Scenario, typer.Option(help="The weather, or a queue that stands for five minutes.")],
    seed: Annotated[int, typer.Option(min=0, help="Draws road, camera, light, weather's strength and traffic.")] = 1,
    seeds: Annotated[str | None, typer.Option(help="Several of them: 1-10 or 3,5,8.")] = None,
    model: Annotated[Path | None, typer.Option(help="An ONNX file; default: the one that comes with Kinflow.")] = None,
    no_detector: Annotated[bool, typer.Option("--no-detector", help="Edges alone.")] = False,
    simulated: Annotated[bool, typer.Option("--simulated-detector", help="The truth, made worse.")] = False,
    as_json: AsJson = False,
) -> None:
    """The congestion index against rendered scenes, whose truth is known."""
    from benchmarks.eval.index import evaluate  # noqa: PLC0415
    from models.vision.opening import SHIPPED, open_detector  # noqa: PLC0415

    if no_detector + simulated + (model is not None) > 1:
        raise typer.BadParameter("choose one of --model, --no-detector and --simulated-detector")
    if model is None and not SHIPPED.exists() and not (no_detector or simulated):
        _warn("no detector comes with this Kinflow: edges alone")
        no_detector = True
    opened = None if no_detector or simulated else open_detector(model)
    name = "simulated" if simulated else None if opened is None else model.name if model else "shipped"
    numbers = _numbers(seeds) if seeds else [seed]
    figures = evaluate(scenario.value, numbers, "simulated" if simulated else opened, name=name, note=_warn)
    _show(figures, as_json)


def _numbers(text: str) -> list[int]:
    try:
        pairs = [part.partition("-") for part in text.split(",")]
        found = [number for a, dash, b in pairs for number in range(int(a), int(b if dash else a) + 1)]
    except ValueError:
        found = []
    if not found:
        raise typer.BadParameter(f"{text!r} is neither 1-10 nor 3,5,8", param_hint="--seeds")
    return found


def _renamed(given: list[str]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for one in ",".join(given).split(",") if given else ():
        old, equals, new = (part.strip() for part in one.partition("="))
        if not (old and equals and new):
            raise typer.BadParameter(f"{one!r} is not old=new", param_hint="--map")
        if renamed.setdefault(old, new) != new:
            raise typer.BadParameter(f"{old!r} is renamed twice", param_hint="--map")
    return renamed


def _print(figures: Figures) -> None:
    from benchmarks.eval.detector import HEIGHTS_PX  # noqa: PLC0415

    heads = ["", "AP50", "precision", "recall", "at p .85", *(f"{name} px" for name in HEIGHTS_PX), "objects"]
    typer.echo("".join(f"{head:>{16 if number == 0 else 11}}" for number, head in enumerate(heads)))
    for name, one in (*figures.classes.items(), ("all_vehicles", figures.all_vehicles)):
        typer.echo(f"{name:>16}" + "".join(f"{_told(value):>11}" for value in _row(one)))
    typer.echo(f"{figures.images} pictures, {figures.ms_per_image:.1f} ms each on one thread")
    if figures.ms_ratio is not None:
        typer.echo(f"{figures.ms_ratio:.2f} times the other's {figures.against_ms_per_image:.1f} ms")


def _row(one: ClassFigures) -> list[float | int | None]:
    return [one.ap50, one.precision, one.recall, one.recall_at_p85, *one.recall_by_height_px.values(), one.objects]


def _told(value: float | int | None) -> str:
    return "-" if value is None else f"{value}" if isinstance(value, int) else f"{value:.3f}"


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


class MaxTier(StrEnum):
    device = "device"


@app.command()
def assistant(
    questions: Annotated[
        Path | None, typer.Option(help="Lines of {question, entities, tool, arguments}; default: those held back.")
    ] = None,
    max_tier: Annotated[MaxTier, typer.Option(help="Members that may be asked.")] = MaxTier.device,
    as_json: AsJson = False,
) -> None:
    """Does the assistant find tool and arguments, and does it know when it doesn't? With misses, in --json."""
    from benchmarks.eval.assistant import HELD_BACK, measure, read_questions  # noqa: PLC0415
    from models.assistant.opening import open_understanding  # noqa: PLC0415
    from node.home import find_home  # noqa: PLC0415

    del max_tier  # There is one tier so far that understands questions; others are asked, and answer for themselves.
    asked = read_questions(questions or HELD_BACK)
    understanding = open_understanding(find_home())
    try:
        figures = measure(understanding, asked)
    finally:
        understanding.close()
    if as_json:
        typer.echo(msgspec.json.encode(figures).decode())
        return
    _show(msgspec.structs.replace(figures, misses=[]), as_json=False)
    for one in figures.misses:
        sure = "sure" if one.sure else "not sure"
        typer.echo(f"{one.question}\n  wanted {one.wanted}\n  chose  {one.chosen} ({one.confidence:.2f}, {sure})")


@app.command()
def family(
    folder: Annotated[
        Path | None, typer.Option(help="A nested family; default: the one that comes with Kinflow.")
    ] = None,
    text: Annotated[Path | None, typer.Option(help="What it is judged on; default: the held-back questions.")] = None,
    answers: Annotated[
        int, typer.Option(min=0, help="Judge the hand-over on own answers to so many held-back questions, too.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Loss of each member of a nested family, and what handing hidden states over changes. About a minute."""
    from benchmarks.eval.assistant import HELD_BACK, read_questions  # noqa: PLC0415
    from benchmarks.eval.family import measure  # noqa: PLC0415
    from models.family.shelf import open_trust  # noqa: PLC0415
    from models.family.shipped import facts, trust_in, unfold  # noqa: PLC0415
    from node.home import find_home  # noqa: PLC0415

    questions = [one.question for one in read_questions(HELD_BACK)]
    said = text.read_text("utf-8") if text else "\n".join(questions)
    named = text.name if text else "the held-back questions, line by line"
    home, told = find_home(), {}
    if folder is None:
        told = {name: (one.loss, one.independent_loss) for name, one in facts().members.items()}
    trust = open_trust() if folder is not None else trust_in(home)
    figures = measure(folder or unfold(home), trust, said, told, named=named, questions=questions[:answers])
    _show(figures, as_json)
