"""Whether it pays to bring a prompt's keys and values from a worker: a pure model of figures that were measured.

A worker computes a prompt piece by piece and sends a piece while it computes the next: a pipeline of two stages, of
which the slower one tells. Computing here goes in the steps that those who speak leave room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from models.serving.planning.step_time import StepTime, Work, work
from models.serving.separation.corrected import UNSEEN, Corrected
from protocol.kv_frames import Speed

PIECE_ROWS = 256


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
class Choice:
    """fetch: whether from the worker. fetch_s, compute_s: expected until the last token but one is there. own_s: of
    fetch_s, what is not for others who asked before. own_reckoned_s, compute_reckoned_s: before they were corrected."""

    fetch: bool
    fetch_s: float
    compute_s: float
    own_s: float
    own_reckoned_s: float
    compute_reckoned_s: float

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


def choose(
    worker: Worker,
    tokens: tuple[int, int],
    here_s: float,
    ahead_s: float = 0.0,
    *,
    there: Corrected = UNSEEN,
    here: Corrected = UNSEEN,
) -> Choice:
    """tokens: held, and up to where. here_s: what computing them here is reckoned to take. ahead_s: of others who ask
    the same worker. there, here: what corrects what is reckoned for the worker, and for here."""
    held, end = tokens
    there_s = fetch_s(worker, end, held)
    own_s, expected_s = there.seconds(there_s), here.seconds(here_s)
    return Choice(ahead_s + own_s < expected_s, ahead_s + own_s, expected_s, own_s, there_s, here_s)


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
