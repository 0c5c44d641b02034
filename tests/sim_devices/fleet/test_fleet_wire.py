from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim_devices.fleet import wire


@given(st.lists(st.binary(max_size=300), max_size=6), st.data())
def test_packets_come_out_as_they_went_in_however_they_are_cut(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(wire.publish("a/b", payload, 7) for payload in payloads) + wire.PINGREQ
    reader, found = wire.Reader(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += list(reader.feed(stream[:size]))
        stream = stream[size:]
    assert [wire.payload_of(flags, body) for kind, flags, body in found if kind == wire.PUBLISH] == payloads
    assert found[-1] == (12, 0, b"")


def test_a_length_takes_as_many_bytes_as_it_needs() -> None:
    """The examples of section 2.2.3: 127 is the last length in one byte, 16,383 the last in two."""
    for length, digits in ((127, 1), (128, 2), (16_383, 2), (16_384, 3)):
        payload = b"x" * (length - len(b"\x00\x01t\x00\x07"))
        assert len(wire.publish("t", payload, 7)) == 1 + digits + length
