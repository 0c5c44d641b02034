from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from firmware_configs.yaml import Value, emit

texts = st.text(max_size=30).filter(lambda text: not any("\ud800" <= one <= "\udfff" for one in text))
lines = st.lists(st.text("ab: -#'\"{}$\\\t", max_size=12), min_size=1, max_size=5).map(
    lambda all: "\n".join(all) + "\n"
)
values = st.recursive(
    st.one_of(texts, lines, st.integers(-9, 9), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, min_size=1, max_size=4))
def test_what_is_written_is_what_another_reads(value: dict[str, Value]) -> None:
    assert yaml.safe_load(emit(value)) == value


def test_a_script_stands_as_it_is() -> None:
    assert emit({"content": "#!/bin/sh\nset -e\n\ntrue\n"}) == "content: |\n  #!/bin/sh\n  set -e\n\n  true\n"
