"""Ids: what may be one, and how new ones are made."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InvalidId
from protocol.ids import BOOT_PATTERN, UUID_PATTERN, device_id, is_slug, new_boot_id, new_message_id, slug


@given(st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,62}\Z"))
def test_dns_labels_are_ids(text: str) -> None:
    assert slug(text) == text
    assert device_id(text) == text


@given(st.text(max_size=80))
def test_whatever_is_an_id_is_safe_as_one_topic_level_and_one_file_name(text: str) -> None:
    if is_slug(text):
        assert 1 <= len(text) <= 63
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not text.startswith("-")


@pytest.mark.parametrize(
    "text", ["", "-a", "A", "a/b", "..", "a b", "a\n", "ä", "a+", "#", "a" * 64, "a\x00", "\uff41", "²"]
)
def test_everything_else_is_refused(text: str) -> None:
    assert not is_slug(text)
    with pytest.raises(InvalidId, match="KF10"):
        slug(text)


def test_an_endless_id_makes_no_endless_error() -> None:
    with pytest.raises(InvalidId) as caught:
        slug("x" * 100_000, "device id")
    assert len(str(caught.value)) < 400
    assert "device id" in str(caught.value)


@given(st.integers(0, 2**60), st.integers(0, 2**62 - 1))
def test_message_ids_are_uuid_version_7_with_the_time_in_front(wall_ms: int, bits: int) -> None:
    text = new_message_id(wall_ms, lambda count: bits & ((1 << count) - 1))
    parsed = uuid.UUID(text)
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == wall_ms % 2**48
    assert re.match(UUID_PATTERN, text)


def test_new_ids_differ() -> None:
    assert len({new_message_id(0) for _ in range(1_000)}) == 1_000
    boots = {new_boot_id() for _ in range(1_000)}
    assert len(boots) == 1_000
    assert all(re.match(BOOT_PATTERN, boot) for boot in boots)
