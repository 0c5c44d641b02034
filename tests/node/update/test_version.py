from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.update.version import is_newer, is_version, rank

# Oldest first, as PEP 440 orders them.
ORDER = [
    "0.9",
    "1.0.dev1",
    "1.0a1",
    "1.0a2",
    "1.0b1",
    "1.0rc1.dev1",
    "1.0rc1",
    "1.0",
    "1.0.post1",
    "1.0.1",
    "1.1",
    "1.10",
]


def test_versions_are_ordered_as_pip_orders_them() -> None:
    assert sorted(ORDER, key=rank) == ORDER
    assert all(is_newer(later, earlier) for i, earlier in enumerate(ORDER) for later in ORDER[i + 1 :])


def test_a_trailing_zero_makes_no_other_version() -> None:
    assert not is_newer("1.0.0", "1.0")
    assert not is_newer("1.0", "1.0.0")


@pytest.mark.parametrize("text", ["", "1.", "v1", "1.0/..", "1.0+local", "1!1.0", "01.0", "1.0\n", "1.2.3.4.5"])
def test_what_is_no_version_is_refused(text: str) -> None:
    assert not is_version(text)
    with pytest.raises(ValueError, match="no version"):
        rank(text)


@given(
    st.lists(st.from_regex(r"[0-3](\.[0-3]){0,2}((a|rc)[0-2])?(\.post[0-2])?(\.dev[0-2])?", fullmatch=True), min_size=2)
)
def test_the_order_is_total(versions: list[str]) -> None:
    one, other = versions[0], versions[1]
    assert is_newer(one, other) + is_newer(other, one) + (rank(one) == rank(other)) == 1
