"""A load of BurstGPT's shape: synthetic, from the aggregates of its first part that are published (arXiv 2401.17644;
61 days, 1,429,737 requests), for whoever does not have the file.

What was fitted, and to what: the day's curve (three harmonics of the logarithm of 24 hourly means; r 0.97, busiest
to quietest hour 10.6 where they have 11.7); how busy a day is (logarithm with mean 9.48, deviation 1.13, 0.56 kept
from the day before); tokens of a request (734 in the mean, of which 126 are the answer's); failures (1.8 %). What was
not, because nothing published tells it: how lengths spread. Prompts are log-normal; answers are short or long, as the
paper draws them. Arrivals are Gamma's with the shapes of the authors' own generator, drawn anew for each minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from random import Random

from benchmarks.serving.traces.trace import Row, Trace, in_order

# Of cos and sin of 1, 2 and 3 turns a day.
HARMONICS = ((-0.127, -0.8803), (0.4493, 0.1214), (-0.2067, 0.1149))
DAY_LOG_MEAN, DAY_LOG_DEVIATION, DAY_KEPT = 9.4824, 1.1346, 0.5612
ARRIVAL_SHAPES = (0.25, 0.5)
PROMPT_MEAN_TOKENS, PROMPT_SIGMA = 608.0, 1.1
SHORT_SHARE, SHORT_MEAN_TOKENS, LONG_MEAN_TOKENS, LONG_SIGMA = 0.45, 20.0, 213.0, 0.6
FAILED_SHARE = 0.0178
MOST_TOKENS = 16_384
DAY_S, HOUR_S, MINUTE_S = 86_400.0, 3_600.0, 60.0


def burst_shaped(
    hours: float = 24.0, seed: int = 0, day_requests: float | None = None, limit: int | None = None
) -> Trace:
    """From midnight on. day_requests: of every day, instead of days that differ."""
    how = f"of the shape of BurstGPT's published aggregates, {hours:g} hours, seed {seed}; no person made any of it"
    rows = _rows(hours, Random(seed), day_requests)  # noqa: S311 (no secret)
    return in_order("burstgpt-shaped", islice(rows, limit), synthetic=how)


def hour_weight(hour: float) -> float:
    """How busy an hour is, against the mean of the day."""
    return math.exp(_log_weight(hour)) / _DAY_MEAN


def _log_weight(hour: float) -> float:
    turns = (2 * math.pi * number * hour / 24 for number in (1, 2, 3))
    return sum(a * math.cos(one) + b * math.sin(one) for one, (a, b) in zip(turns, HARMONICS, strict=True))


_DAY_MEAN = sum(math.exp(_log_weight(hour)) for hour in range(24)) / 24


def _rows(hours: float, random: Random, day_requests: float | None) -> Iterator[Row]:
    log_day = random.gauss(DAY_LOG_MEAN, DAY_LOG_DEVIATION)
    for minute in range(math.ceil(hours * 60)):
        begin_s = minute * MINUTE_S
        if minute and not begin_s % DAY_S:
            fresh = random.gauss(0, DAY_LOG_DEVIATION * math.sqrt(1 - DAY_KEPT**2))
            log_day = DAY_LOG_MEAN + DAY_KEPT * (log_day - DAY_LOG_MEAN) + fresh
        requests = math.exp(log_day) if day_requests is None else day_requests
        rate_per_s = requests / DAY_S * hour_weight(begin_s % DAY_S / HOUR_S)
        shape = random.choice(ARRIVAL_SHAPES)
        # The first one of a minute comes as if the minute had been looked into at random.
        time_s = begin_s + random.gammavariate(shape + 1, 1 / (rate_per_s * shape)) * random.random()
        while time_s < min(begin_s + MINUTE_S, hours * HOUR_S):
            yield Row(time_s, _prompt(random), _answer(random))
            time_s += random.gammavariate(shape, 1 / (rate_per_s * shape))


def _prompt(random: Random) -> int:
    mu = math.log(PROMPT_MEAN_TOKENS) - PROMPT_SIGMA**2 / 2
    return min(MOST_TOKENS, max(1, round(random.lognormvariate(mu, PROMPT_SIGMA))))


def _answer(random: Random) -> int:
    if random.random() < FAILED_SHARE:
        return 0
    if random.random() < SHORT_SHARE:
        return 1 + int(random.expovariate(1 / SHORT_MEAN_TOKENS))
    mu = math.log(LONG_MEAN_TOKENS) - LONG_SIGMA**2 / 2
    return min(MOST_TOKENS, max(1, round(random.lognormvariate(mu, LONG_SIGMA))))
