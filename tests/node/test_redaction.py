"""No secret survives: whatever it looks like, and wherever in a text or a value it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.redaction import is_secret_key, redact, redact_text

schemes = st.sampled_from(["mqtt", "mqtts", "rtsp", "http", "https"])
# A marker makes the secret recognisable in what is left, whatever stands around it.
MARK = "s3cr3t"
odd = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=8)
secrets = st.tuples(odd, odd).map(lambda ends: f"{ends[0]}{MARK}{ends[1]}")
unbroken = secrets.filter(lambda one: not set(one) & set("\"'<>\x85\xa0"))
plain = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="@"), max_size=30)
keys = st.sampled_from(
    ["password", "PASSWORD", "api_token", "token", "client-secret", "Authorization", "X-Api-Key", "cookie"]
)


@given(schemes, unbroken, plain, plain)
def test_credentials_in_a_url_go(scheme: str, password: str, before: str, after: str) -> None:
    text = f"{before} {scheme}://admin:{password}@camera.lan/stream {after}"
    assert MARK not in redact_text(text)


@given(schemes, unbroken, unbroken)
def test_credentials_of_two_urls_in_one_line_go(scheme: str, one: str, other: str) -> None:
    assert MARK not in redact_text(f"{scheme}://a:{one}@x and {scheme}://b:{other}@y")


@given(schemes, st.text(st.sampled_from("ab c\"'"), max_size=6))
def test_a_password_with_a_space_or_a_quote_goes(scheme: str, start: str) -> None:
    assert MARK not in redact_text(f"{scheme}://admin:x{start}{MARK}@camera.lan/stream")


@given(keys, st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF), min_size=1).map(lambda one: one + MARK))
def test_named_secrets_in_a_text_go(key: str, secret: str) -> None:
    for text in (f"{key}={secret}", f"{key}: {secret}", f"?{key}={secret}&x=1", f"{key}='{secret} {secret}'"):
        assert MARK not in redact_text(text)
    assert MARK not in redact_text(f"Authorization: Bearer {secret}")
    assert MARK not in redact_text(json.dumps({key: f'a " {secret}'}))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=8,
)


@given(keys, secrets | st.lists(secrets, min_size=1), values)
def test_named_secrets_in_a_value_go_at_any_depth(key: str, secret: object, other: object) -> None:
    value = {"cameras": [{"x": other, "deep": ({key: secret},)}]}
    assert MARK not in json.dumps(redact(value), ensure_ascii=False)


@given(secrets, plain, plain)
def test_a_known_secret_goes_wherever_it_stands(secret: str, before: str, after: str) -> None:
    assert MARK not in redact_text(f"{before}{secret}{after}", known=[secret])
    assert MARK not in str(redact({before: [f"{after}{secret}"], secret: 1}, known=[secret]))


@given(values)
def test_numbers_stay(value: object) -> None:
    assert redact({"count": 3, "index": 0.5, "ok": True, "prompt_tokens": 7, "v": value})["count"] == 3  # type: ignore[index]
    assert redact({"prompt_tokens": 7}) == {"prompt_tokens": 7}


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8800 is up",
        "camera north-1 sent 25 frames",
        "mqtt://closet:1883, mail to a@b",
        "12 tokens: 5 s",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_host_and_path_stay_readable() -> None:
    assert redact_text("rtsp://admin:x@cam.lan:554/h264") == "rtsp://***@cam.lan:554/h264"


def test_plural_tokens_are_a_unit() -> None:
    assert is_secret_key("access_token")
    assert not is_secret_key("max_tokens")


@pytest.mark.parametrize(
    "piece", ["x", "://", "a://b:", 'token="', "password ", "token", "bearer ", "@", "'", "a://b:c "]
)
def test_a_long_line_is_no_trap(piece: str) -> None:
    """The limit of 30 s per test is the bar: a pattern that backtracks without bound would take hours."""
    line = piece * (200_000 // len(piece))
    assert MARK not in redact_text(f"{line} rtsp://a:{MARK}@camera {line}")


@given(schemes, unbroken, plain)
def test_a_key_that_stands_for_the_user_goes(scheme: str, key: str, after: str) -> None:
    assert MARK not in redact_text(f"{scheme}://{key}@camera.lan/stream {after}")


@given(st.sampled_from(["Bearer", "bearer", "Basic"]), st.from_regex(r"\A[A-Za-z0-9._~+/-]{2,20}\Z"))
def test_a_key_after_its_scheme_goes(scheme: str, start: str) -> None:
    assert MARK not in redact_text(f"the header was {scheme} {start}{MARK}== and was refused")
