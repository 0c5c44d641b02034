"""Sentences of a GPS receiver: what is right is read, and whatever else comes is passed over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import TimeImplausible
from node.time.nmea import AGREE_MS, Listening, Sentence, parse
from node.time.plausible import EARLIEST_MS, LATEST_MS, ROLLOVER_MS, check
from sim_devices.gps import rmc, sentence, zda

AT_MS = int(datetime(2026, 11, 25, 22, 11, 36, 250_000, UTC).timestamp() * 1000)
TIMES = st.integers(EARLIEST_MS // 10, LATEST_MS // 10 - 1).map(lambda tens: tens * 10)


def test_an_example_from_a_receivers_manual() -> None:
    line = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"
    found = parse(line)
    assert found is not None
    # Two digits of a year are of this century: a receiver of 1994 is refused by its date.
    assert found == Sentence("RMC", int(datetime(2094, 3, 23, 12, 35, 19, tzinfo=UTC).timestamp() * 1000), True)
    with pytest.raises(TimeImplausible):
        check(found.utc_ms, "gps")


@given(TIMES, st.booleans(), st.sampled_from(["GP", "GN", "GL", "GA", "BD"]))
def test_what_a_receiver_says_is_read(at_ms: int, valid: bool, talker: str) -> None:
    assert parse(rmc(at_ms, valid, talker)) == Sentence("RMC", at_ms, valid)
    assert parse(b"\xff\x00 noise " + zda(at_ms, talker)) == Sentence("ZDA", at_ms, None)


@pytest.mark.parametrize(
    "body",
    [
        "GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,310226,,,A",  # there is no 31 February
        "GPRMC,243519,A,4807.038,N,01131.000,E,022.4,084.4,230326,,,A",
        "GPRMC,12351,A,4807.038,N,01131.000,E,022.4,084.4,230326,,,A",
        "GPRMC,,V,,,,,,,,,,N",
        "GPRMC,123519",
        "GPZDA,123519.00,23,13,2026,00,00",
        "GPZDA,123519.00,,,,,",
        "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
    ],
)
def test_what_tells_no_time_is_passed_over(body: str) -> None:
    assert parse(sentence(body)) is None


@pytest.mark.parametrize(("mode", "valid"), [("A", True), ("D", True), ("N", False), ("E", False), ("S", False)])
def test_a_reckoned_or_simulated_fix_is_none(mode: str, valid: bool) -> None:
    found = parse(sentence(f"GNRMC,123519.00,A,4807.0,N,01131.0,E,0.0,0.0,230326,,,{mode}"))
    assert found is not None
    assert found.valid is valid


def test_a_leap_second_is_the_first_of_the_next_minute() -> None:
    leap, next_one = (parse(sentence(f"GPZDA,{text},31,12,2026,00,00")) for text in ("235960", "235960.5"))
    assert leap is not None
    assert next_one is not None
    assert leap.utc_ms == int(datetime(2027, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert next_one.utc_ms - leap.utc_ms == 500


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise(noise: bytes) -> None:
    parse(noise)
    parse(b"$GPRMC," + noise + b"*00\r\n")
    parse(sentence("GPRMC,").replace(b"RMC,", b"RMC," + noise))


@given(TIMES, st.data(), st.integers(1, 255))
def test_one_changed_byte_never_tells_another_time(at_ms: int, data: st.DataObject, change: int) -> None:
    line = bytearray(rmc(at_ms))
    line[data.draw(st.integers(0, len(line) - 1))] ^= change
    assert parse(bytes(line)) in (None, Sentence("RMC", at_ms, True))


@given(TIMES)
def test_a_rollover_is_refused_and_named(at_ms: int) -> None:
    if at_ms - ROLLOVER_MS < EARLIEST_MS:
        with pytest.raises(TimeImplausible, match="1024 weeks"):
            check(at_ms - ROLLOVER_MS, "gps")
    assert check(at_ms, "gps") == at_ms


def heard(*said: tuple[bytes, int]) -> Listening:
    listening = Listening()
    for line, mono_ms in said:
        found = parse(line)
        assert found is not None
        listening = listening.hear(found, mono_ms)
    return listening


def test_two_sentences_that_agree_with_our_own_clock_settle_it() -> None:
    assert heard((rmc(AT_MS), 100)).settled is None
    assert heard((rmc(AT_MS), 100), (rmc(AT_MS + 1_000), 1_100)).settled == (AT_MS + 1_000, 1_100)


def test_what_lay_in_a_buffer_settles_nothing() -> None:
    assert heard((rmc(AT_MS), 100), (rmc(AT_MS + 1_000), 101)).settled is None


def test_a_receiver_that_loses_its_satellites_begins_anew() -> None:
    lines = [(rmc(AT_MS + second * 1_000, second != 1), second * 1_000) for second in range(3)]
    assert heard(*lines).settled is None


def test_a_year_that_zda_contradicts_is_not_believed() -> None:
    century = AT_MS - int(100 * 365.2425 * 86_400_000)
    assert heard((rmc(AT_MS), 0), (zda(century), 50), (rmc(AT_MS + 1_000), 1_000)).settled is not None
    listening = heard((rmc(AT_MS), 0), (rmc(AT_MS + 1_000), 1_000), (zda(century), 1_000 + AGREE_MS - 1))
    assert listening.settled is None
