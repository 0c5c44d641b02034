"""The codec: every message survives the wire, and nothing else gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.codec import LIMIT_BYTES, decode, decode_addressed, encode
from protocol.errors import KinflowError, MessageMalformed, MessageTooLarge, MessageVersionUnknown, TopicForeign
from protocol.ids import BootId, DeviceId, MessageId
from protocol.messages import Alarm, Message
from protocol.topics import ALARM, TOPICS, Topic

PAIRS = [(topic, kind) for topic in TOPICS for kind in topic.messages]
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def alarm(**changes: Any) -> dict[str, Any]:
    fields = {
        "kind": "alarm",
        "v": 1,
        "id": "0199c82c-c2ee-727a-8441-c88c1710cf53",
        "source": "agent",
        "boot": "9f2c61d07be34a58",
        "seq": 1,
        "at_ms": 1,
        "mono_ms": 1,
        "alarm": "camera-stalled",
        "subject": "cam-1",
        "severity": "warning",
        "active": True,
        "text": "",
    }
    return fields | changes


def raw(**changes: Any) -> bytes:
    return json.dumps(alarm(**changes)).encode()


@pytest.mark.parametrize(("topic", "kind"), PAIRS, ids=[kind.__name__ for _, kind in PAIRS])
def test_every_message_survives_the_wire(values_of: Any, topic: Topic[Any], kind: type[Message]) -> None:
    @relaxed
    @given(values_of(kind))
    def survives(message: Message) -> None:
        payload = encode(message)
        assert decode(topic, payload) == message
        json.loads(payload)

    survives()


@relaxed
@given(st.sampled_from(TOPICS), st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_known_error(topic: Topic[Any], payload: bytes) -> None:
    try:
        assert isinstance(decode(topic, payload), topic.messages)
    except KinflowError as error:
        assert error.number in (11, 12, 13)  # noqa: PT017


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@relaxed
@given(st.dictionaries(st.sampled_from([*alarm(), "code", "sig", "unknown"]), json_values))
def test_a_message_with_odd_fields_is_a_message_or_a_known_error(changes: dict[str, Any]) -> None:
    try:
        message = decode(ALARM, raw(**changes))
    except KinflowError as error:
        assert error.number in (11, 12, 13)  # noqa: PT017
    else:
        assert decode(ALARM, encode(message)) == message


@relaxed
@given(
    st.text(max_size=60) | st.from_regex(r"kinflow/1/[a-z./+#]{0,20}/(alarm|ack|presence|observation/.{0,9})"),
    st.binary(),
)
def test_any_topic_name_is_read_or_a_known_error(name: str, payload: bytes) -> None:
    with pytest.raises(KinflowError):
        decode_addressed(name, payload)


@relaxed
@given(st.integers(0, len(raw()) - 1))
def test_a_truncated_message_is_malformed(length: int) -> None:
    with pytest.raises(MessageMalformed):
        decode(ALARM, raw()[:length])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"[" * 60_000,
        b'{"kind":"alarm"' + b',"a":{' * 5_000,
        raw(kind="ack"),
        raw(kind=None),
        raw(text="\ud800"),
        raw(text="x" * 501),
        raw(seq=-1),
        raw(seq=2**53),
        raw(seq=1.5),
        raw(seq=True),
        raw(seq="1"),
        raw(at_ms=float("inf")),
        raw(source="../up"),
        raw(source="a/b"),
        raw(source="a\n"),
        raw(source=""),
        raw(boot="9F2C61D07BE34A58"),
        raw(id="0199c82c-c2ee-427a-8441-c88c1710cf53"),
        raw(severity="fatal"),
        raw(active=1),
        raw(code="KF1"),
        raw(code="KF12\n"),
        raw(boot="9f2c61d07be34a58\n"),
        raw(id="0199c82c-c2ee-727a-8441-c88c1710cf53\n"),
    ],
)
def test_what_is_malformed_says_so(payload: bytes) -> None:
    with pytest.raises(MessageMalformed) as caught:
        decode(ALARM, payload)
    assert len(str(caught.value)) < 1_000


def test_invalid_utf8_inside_a_string_is_malformed() -> None:
    with pytest.raises(MessageMalformed):
        decode(ALARM, raw(text="HERE").replace(b"HERE", b"\xc3\x28"))


@pytest.mark.parametrize("size", [LIMIT_BYTES + 1, 10 * 1024 * 1024])
def test_what_is_too_large_is_not_parsed(size: int) -> None:
    with pytest.raises(MessageTooLarge) as caught:
        decode(ALARM, b" " * size)
    assert caught.value.fields["size_bytes"] == size


def test_a_message_at_the_limit_is_read() -> None:
    payload = raw()
    assert decode(ALARM, payload + b" " * (LIMIT_BYTES - len(payload))).alarm == "camera-stalled"


@pytest.mark.parametrize("payload", [raw(v=2), b'{"v": 2}', b'{"v": 7, "kind": "hologram"}'])
def test_another_version_is_named_as_such(payload: bytes) -> None:
    with pytest.raises(MessageVersionUnknown):
        decode(ALARM, payload)


def test_unknown_fields_are_ignored_so_that_fields_can_be_added() -> None:
    assert decode(ALARM, raw(added_later=[1, 2])).alarm == "camera-stalled"


def test_a_device_writes_below_its_own_id_only() -> None:
    address, message = decode_addressed("kinflow/1/agent/alarm", raw())
    assert (address.device, message.source) == ("agent", "agent")
    with pytest.raises(TopicForeign, match="other"):
        decode_addressed("kinflow/1/other/alarm", raw())
    with pytest.raises(TopicForeign):
        decode_addressed("kinflow/1/agent/alarm", raw(source="other"))


def test_an_edge_writes_on_a_devices_topics_that_are_the_edges() -> None:
    ack = raw(kind="ack", source="edge", acked_boot="9f2c61d07be34a58", ranges=[[1, 2]])
    address, message = decode_addressed("kinflow/1/agent/ack", ack)
    assert (address.device, message.source) == ("agent", "edge")


def test_values_made_in_code_are_written_as_they_are() -> None:
    made = Alarm(
        id=MessageId("0199c82c-c2ee-727a-8441-c88c1710cf53"),
        source=DeviceId("agent"),
        boot=BootId("9f2c61d07be34a58"),
        seq=1,
        at_ms=1,
        mono_ms=1,
        alarm="camera-stalled",
        subject="cam-1",
        severity="warning",
        active=True,
        text="",
    )
    assert decode(ALARM, raw()) == made
