from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.assistant.tools import OPTIONAL, REQUIRED, Tool, equal_arguments, plain_text


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("That the key is under the mat.", "key is under the mat"),
        ("The  Cabinet KEY!", "cabinet key"),
        ("thermometer", "thermometer"),
        ("what is on the list?!", "what is on the list"),
    ],
)
def test_free_text_is_compared_without_article_case_and_final_mark(said: str, plain: str) -> None:
    assert plain_text(said) == plain


@given(st.text(max_size=40))
def test_plain_text_is_plain(said: str) -> None:
    assert plain_text(plain_text(said)) == plain_text(said)


def test_values_are_equal_by_meaning() -> None:
    assert equal_arguments({"value": 10}, {"value": 10.0})
    assert not equal_arguments({"value": 1}, {"value": True})
    assert not equal_arguments({"value": "1"}, {"value": 1})
    assert not equal_arguments({"intersection": "a"}, {"intersection": "a", "minutes": 5})
    assert equal_arguments({"text": "The bus is late."}, {"text": "bus is late"})


def test_every_tool_states_its_arguments() -> None:
    assert set(REQUIRED) == set(Tool)
    assert not any(set(REQUIRED[tool]) & set(names) for tool, names in OPTIONAL.items())
