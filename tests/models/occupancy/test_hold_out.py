"""Every condition is learnt from, and every condition is judged."""

from collections import Counter

from benchmarks.eval.index_scenes import FIRST_SEED, condition_of_seed
from models.occupancy.hold_out import is_held_out
from sim_devices.render.draw import CONDITIONS


def test_of_each_condition_the_same_share_is_held_out():
    seeds = range(FIRST_SEED, FIRST_SEED + 400)
    held_out = Counter(condition_of_seed(seed) for seed in seeds if is_held_out(seed))
    assert held_out == dict.fromkeys(CONDITIONS, 15)
