from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.broker.address import format_broker, parse_broker
from node.broker.port import BrokerAddress
from node.errors import BrokerAddressInvalid

words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)
hosts = st.one_of(st.from_regex(r"\A[a-z][a-z0-9-]{0,20}[a-z0-9](\.[a-z]{2,5})?\Z"), st.ip_addresses().map(str))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://closet", BrokerAddress("closet", 1883)),
        ("mqtts://closet", BrokerAddress("closet", 8883, tls=True)),
        ("MQTT://closet:99/", BrokerAddress("closet", 99)),
        ("mqtt://pi@closet", BrokerAddress("closet", 1883, username="pi")),
        ("mqtt://pi:a%40b@closet", BrokerAddress("closet", 1883, username="pi", password="a@b")),
        ("mqtt://[::1]:5", BrokerAddress("::1", 5)),
    ],
)
def test_addresses(url: str, address: BrokerAddress) -> None:
    assert parse_broker(url) == address


@given(host=hosts, port=st.integers(1, 65535), tls=st.booleans(), entry=st.none() | st.tuples(words, st.none() | words))
def test_what_is_formatted_is_read_back(host: str, port: int, tls: bool, entry: tuple[str, str | None] | None) -> None:
    username, password = entry or (None, None)
    address = BrokerAddress(host, port, tls, username, password)
    assert parse_broker(format_broker(address, with_password=True)) == address


@given(password=st.text(st.characters(codec="ascii"), min_size=9))
def test_a_shown_address_holds_no_password(password: str) -> None:
    assert password not in format_broker(BrokerAddress(username="pi", password=password))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("closet:1883", "begin with mqtt://"),
        ("http://closet", "begin with mqtt://"),
        ("", "begin with mqtt://"),
        ("mqtt://", "no host"),
        ("mqtt://:1883", "no host"),
        ("mqtt://closet:0", "port 0"),
        ("mqtt://closet:70000", "1 to 65535"),
        ("mqtt://closet:port", "1 to 65535"),
        ("mqtt://[::1", "host or the port"),
        ("mqtt://closet/kinflow", "nothing may follow"),
        ("mqtt://u:se/cret@closet", "1 to 65535"),
        ("mqtt://u:100%@closet", "%25"),
        ("mqtt://clo set", "space"),
        ("mqtt://closet\n", "space"),
    ],
)
def test_a_wrong_address_is_told_apart_from_the_others(url: str, told: str) -> None:
    with pytest.raises(BrokerAddressInvalid, match=told):
        parse_broker(url)


@given(st.text())
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    for url in (text, f"mqtt://{text}"):
        with suppress(BrokerAddressInvalid):
            address = parse_broker(url)
            assert address.host
            assert 1 <= address.port <= 65535


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=20))
def test_a_refusal_never_repeats_the_password(password: str) -> None:
    with pytest.raises(BrokerAddressInvalid) as refused:
        parse_broker(f"mqtt://u:{password}@closet/path")
    assert password not in str(refused.value)
