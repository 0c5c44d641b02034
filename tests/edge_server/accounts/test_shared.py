"""Two edge servers of a pair end with the same accounts and tokens, whatever was done at either."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.passwords import Hasher
from edge_server.accounts.rows import Actor
from edge_server.errors import SignInRefused
from node.clock import SystemClock
from protocol.errors import KinflowError

BY = Actor("tests")
WORDS = "four words nobody joins"
NAMES = ("anna", "bert")
CHEAP = Hasher(time_cost=1, memory_kib=64)


def opened(folder: Path, name: str) -> Accounts:
    return Accounts(folder / f"{name}.db", SystemClock(), "the-key-of-this-machine", CHEAP)


def in_step(one: Accounts, other: Accounts) -> None:
    one.shared.merge(other.shared.all(), "edge-b")
    other.shared.merge(one.shared.all(), "edge-a")


DEEDS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NAMES), st.sampled_from(["admin", "viewer"])),
    st.tuples(st.just("role"), st.sampled_from(NAMES), st.sampled_from(["admin", "operator"])),
    st.tuples(st.just("password"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("remove"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("token"), st.sampled_from(NAMES), st.sampled_from(["viewer", "operator"])),
    st.tuples(st.just("revoke"), st.sampled_from(NAMES), st.just("")),
    st.just(("meet", "", "")),
)


def done(accounts: Accounts, deed: str, name: str, role: str) -> None:
    match deed:
        case "add":
            accounts.users.add(name, role, WORDS, BY)  # type: ignore[arg-type]
        case "role":
            accounts.users.set_role(name, role, BY)  # type: ignore[arg-type]
        case "password":
            accounts.users.set_password(name, f"{WORDS} again", BY)
        case "remove":
            accounts.users.remove(name, BY)
        case "token":
            accounts.tokens.make(f"of-{name}", role, 9, Actor(name))  # type: ignore[arg-type]
        case _:
            accounts.tokens.revoke(f"of-{name}", BY)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), DEEDS), max_size=12))
def test_both_end_with_the_same(story: list[tuple[bool, tuple[str, str, str]]]) -> None:
    with TemporaryDirectory() as name, closing(opened(Path(name), "a")) as a, closing(opened(Path(name), "b")) as b:
        for at_a, (deed, whose, role) in story:
            if deed == "meet":
                in_step(a, b)
                continue
            with suppress(KinflowError):
                done(a if at_a else b, deed, whose, role)
        in_step(a, b)
        assert a.shared.all() == b.shared.all()
        assert [(one.name, one.role) for one in a.users.all()] == [(one.name, one.role) for one in b.users.all()]
        assert [(one.name, one.role) for one in a.tokens.all()] == [(one.name, one.role) for one in b.tokens.all()]
        assert not a.shared.merge(b.shared.all(), "edge-b"), "nothing is taken over twice"


def test_what_is_done_at_one_holds_at_the_other_and_ends_sessions_there(tmp_path: Path) -> None:
    with closing(opened(tmp_path, "a")) as a, closing(opened(tmp_path, "b")) as b:
        page = b.open_local("here")
        a.users.add("anna", "admin", WORDS, BY)
        a.users.add("bert", "operator", WORDS, BY)
        _, secret = a.tokens.make("graphs", "viewer", 9, Actor("anna"))
        in_step(a, b)
        assert b.by_cookie(page) is None, "from the first account on everybody signs in"
        session = b.sign_in("bert", WORDS, "here")
        assert b.by_cookie(session) is not None
        assert b.by_bearer(secret) is not None
        in_step(a, b)
        assert b.by_cookie(session) is not None, "what has not changed ends nothing"

        a.users.set_role("bert", "viewer", BY)
        b.tokens.revoke("graphs", BY)
        in_step(a, b)
        assert b.by_cookie(session) is None
        assert a.by_bearer(secret) is None
        a.users.remove("bert", BY)
        in_step(a, b)
        with pytest.raises(SignInRefused):
            b.sign_in("bert", WORDS, "here")
        assert [(line.who, line.what, line.subject) for line in b.audit.lines() if line.who == "edge-a"] == [
            ("edge-a", "user-removed", "bert"),
            ("edge-a", "user-changed", "bert"),
            ("edge-a", "token-made", "graphs"),
            ("edge-a", "user-added", "bert"),
            ("edge-a", "user-added", "anna"),
        ]
