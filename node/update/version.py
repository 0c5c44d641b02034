"""A version's number, and which of two is newer."""

from __future__ import annotations

import re

# What pip writes for a release of ours (PEP 440), without epochs and local parts: those can't be ordered by a person.
PATTERN = (
    r"^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){0,3}((a|b|rc)[0-9]{1,5})?(\.post[0-9]{1,5})?(\.dev[0-9]{1,5})?\Z"
)
_PARTS = re.compile(
    r"(?P<release>[0-9]+(?:\.[0-9]+)*)(?:(?P<stage>a|b|rc)(?P<pre>[0-9]+))?(?:\.post(?P<post>[0-9]+))?(?:\.dev(?P<dev>[0-9]+))?"
)
_STAGES = {"a": 0, "b": 1, "rc": 2, None: 3}

Rank = tuple[tuple[int, ...], int, int, int, int]


def is_version(text: str) -> bool:
    return re.fullmatch(PATTERN, text) is not None


def rank(version: str) -> Rank:
    """Sorts as PEP 440 does: 1.0.dev1 < 1.0a1 < 1.0rc1 < 1.0 < 1.0.post1 < 1.1. Raises ValueError."""
    found = _PARTS.fullmatch(version) if is_version(version) else None
    if found is None:
        raise ValueError(f"{version!r} is no version")
    numbers = [int(part) for part in found["release"].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    stage = _STAGES[found["stage"]]
    if found["dev"] is not None and found["stage"] is None and found["post"] is None:
        stage = -1  # 1.0.dev1 comes before 1.0a1
    post = int(found["post"]) if found["post"] is not None else -1
    dev = int(found["dev"]) if found["dev"] is not None else 1 << 20
    return tuple(numbers), stage, int(found["pre"] or 0), post, dev


def is_newer(one: str, than: str) -> bool:
    return rank(one) > rank(than)
