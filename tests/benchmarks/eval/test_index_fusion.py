"""How far to trust tracks is sought where it is to be found."""

from itertools import pairwise

import numpy as np

from agent.traffic.occupied import TRUST, Trust, weighed
from benchmarks.eval.index_fusion import cost, fit, lowest


def run(seed, found_share):
    """Edges that are off by 0.05 either way, and tracks that show this share of what stands there."""
    random = np.random.default_rng(seed)
    truth = random.uniform(0.0, 0.4, (80, 2, 3))
    edges, tracks = truth + random.normal(0, 0.05, truth.shape), truth * found_share
    return {
        "edges": edges,
        "deviation": np.full_like(truth, 0.05),
        "tracks": tracks,
        "truth": truth.mean(axis=(1, 2)),
    }


def test_the_lowest_point_of_a_bowl_is_found():
    found = lowest(lambda point: float(((point - [1.0, -2.0, 0.5]) ** 2).sum()), np.zeros(3))
    assert np.allclose(found, [1.0, -2.0, 0.5], atol=1e-3)


def test_tracks_are_trusted_as_far_as_they_deserve():
    exact, blind = [run(seed, 1.0) for seed in range(3)], [run(seed, 0.1) for seed in range(3)]
    trusting, doubting = fit(exact), fit(blind)
    assert cost(trusting, exact) <= cost(TRUST, exact)
    assert cost(doubting, blind) <= cost(TRUST, blind)
    at = np.full((1, 3), 0.3), np.full((1, 3), 0.05), np.full((1, 3), 0.1)
    assert weighed(*at, doubting)[1].mean() < weighed(*at, trusting)[1].mean()


def test_more_doubt_never_gives_tracks_a_larger_share():
    random = np.random.default_rng(1)
    edges, tracks = random.random((2, 50))
    shares = [weighed(edges, np.full(50, 0.05), tracks, Trust(0.02, 0.1, missed))[1] for missed in (0.0, 0.5, 1.0, 2.0)]
    assert all((more <= less + 1e-12).all() for less, more in pairwise(shares))
