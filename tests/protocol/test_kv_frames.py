"""Frames between a prefill worker and who goes on: whatever comes, it is a frame or a known error; and only what was
sealed, as it was sealed, in its order, opens."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MessageMalformed, MessageTooLarge, MessageVersionUnknown
from protocol.kv_frames import (
    LENGTH,
    LIMIT_BYTES,
    PART_BYTES,
    Ask,
    Done,
    Frame,
    Identity,
    Part,
    Ping,
    Pong,
    Range,
    Ready,
    Refusal,
    Speed,
    decode,
    encode,
    packed,
    unpacked,
)
from protocol.kv_seal import Opener, Sealer, agree, hello, key_of

SECRET = b"s" * 32
IDENTITY = Identity(fingerprint="a" * 64, source="b" * 64, memory="full attention", layout="f16", engine="one 1")
SPEED = Speed(step_s=0.01, row_s=0.001, pair_s=1e-7)
FRAMES: list[Frame] = [
    Ready(identity=IDENTITY, limit_tokens=2048, bytes_per_token=12.5, speed=SPEED),
    Ping(number=1, size_bytes=4),
    Pong(number=1, speed=SPEED, filling=b"1234"),
    Ask(number=2, identity=IDENTITY, tokens=packed([1, 2, 3])),
    Range(number=2, start=0, end=2, whole=True, size_bytes=7, sha256="c" * 64),
    Part(data=b"7 bytes"),
    Done(number=2, end=2, speed=SPEED),
    Refusal(number=2, code="KF394", detail="too long"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_each_frame_comes_back_as_it_was(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_known_error(data: bytes) -> None:
    with contextlib.suppress(MessageMalformed, MessageTooLarge):
        decode(data)


@given(st.sampled_from(FRAMES), st.data())
def test_a_damaged_frame_is_another_frame_or_a_known_error(frame: Frame, data: st.DataObject) -> None:
    body = bytearray(encode(frame))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(MessageMalformed, MessageTooLarge):
        decode(bytes(body[: data.draw(st.integers(0, len(body)))]))


def test_what_is_too_large_is_not_even_read() -> None:
    with pytest.raises(MessageTooLarge):
        decode(bytes(LIMIT_BYTES + 1))
    with pytest.raises(MessageTooLarge):
        Opener(bytes(32)).size_of(LENGTH.pack(LIMIT_BYTES + 17))
    decode(encode(Part(data=bytes(PART_BYTES))))


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=50))
def test_tokens_come_back_as_they_were(tokens: list[int]) -> None:
    assert unpacked(packed(tokens)) == tokens


def test_half_a_token_is_none() -> None:
    with pytest.raises(MessageMalformed):
        unpacked(b"123")


def test_differences_are_named() -> None:
    other = Identity(fingerprint="a" * 64, source="c" * 64, memory="full attention", layout="f32", engine="one 1")
    assert IDENTITY.differences(IDENTITY) == []
    assert IDENTITY.differences(other) == ["source", "layout"]


def sides(client_secret: bytes = SECRET, server_secret: bytes = SECRET):
    client, server = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    keys = key_of(hello(client)), key_of(hello(server))
    return agree(client_secret, client, *keys), agree(server_secret, server, *keys)


def test_two_that_share_a_secret_agree_and_two_that_do_not_prove_nothing() -> None:
    assert len({*vars(sides()[0]).values()}) == 4
    client, server = sides()
    assert client == server
    client, server = sides(server_secret=b"t" * 32)
    assert not {*vars(client).values()} & {*vars(server).values()}
    assert sides()[0] != sides()[0]


def test_each_direction_has_its_own_key() -> None:
    client, server = sides()
    with pytest.raises(MessageMalformed):  # what one has sent, sent back to them
        open_all(Opener(client.to_client), Sealer(client.to_server).seal(b"x"))
    assert open_all(Opener(server.to_server), Sealer(client.to_server).seal(b"x")) == b"x"


def open_all(opener: Opener, frame: bytes) -> bytes:
    head = frame[: LENGTH.size]
    assert opener.size_of(head) == len(frame) - LENGTH.size
    return opener.open(head, frame[LENGTH.size :])


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=5), st.data())
def test_frames_open_in_their_order_and_nothing_else_does(bodies: list[bytes], data: st.DataObject) -> None:
    sealer, opener = Sealer(bytes(32)), Opener(bytes(32))
    frames = [sealer.seal(body) for body in bodies]
    until = data.draw(st.integers(0, len(frames) - 1))
    for frame, body in zip(frames[:until], bodies, strict=False):
        assert open_all(opener, frame) == body
    wrong = data.draw(st.sampled_from(["again", "left out", "changed"]))
    frame = bytearray(frames[until])
    if wrong == "again" and until:
        frame = bytearray(frames[until - 1])
    elif wrong == "left out" and until + 1 < len(frames):
        frame = bytearray(frames[until + 1])
    else:
        frame[data.draw(st.integers(LENGTH.size, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MessageMalformed):
        open_all(opener, bytes(frame))
    with pytest.raises(MessageMalformed):  # and never again
        open_all(opener, frames[until])


@given(st.binary(max_size=50))
def test_any_bytes_are_a_greeting_or_a_known_error(said: bytes) -> None:
    with pytest.raises(MessageMalformed):
        key_of(said)


def test_another_version_is_told_as_one() -> None:
    with pytest.raises(MessageVersionUnknown):
        key_of(b"KFKV\x00\x02" + bytes(32))


def test_a_key_that_is_none_is_refused() -> None:
    own = X25519PrivateKey.generate()
    with pytest.raises(MessageMalformed):
        agree(SECRET, own, own.public_key().public_bytes_raw(), bytes(32))
