from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_configs.errors import WifiInvalid
from firmware_configs.wifi import wifi

PRINTABLE = "".join(map(chr, range(32, 127)))


@pytest.mark.parametrize(
    ("ssid", "password", "psk"),
    [
        # IEEE 802.11-2016, J.4.2.
        ("IEEE", "password", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"),
        ("ThisIsASSID", "ThisIsAPassword", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"),
    ],
)
def test_the_key_is_the_standards(ssid: str, password: str, psk: str) -> None:
    assert wifi(ssid, password, "CH").psk == psk


def test_a_key_is_taken_as_it_is() -> None:
    assert wifi("a", "AB" * 32, "CH").psk == "ab" * 32


@pytest.mark.parametrize(
    ("ssid", "password", "country"),
    [
        ("", "longenough", "CH"),
        ("x" * 33, "longenough", "CH"),
        ("ü" * 17, "longenough", "CH"),
        ("a\nb", "longenough", "CH"),
        ("a", "short", "CH"),
        ("a", "x" * 65, "CH"),
        ("a", "pässword", "CH"),
        ("a", "longenough", ""),
        ("a", "longenough", "ch"),
        ("a", "longenough", "Switzerland"),
    ],
)
def test_what_can_not_be_is_refused_without_the_password(ssid: str, password: str, country: str) -> None:
    with pytest.raises(WifiInvalid) as told:
        wifi(ssid, password, country)
    assert len(password) < 8 or password not in str(told.value)


@given(st.text(PRINTABLE, min_size=8, max_size=63))
def test_the_password_is_in_nothing_that_is_kept(password: str) -> None:
    found = wifi("net", password, "CH")
    assert found.psk not in repr(found)
    assert len(found.psk) == 64
    assert found.psk != password
