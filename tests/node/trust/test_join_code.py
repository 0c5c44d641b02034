"""The join code: what it carries, and that a mistyped one is noticed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import JoinCodeMistyped
from node.trust.join_code import ALPHABET, JoinCode, decode, encode, link, new_code, read_link

codes = st.builds(JoinCode, st.binary(min_size=10, max_size=10), st.binary(min_size=7, max_size=7))


@given(codes)
def test_a_code_is_read_as_it_was_written(code: JoinCode) -> None:
    text = encode(code)
    assert decode(text) == code
    assert [len(group) for group in text.split("-")] == [5] * 6


@given(codes, st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_people_type_as_they_like(code: JoinCode, spaces: list[int], small: bool) -> None:
    text = encode(code).replace("-", "")
    for place in spaces:
        text = text[: place % 30] + " " + text[place % 30 :]
    text = text.replace("0", "o").replace("1", "l")
    assert decode(text.lower() if small else text) == code


@given(codes, st.integers(0, 29), st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_noticed(code: JoinCode, place: int, letter: str) -> None:
    text = encode(code).replace("-", "")
    if text[place] != letter:
        with pytest.raises(JoinCodeMistyped):
            decode(text[:place] + letter + text[place + 1 :])


@given(codes, st.integers(0, 29), st.integers(0, 29), st.sampled_from(ALPHABET), st.sampled_from(ALPHABET))
def test_two_wrong_letters_are_noticed(code: JoinCode, first: int, second: int, one: str, other: str) -> None:
    letters = list(encode(code).replace("-", ""))
    before = list(letters)
    letters[first], letters[second] = one, other
    if letters != before:
        with pytest.raises(JoinCodeMistyped):
            decode("".join(letters))


@given(codes, st.integers(0, 29), st.integers(0, 29))
def test_two_exchanged_letters_are_noticed(code: JoinCode, first: int, second: int) -> None:
    letters = list(encode(code).replace("-", ""))
    if letters[first] != letters[second]:
        letters[first], letters[second] = letters[second], letters[first]
        with pytest.raises(JoinCodeMistyped):
            decode("".join(letters))


@given(st.text(max_size=300))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(JoinCodeMistyped):
        assert encode(decode(text))


@given(codes, st.from_regex(r"[a-z0-9.-]{1,40}:[0-9]{1,5}", fullmatch=True))
def test_a_link_carries_the_address(code: JoinCode, address: str) -> None:
    assert read_link(link(code, address)) == (code, address)
    assert read_link(encode(code)) == (code, "")


def test_the_secret_is_random_and_stays_out_of_sight() -> None:
    made = [new_code(bytes(32)) for _ in range(100)]
    assert len({one.secret for one in made}) == 100
    assert made[0].secret.hex() not in repr(made[0])
    assert str(made[0].secret) not in repr(made[0])
