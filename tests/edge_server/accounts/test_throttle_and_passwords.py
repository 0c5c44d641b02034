"""Laws of the waits, and which passwords are taken."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.accounts.common_passwords import STEMS
from edge_server.accounts.passwords import LONGEST, SHORTEST, Hasher, check_password
from edge_server.accounts.throttle import KEPT, LONG_MS, SHORT_MS, Throttle, network
from edge_server.errors import PasswordRefused

ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", ""])
STEPS = st.lists(st.tuples(st.sampled_from(["anna", "bert"]), ADDRESSES, st.integers(0, 600_000)), max_size=60)


@given(STEPS, ADDRESSES)
def test_no_wait_is_longer_than_said_and_strangers_never_make_a_known_place_wait(
    steps: list[tuple[str, str, int]], address: str
) -> None:
    throttle, now_ms = Throttle(), 0
    for account, place, pause_ms in steps:
        now_ms += pause_ms
        throttle.failed(account, place, now_ms)
        assert 0 <= throttle.wait_ms(account, place, now_ms, trusted=False) <= LONG_MS
    if network(address) not in {network(place) for _, place, _ in steps}:
        assert throttle.wait_ms("anna", address, now_ms, trusted=True) == 0
        assert throttle.wait_ms("anna", address, now_ms, trusted=False) <= SHORT_MS
    assert throttle.wait_ms("anna", address, now_ms + LONG_MS, trusted=False) == 0


@given(st.integers(1, 40))
def test_who_succeeds_is_forgiven(failures: int) -> None:
    throttle = Throttle()
    for _ in range(failures):
        throttle.failed("anna", "192.0.2.1", 0)
    throttle.succeeded("anna", "192.0.2.1")
    assert throttle.wait_ms("anna", "192.0.2.1", 0, trusted=True) == 0


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for number in range(KEPT):
        throttle.failed(f"name-{number}", "192.0.2.1", number)
    assert len(throttle._counts) == KEPT
    assert throttle.wait_ms("any", "192.0.2.1", KEPT, trusted=False) > 0


def test_a_house_is_one_place() -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:1")
    assert network("2001:db8::1") != network("2001:db8:0:1::1")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") == "192.0.2.1"
    assert network("fe80::1%eth0") == network("fe80::2")


@given(st.text(max_size=80))
def test_any_text_is_a_place(address: str) -> None:
    assert len(network(address)) <= 80


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "x" * (LONGEST + 1),
        "aaaaaaaaaaaa",
        "1234567890",
        "12345678901234567890",
        "qwertyuiop",
        "qwertyuiop12345",
        "password123",
        "P@ssw0rd2026!",
        "kinflow2026!",
        "Raspberry1234",
        "abcdefghijkl",
        "zyxwvutsrqponm",
        "annalouise",
        "annalouise123",
        "abcabcabcabc",
    ],
)
def test_what_is_tried_first_is_no_password(password: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        check_password(password, "annalouise")
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password", ["four words nobody joins", "tr0ub4dor&3xyz", "ünïcödé wörds", "kinflow at the bridge"]
)
def test_what_is_long_and_its_own_is_one(password: str) -> None:
    check_password(password, "anna")


def test_the_list_is_of_stems() -> None:
    assert len(STEMS) > 150
    assert all(stem == stem.lower().strip("0123456789") for stem in STEMS)


@given(st.text(min_size=0, max_size=300), st.text(max_size=64))
def test_any_text_is_judged(password: str, name: str) -> None:
    try:
        check_password(password, name)
    except PasswordRefused:
        return
    assert SHORTEST <= len(unicodedata.normalize("NFKC", password)) <= LONGEST
    assert password.casefold() != name.casefold()


def test_the_same_letters_typed_otherwise_are_the_same_password() -> None:
    hasher = Hasher(time_cost=1, memory_kib=64)
    hashed = hasher.hash("Stra\u00dfe in K\u00f6ln")
    assert hasher.verify(hashed, "Stra\u00dfe in Ko\u0308ln")
    assert not hasher.verify(hashed, "Strasse in Koeln")
    assert not hasher.verify(None, "the password of nobody")
    assert not hasher.verify("not a hash", "x")
