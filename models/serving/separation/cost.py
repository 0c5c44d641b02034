"""Whether it pays to bring a prompt's keys and values from a worker: a pure model of figures that were measured.

A worker computes a prompt piece by piece and sends a piece while it computes the next: a pipeline of two stages, of
which the slower one tells. Computing here goes in the steps that those who speak leave room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from models.serving.planning.step_time import StepTime, Work, work
from protocol.kv_frames import Speed

PIECE_ROWS = 256
MOST_WRONG = 10.0
MOMENT_S = 0.1
FORGOTTEN = 0.95


@dataclass(frozen=True)
class Link:
    """rtt_s: there and back. byte_s: of each byte."""

    rtt_s: float
    byte_s: float


@dataclass(frozen=True)
class Worker:
    """speed: of a worker. adopt_s: of putting a token's keys and values into a context here."""

    speed: Speed
    link: Link
    bytes_per_token: float
    adopt_s: float = 0.0


@dataclass(frozen=True)
class Corrected:
    """What is reckoned leaves out what the machine does besides: by how much it was wrong lately. factor: of what was
    reckoned."""

    factor: float = 1.0

    def seen(self, reckoned_s: float, took_s: float) -> Corrected:
        # What little prompts take tells more of the moment than of the machine.
        found = (took_s + MOMENT_S) / (reckoned_s + MOMENT_S)
        return Corrected(0.5 * self.factor + 0.5 * min(MOST_WRONG, max(1 / MOST_WRONG, found)))

    def unseen(self) -> Corrected:
        """A prompt went the other way: what was wrong once is not for ever."""
        return Corrected(1 + FORGOTTEN * (self.factor - 1))


@dataclass(frozen=True)
class Choice:
    """fetch: whether from the worker. fetch_s, compute_s: until the last token but one is there. own_s: of fetch_s,
    what is not for others who asked before."""

    fetch: bool
    fetch_s: float
    compute_s: float
    own_s: float

    @property
    def told(self) -> str:
        return f"expected: from the worker {self.fetch_s:.3f} s, here {self.compute_s:.3f} s"


def pieces(tokens: int, rows: int = PIECE_ROWS) -> Iterator[tuple[int, int]]:
    """Where each piece of so many tokens begins and ends."""
    return ((begin, min(begin + rows, tokens)) for begin in range(0, tokens, rows))


def fetch_s(worker: Worker, tokens: int, held: int = 0) -> float:
    """Until `tokens` are there, of which `held` need not be sent."""
    computed = sent = worker.link.rtt_s
    adopt_s = 0.0
    for begin, end in pieces(tokens):
        computed += worker.speed.seconds(end - begin, begin)
        fresh = max(0, end - max(begin, held))
        sent = max(sent, computed) + fresh * worker.bytes_per_token * worker.link.byte_s
        # What was put in before goes on while the next piece is under way.
        adopt_s = fresh * worker.adopt_s
    return sent + adopt_s


def compute_s(time: StepTime, beside: Work, rows: int, tokens: tuple[int, int], ahead: int = 0) -> float:
    """Until the tokens (from, to) are computed here, `rows` of prompts in a step beside those who speak, and `ahead`
    rows of other prompts before them."""
    begin, end = tokens
    steps = [(place, min(rows, end - place)) for place in range(begin, end, rows)]
    own_s = sum(time.expected_s(beside + work(count, place)) for place, count in steps)
    return own_s + ahead / rows * time.expected_s(beside + work(rows, 0))


def choose(worker: Worker, tokens: tuple[int, int], here_s: float, ahead_s: float = 0.0, factor: float = 1.0) -> Choice:
    """tokens: held, and up to where. here_s: what computing them here would take. ahead_s: of others who ask the same
    worker. factor: of what is reckoned for it."""
    held, end = tokens
    own_s = factor * fetch_s(worker, end, held)
    return Choice(ahead_s + own_s < here_s, ahead_s + own_s, here_s, own_s)


def break_even_byte_s(worker: Worker, tokens: int, here_s: float) -> float | None:
    """The most that a byte may take for bringing to be no slower than computing; None where no link is fast enough."""

    def pays(byte_s: float) -> bool:
        return fetch_s(replace(worker, link=replace(worker.link, byte_s=byte_s)), tokens) <= here_s

    return _largest(pays)


def _largest(pays: Callable[[float], bool]) -> float | None:
    if not pays(0.0):
        return None
    low, high = 0.0, 1e-12
    while pays(high):
        low, high = high, high * 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if pays(middle) else (low, middle)
    return low
