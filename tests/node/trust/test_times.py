"""What time it is, when a certificate is renewed, and how often somebody may try."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from node.errors import EdgeNotPinned
from node.trust.attempts import FOR_ALL, PER_ADDRESS, WINDOW_MS, Attempts
from node.trust.authority import Authority
from node.trust.known_time import KnownTime
from node.trust.renewal import is_due, renew_at_ms
from node.trust.signed_time import read_time, sign_time
from protocol.ids import DeviceId

NOW = 1_800_000_000_000
lives = st.integers(1_000, 400 * 86_400_000)
chances = st.floats(0, 1)


@given(lives, chances)
def test_renewal_comes_about_two_thirds_into_a_life(life_ms: int, chance: float) -> None:
    at = renew_at_ms(NOW + life_ms, life_ms, chance) - NOW
    assert life_ms * 7 / 12 - 2 <= at <= life_ms * 3 / 4 + 2


@given(lives, st.integers(0, 100))
def test_renewals_of_a_site_spread_evenly(life_ms: int, first: int) -> None:
    times = [renew_at_ms(NOW + life_ms, life_ms, (first + number) % 101 / 100) for number in range(101)]
    assert len(set(times)) == 101 or life_ms < 1_000_000
    assert max(times) - min(times) >= life_ms / 6 - 2


@given(lives, chances, st.integers(-(10**13), 10**13))
def test_due_once_its_time_has_come_and_until_it_is_renewed(life_ms: int, chance: float, late_ms: int) -> None:
    expires_ms = NOW + life_ms
    due = is_due(expires_ms, life_ms, chance, NOW + late_ms)
    if late_ms >= life_ms * 3 / 4 + 2:
        assert due
    if 0 <= late_ms < life_ms * 7 / 12 - 2:
        assert not due


@settings(max_examples=25)  # each writes a file
@given(st.integers(1, 2**52), st.integers(0, 2**40), st.integers(-(2**52), 2**52))
def test_time_counts_on_from_what_the_edge_said(edge_ms: int, passed_ms: int, wall_ms: int) -> None:
    """Whatever is done to the clock of this machine."""

    with tempfile.TemporaryDirectory() as folder:
        boot_ms = [5_000]
        time = KnownTime(Path(folder), lambda: wall_ms, lambda: boot_ms[0], lambda: "boot-1")
        assert time.now_ms() == wall_ms
        time.learn(edge_ms)
        boot_ms[0] += passed_ms
        assert time.now_ms() == edge_ms + passed_ms
        assert time.offset_ms() == edge_ms + passed_ms - wall_ms
        again = KnownTime(Path(folder), lambda: wall_ms, lambda: 10, lambda: "boot-2")
        assert again.now_ms() == wall_ms


def test_a_damaged_answer_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "time.json").write_text('{"boot": 1}')
    assert KnownTime(tmp_path, lambda: 7).now_ms() == 7


def test_signed_time(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "a", DeviceId("edge-1"), NOW)
    authority.ensure_server(["127.0.0.1"], NOW)
    stranger = Authority(tmp_path / "b", DeviceId("edge-1"), NOW)
    stranger.ensure_server(["127.0.0.1"], NOW)
    nonce = secrets.token_hex(16)
    said = sign_time(authority, nonce, NOW)
    assert read_time(said, nonce, authority.root, "h") == NOW
    for bad, asked in (
        (said, secrets.token_hex(16)),
        (structs.replace(said, now_ms=NOW + 1), nonce),
        (structs.replace(said, signature="AAAA"), nonce),
        (structs.replace(said, certificate=authority.ca), nonce),
        (structs.replace(said, certificate="x"), nonce),
        (sign_time(stranger, nonce, NOW), nonce),
    ):
        with pytest.raises(EdgeNotPinned):
            read_time(bad, asked, authority.root, "h")
    assert x509.load_pem_x509_certificate(said.certificate.encode())


sources = st.sampled_from(["10.0.0.1", "10.0.0.2", "fe80::1%eth0"])


@given(st.lists(st.tuples(sources, st.integers(0, 20_000)), max_size=80))
def test_nobody_fails_more_often_than_allowed(events: list[tuple[str, int]]) -> None:
    attempts, now_ms = Attempts(), 0
    failed: list[tuple[str, int]] = []
    for address, pause_ms in events:
        now_ms += pause_ms
        wait_ms = attempts.wait_ms(address, now_ms)
        recent = [at for who, at in failed if who == address and now_ms - at < WINDOW_MS]
        assert (wait_ms > 0) == (len(recent) >= PER_ADDRESS)
        if wait_ms == 0:
            attempts.failed(address, now_ms)
            failed.append((address, now_ms))
        else:
            assert attempts.wait_ms(address, now_ms + wait_ms) == 0


def test_all_together_are_held_back_too() -> None:
    attempts = Attempts()
    for number in range(FOR_ALL):
        attempts.failed(f"10.0.{number // 250}.{number % 250}", 0)
    assert attempts.wait_ms("192.0.2.1", 1) > 0
    assert attempts.wait_ms("192.0.2.1", WINDOW_MS) == 0


def test_one_ipv6_network_is_one_source() -> None:
    attempts = Attempts()
    for number in range(PER_ADDRESS):
        attempts.failed(f"2001:db8::{number:x}", 0)
    assert attempts.wait_ms("2001:db8::ffff", 1) > 0
    assert attempts.wait_ms("2001:db8:0:1::1", 1) == 0
