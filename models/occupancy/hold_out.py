"""Which rendered roads no network is fitted to: they judge it, and tell how wide its intervals must be."""

from __future__ import annotations

# benchmarks.eval.index_scenes goes through the conditions by turns, so a rule by the seed alone would hold out the same
# conditions again and again. Of each condition's scenes the last three of twenty are held out.
_TURNS, _PERIOD, _LEARNT = 4, 20, 17


def is_held_out(seed: int) -> bool:
    return seed // _TURNS % _PERIOD >= _LEARNT
