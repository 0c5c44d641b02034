"""Equal keys are equal identities and equal beginnings."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from models.serving.prefix.keys import BLOCK_TOKENS, Identity, keys_of

texts = st.text("ab,\x00", max_size=3)
lists = st.lists(texts, max_size=2).map(tuple)
identities = st.builds(Identity, texts, texts, texts, lists, texts, lists, texts, st.sampled_from([2, 3]))
prompts = st.lists(st.sampled_from([0, 1, 256, 70_000]), max_size=9)


@settings(max_examples=60, deadline=None)
@given(identities, identities, prompts, prompts)
def test_equal_keys_are_equal_identities_and_equal_beginnings(one, other, tokens, others):
    for at, (left, right) in enumerate(zip(keys_of(one, tokens), keys_of(other, others), strict=False), 1):
        same = one == other and tokens[: at * one.block_tokens] == others[: at * other.block_tokens]
        assert (left == right) is same


@settings(max_examples=60, deadline=None)
@given(identities, prompts, prompts)
def test_what_comes_behind_changes_no_key(identity, tokens, more):
    keys = keys_of(identity, tokens)
    assert len(keys) == len(tokens) // identity.block_tokens
    assert keys_of(identity, tokens + more)[: len(keys)] == keys
    assert len(set(keys)) == len(keys)


def test_each_part_of_an_identity_counts():
    base = Identity("f", "l", "e", ("a",), "s", ("i",), "t")
    tokens = list(range(BLOCK_TOKENS))
    changed = {"fingerprint": "g", "layout": "m", "engine": "x", "steering": "", "salt": "u"}
    others = [replace(base, **{name: value}) for name, value in changed.items()]
    others += [replace(base, adapters=("b",)), replace(base, images=())]
    assert len({keys_of(one, tokens)[0] for one in [base, *others]}) == len(others) + 1
