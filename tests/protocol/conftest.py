"""Strategies for messages, read off their types, so that a new field is generated without a word here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from msgspec import inspect as kinds


def _integers(kind: kinds.IntType) -> st.SearchStrategy[int]:
    low = kind.ge if kind.ge is not None else (kind.gt + 1 if kind.gt is not None else -(2**53))
    high = kind.le if kind.le is not None else (kind.lt - 1 if kind.lt is not None else 2**53 - 1)
    return st.integers(low, high)


def _floats(kind: kinds.FloatType) -> st.SearchStrategy[float]:
    low, high = (kind.ge if kind.ge is not None else kind.gt), (kind.le if kind.le is not None else kind.lt)
    return st.floats(
        low,
        high,
        exclude_min=kind.gt is not None,
        exclude_max=kind.lt is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _strings(kind: kinds.StrType) -> st.SearchStrategy[str]:
    if kind.pattern is not None:
        return st.from_regex(kind.pattern.replace(r"$(?!\n)", r"\Z"))
    return st.text(st.characters(codec="utf-8"), max_size=min(kind.max_length or 50, 50))


def _strategy(kind: kinds.Type) -> st.SearchStrategy[Any]:  # noqa: PLR0911 (one return a type)
    match kind:
        case kinds.Metadata():
            return _strategy(kind.type)
        case kinds.NoneType():
            return st.none()
        case kinds.BoolType():
            return st.booleans()
        case kinds.IntType():
            return _integers(kind)
        case kinds.FloatType():
            return _floats(kind)
        case kinds.StrType():
            return _strings(kind)
        case kinds.LiteralType():
            return st.sampled_from(kind.values)
        case kinds.UnionType():
            return st.one_of([_strategy(one) for one in kind.types])
        case kinds.TupleType():
            return st.tuples(*[_strategy(one) for one in kind.item_types])
        case kinds.VarTupleType():
            return st.lists(_strategy(kind.item_type), min_size=kind.min_length or 0, max_size=4).map(tuple)
        case kinds.DictType():
            return st.dictionaries(_strategy(kind.key_type), _strategy(kind.value_type), max_size=3)
        case kinds.StructType():
            return st.builds(kind.cls, **{one.name: _strategy(one.type) for one in kind.fields if one.name != "v"})
    raise TypeError(f"no strategy for {kind}")


@pytest.fixture(scope="session")
def values_of() -> Any:
    """values_of(Type): a strategy for valid values of a msgspec type."""
    return lambda struct: _strategy(msgspec.inspect.type_info(struct))
