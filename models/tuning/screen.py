"""How a training's progress is shown to a person."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import typer

from models.tuning import job as jobs
from models.tuning.events import Event


class Screen:
    """Progress for a person on standard error, the loss curve as a file, and one JSON object at the end."""

    def __init__(self, out: Path, quiet: bool) -> None:
        self._out, self._quiet, self._began = out, quiet, time.monotonic()
        self._first_done = -1
        self._losses: list[tuple[int, float]] = []
        self._judged: list[tuple[int, float, str, float]] = []
        for event in _told_before(out / jobs.CURVE):
            self._keep(event)

    def _keep(self, event: Event) -> None:
        if event.done:
            self._losses.append((event.done, event.loss))
        if event.judged_loss is not None:
            self._judged.append((event.done, event.judged_loss, event.measure, event.score))

    def hear(self, event: Event) -> None:
        if event.event == "prepared":
            classes = f", {len(event.labels)} classes" if event.labels else ""
            self._say(f"{event.examples} examples{classes}; {event.trained:,} numbers are trained.")
            for one in event.left_out:
                self._say(f"left out: {one}")
        if event.event == "kept":
            self._show_kept(event)
        if event.event != "step":
            return
        with (self._out / jobs.CURVE).open("ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")
        self._keep(event)
        self._show(event)

    def _show(self, event: Event) -> None:
        if self._first_done < 0:
            self._first_done, self._began = event.done, time.monotonic()
        gone, done = time.monotonic() - self._began, event.done - self._first_done
        left = gone / done * (event.total - event.done) if done else 0.0
        share = event.done / max(event.total, 1)
        judged = ""
        if self._judged:
            _, loss, measure, score = self._judged[-1]
            judged = f"  judged {loss:.3f}, {measure} {score:.3f}"
        bar = "#" * round(20 * share) + "." * (20 - round(20 * share))
        line = f"[{bar}] {event.done}/{event.total}  loss {event.loss:.3f}{judged}  {_clock(left)} left"
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(f"\r{line:<100}", end="", file=sys.stderr, flush=True)
        elif event.judged_loss is not None:
            print(line, file=sys.stderr, flush=True)

    def _show_kept(self, event: Event) -> None:
        line = f"what the frozen layers give is computed once: {event.done} of {event.total} examples"
        if self._quiet:
            return
        if sys.stderr.isatty():
            print(f"\r{line:<100}", end="", file=sys.stderr, flush=True)
        elif event.done == event.total:
            print(line, file=sys.stderr, flush=True)

    def close(self, whole: bool) -> None:
        from models.tuning import curve  # noqa: PLC0415 (needs OpenCV)

        if sys.stderr.isatty() and not self._quiet:
            print(file=sys.stderr)
        if self._losses:
            curve.draw(self._out / jobs.PICTURE, self._losses, [(step, loss) for step, loss, *_ in self._judged])
        if self._quiet:
            judged = [{"step": step, "loss": loss, measure: score} for step, loss, measure, score in self._judged]
            told = {"whole": whole, "steps": self._losses[-1][0] if self._losses else 0, "judged": judged}
            typer.echo(msgspec.json.encode(told).decode())
            return
        wanted = (f"{jobs.NETWORK}.onnx", f"{jobs.NETWORK}.gguf", jobs.ADAPTER, jobs.DELTA, jobs.PICTURE)
        made = [name for name in wanted if (self._out / name).exists()]
        self._say(f"{'Done' if whole else 'Stopped; the same command goes on'}: {', '.join(made)} in {self._out}.")

    def _say(self, text: str) -> None:
        if not self._quiet:
            typer.echo(text, err=True)


def _told_before(path: Path) -> list[Event]:
    """A line that was cut off by a loss of power is no more than one point of a curve."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            found.append(msgspec.json.decode(line, type=Event))
        except msgspec.MsgspecError:
            continue
    return found


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
