"""A load made of clients, each with a rate, a burstiness and lengths of its own (ServeGen; arXiv 2505.09999): what a
server meets is their sum, and a few of them make most of it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from benchmarks.errors import TraceUnreadable
from benchmarks.serving.traces.trace import Row, Trace, in_order

Positive = Annotated[float, Meta(gt=0, le=1e6)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Client(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """arrivals: how the times between two requests are spread; cv: their coefficient of variation, 1 for Poisson's.
    Prompts are log-normal about their median; a tail_share of them is Pareto from the median on, with tail_index.
    Answers are exponential."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    rate_per_s: Positive
    arrivals: Literal["gamma", "weibull"] = "gamma"
    cv: Annotated[float, Meta(ge=0.1, le=20)] = 1.0
    prompt_median_tokens: Positive = 500.0
    prompt_sigma: Annotated[float, Meta(ge=0, le=4)] = 1.0
    tail_share: Share = 0.0
    tail_index: Annotated[float, Meta(gt=1, le=20)] = 1.5
    answer_mean_tokens: Positive = 150.0
    most_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 32_768


class Clients(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    clients: Annotated[tuple[Client, ...], Meta(min_length=1, max_length=10_000)]


def read_clients(path: Path) -> tuple[Client, ...]:
    """A TOML file of `[[clients]]` tables. Raises TraceUnreadable (KF462)."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Clients).clients
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise TraceUnreadable(path=path, line=1, detail=error) from error


def population(count: int = 40, rate_per_s: float = 2.0, skew: float = 1.2, seed: int = 0) -> tuple[Client, ...]:
    """A made-up one: rates fall by Zipf's law, the busiest are machines (bursty, short answers), the rest people."""
    random = Random(seed)  # noqa: S311 (no secret)
    weights = [1 / place**skew for place in range(1, count + 1)]
    made = []
    for place, weight in enumerate(weights):
        machine = place % 3 == 0
        made.append(
            Client(
                name=f"{'machine' if machine else 'person'}-{place}",
                rate_per_s=rate_per_s * weight / sum(weights),
                arrivals="weibull" if machine else "gamma",
                cv=random.uniform(2.0, 4.0) if machine else random.uniform(0.8, 1.5),
                prompt_median_tokens=random.uniform(600, 2_000) if machine else random.uniform(80, 600),
                prompt_sigma=random.uniform(0.3, 0.8) if machine else random.uniform(0.8, 1.3),
                tail_share=0.05,
                answer_mean_tokens=random.uniform(10, 60) if machine else random.uniform(100, 300),
            )
        )
    return tuple(made)


def made_of(clients: tuple[Client, ...], length_s: float, seed: int = 0, limit: int | None = None) -> Trace:
    """The first `length_s` seconds. One seed gives one trace, and a client's part does not depend on the others."""
    streams = [_requests(client, Random(f"{seed}/{client.name}")) for client in clients]  # noqa: S311 (no secret)
    within = takewhile(lambda row: row.time_s < length_s, heapq.merge(*streams, key=lambda row: row.time_s))
    how = f"{len(clients)} clients with arrivals and lengths of their own, {length_s:g} s, seed {seed}"
    return in_order("clients", islice(within, limit), synthetic=how)


def _requests(client: Client, random: Random) -> Iterator[Row]:
    first, following = _waits(client, random)
    time_s = first()
    while True:
        yield Row(time_s, _prompt(client, random), _answer(client, random), tenant=client.name)
        time_s += following()


def _waits(client: Client, random: Random) -> tuple[Callable[[], float], Callable[[], float]]:
    """Until the first request, seen from a moment that nobody chose (a wait is met the likelier the longer it is, and
    somewhere within), and from each to the next."""
    mean_s = 1 / client.rate_per_s
    if client.arrivals == "gamma":
        shape = client.cv**-2
        scale_s = mean_s / shape
        return (
            lambda: random.gammavariate(shape + 1, scale_s) * random.random(),
            lambda: random.gammavariate(shape, scale_s),
        )
    shape = weibull_shape(client.cv)
    scale_s = mean_s / math.gamma(1 + 1 / shape)
    return (
        lambda: scale_s * random.gammavariate(1 + 1 / shape, 1) ** (1 / shape) * random.random(),
        lambda: random.weibullvariate(scale_s, shape),
    )


def weibull_shape(cv: float) -> float:
    """The shape k whose coefficient of variation is cv: cv^2 = G(1 + 2/k) / G(1 + 1/k)^2 - 1, which falls with k."""
    low, high = 0.1, 40.0
    for _ in range(80):
        k = math.sqrt(low * high)
        found = math.exp(math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k)) - 1
        low, high = (k, high) if found > cv * cv else (low, k)
    return low


def _prompt(client: Client, random: Random) -> int:
    if random.random() < client.tail_share:
        tokens = client.prompt_median_tokens * random.paretovariate(client.tail_index)
    else:
        tokens = random.lognormvariate(math.log(client.prompt_median_tokens), client.prompt_sigma)
    return min(client.most_tokens, max(1, round(tokens)))


def _answer(client: Client, random: Random) -> int:
    return min(client.most_tokens, 1 + int(random.expovariate(1 / client.answer_mean_tokens)))
