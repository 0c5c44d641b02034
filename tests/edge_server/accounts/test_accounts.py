"""Accounts, sessions, tokens and the audit over a real file, with a clock that is moved by hand."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_server.accounts.accounts import Accounts
from edge_server.accounts.audit import KEPT as AUDIT_KEPT
from edge_server.accounts.passwords import Hasher
from edge_server.accounts.rows import Actor
from edge_server.accounts.sessions import IDLE_MS, LONGEST_MS
from edge_server.accounts.throttle import LONG_MS, PAIR_FREE
from edge_server.errors import (
    AccountsUnusable,
    AccountTaken,
    FirstAccountRefused,
    LastAdmin,
    NotKnown,
    PasswordRefused,
    SignInRefused,
    SignInTooOften,
)
from node.clock import ManualClock
from protocol.errors import InvalidId

ROOT = "the-key-of-the-machine-for-tests-only"
GOOD = "four words nobody joins"
OTHER = "another four such words"
HERE, THERE = "192.0.2.7", "198.51.100.9"
BY = Actor("tests")


class CountingHasher(Hasher):
    """The real thing, cheap, and it counts how often it really computed."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_kib=64)
        self.computed = 0

    def _verified(self, hashed: str, password: str) -> bool:
        self.computed += 1
        return super()._verified(hashed, password)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def accounts(tmp_path: Path, clock: ManualClock, hasher: CountingHasher) -> Iterator[Accounts]:
    accounts = Accounts(tmp_path / "accounts.db", clock, ROOT, hasher)
    yield accounts
    accounts.close()


@pytest.fixture
def anna(accounts: Accounts) -> Accounts:
    accounts.users.add("anna", "admin", GOOD, BY)
    return accounts


def tries(act: Callable[[], object], until: type[Exception]) -> int:
    """How often `act` is refused as a wrong password before it is refused as too often."""
    for count in range(100):
        try:
            act()
        except until:
            return count
        except SignInRefused:
            continue
    raise AssertionError("it was never too often")


def test_who_signs_in_is_known_by_the_session(anna: Accounts) -> None:
    caller = anna.by_cookie(anna.sign_in(" Anna ", GOOD, HERE))
    assert caller is not None
    assert (caller.name, caller.role, caller.way) == ("anna", "admin", "session")
    assert anna.by_cookie("something else") is None


def test_neither_passwords_nor_sessions_nor_tokens_lie_in_the_file(anna: Accounts, tmp_path: Path) -> None:
    session = anna.sign_in("anna", GOOD, HERE)
    _, token = anna.tokens.make("reporter", "viewer", 1, BY)
    anna.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("accounts.db*"))
    assert b"anna" in kept
    for secret in (GOOD, session, token, token.removeprefix("kinflow_")):
        assert secret.encode() not in kept
    assert (tmp_path / "accounts.db").stat().st_mode & 0o777 == 0o600


def test_the_first_account_is_an_admin_and_the_last_admin_stays(accounts: Accounts) -> None:
    with pytest.raises(FirstAccountRefused):
        accounts.users.add("anna", "viewer", GOOD, BY)
    assert not accounts.exist()
    accounts.users.add("anna", "admin", GOOD, BY)
    accounts.users.add("bert", "viewer", GOOD, BY)
    for act in (lambda: accounts.users.remove("anna", BY), lambda: accounts.users.set_role("anna", "operator", BY)):
        with pytest.raises(LastAdmin):
            act()
    accounts.users.set_role("bert", "admin", BY)
    accounts.users.remove("anna", BY)
    assert [user.name for user in accounts.users.all()] == ["bert"]


def test_two_admins_cannot_remove_each_other_at_once(anna: Accounts, tmp_path: Path) -> None:
    anna.users.add("bert", "admin", GOOD, BY)
    other = Accounts(tmp_path / "accounts.db", ManualClock(), ROOT, CountingHasher())
    refused: list[str] = []

    def remove(accounts: Accounts, name: str) -> None:
        try:
            accounts.users.remove(name, BY)
        except LastAdmin:
            refused.append(name)

    threads = [threading.Thread(target=remove, args=pair) for pair in ((anna, "anna"), (other, "bert"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [user.name for user in anna.users.all()] == refused
    other.close()


def test_names_are_slugs_and_there_once(anna: Accounts) -> None:
    for name in ("", "Anna Maria", "../x", "a" * 64, "bert\n"):
        with pytest.raises(InvalidId):
            anna.users.add(name, "viewer", GOOD, BY)
    with pytest.raises(AccountTaken):
        anna.users.add("anna", "viewer", GOOD, BY)
    with pytest.raises(NotKnown):
        anna.users.set_role("nobody", "viewer", BY)


@pytest.mark.parametrize("change", ["role", "password", "remove", "everywhere"])
def test_what_takes_something_away_ends_every_session(anna: Accounts, change: str) -> None:
    anna.users.add("bert", "operator", GOOD, BY)
    sessions = [anna.sign_in("bert", GOOD, HERE) for _ in range(2)]
    annas = anna.sign_in("anna", GOOD, HERE)
    act: dict[str, Callable[[], object]] = {
        "role": lambda: anna.users.set_role("bert", "viewer", BY),
        "password": lambda: anna.users.set_password("bert", OTHER, BY),
        "remove": lambda: anna.users.remove("bert", BY),
        "everywhere": lambda: anna.sessions.end_all("bert"),
    }
    act[change]()
    assert [anna.by_cookie(session) for session in sessions] == [None, None]
    assert anna.by_cookie(annas) is not None


def test_a_name_that_is_given_again_brings_no_old_session_back(anna: Accounts) -> None:
    anna.users.add("bert", "viewer", GOOD, BY)
    old = anna.sign_in("bert", GOOD, HERE)
    anna.users.remove("bert", BY)
    anna.users.add("bert", "admin", OTHER, BY)
    assert anna.by_cookie(old) is None


def test_ones_own_password_keeps_this_page_under_a_new_id(anna: Accounts) -> None:
    here, elsewhere = anna.sign_in("anna", GOOD, HERE), anna.sign_in("anna", GOOD, THERE)
    caller = anna.by_cookie(here)
    assert caller is not None
    with pytest.raises(SignInRefused):
        anna.change_password(caller, "not it at all", OTHER, HERE)
    with pytest.raises(PasswordRefused):
        anna.change_password(caller, GOOD, "short", HERE)
    fresh = anna.change_password(caller, GOOD, OTHER, HERE)
    assert fresh not in {here, elsewhere}
    assert [anna.by_cookie(one) is not None for one in (here, elsewhere, fresh)] == [False, False, True]
    assert anna.by_cookie(anna.sign_in("anna", OTHER, HERE)) is not None


def test_a_session_ends_when_it_is_not_used_and_in_any_case_after_a_while(anna: Accounts, clock: ManualClock) -> None:
    idle = anna.sign_in("anna", GOOD, HERE)
    clock.advance(IDLE_MS + 1)
    assert anna.by_cookie(idle) is None
    used = anna.sign_in("anna", GOOD, HERE)
    passed = 0
    while passed <= LONGEST_MS:
        assert anna.by_cookie(used) is not None
        clock.advance(IDLE_MS - 1)
        passed += IDLE_MS - 1
    assert anna.by_cookie(used) is None


def test_a_clock_that_is_set_back_ends_no_session(anna: Accounts, clock: ManualClock) -> None:
    session = anna.sign_in("anna", GOOD, HERE)
    clock.set_wall(1_000)
    assert anna.by_cookie(session) is not None


def test_a_page_on_the_machine_is_let_in_until_there_is_an_account(accounts: Accounts) -> None:
    local = accounts.open_local("127.0.0.1")
    caller = accounts.by_cookie(local)
    assert caller is not None
    assert (caller.way, caller.role) == ("local", "operator")
    accounts.users.add("anna", "admin", GOOD, BY)
    assert accounts.by_cookie(local) is None


def test_the_machines_key_lets_in_and_a_new_one_ends_what_rested_on_the_old(
    accounts: Accounts, tmp_path: Path, clock: ManualClock
) -> None:
    assert accounts.by_bearer(ROOT) is not None
    assert accounts.by_bearer(ROOT + "x") is None
    assert accounts.by_bearer("") is None
    session = accounts.sign_in_by_root(f" {ROOT} ", HERE)
    caller = accounts.by_cookie(session)
    assert caller is not None
    assert (caller.way, caller.role) == ("root", "admin")
    with pytest.raises(SignInRefused):
        accounts.sign_in_by_root("wrong", HERE)
    renewed = Accounts(tmp_path / "accounts.db", clock, "another key of the machine, made anew")
    assert renewed.by_cookie(session) is None
    renewed.close()


def test_a_token_is_shown_once_ends_and_is_revoked(anna: Accounts, clock: ManualClock) -> None:
    made, secret = anna.tokens.make("reporter", "viewer", 2, Actor("anna"))
    caller = anna.by_bearer(secret)
    assert caller is not None
    assert (caller.name, caller.role, caller.way) == ("reporter", "viewer", "token")
    assert anna.tokens.all()[0].used_ms == clock.wall_ms()
    with pytest.raises(AccountTaken):
        anna.tokens.make("reporter", "admin", 2, BY)
    clock.advance(made.expires_ms - clock.wall_ms() - 1)
    assert anna.by_bearer(secret) is not None
    clock.advance(1)
    assert anna.by_bearer(secret) is None
    _, second = anna.tokens.make("other", "operator", 2, BY)
    anna.tokens.revoke("other", BY)
    assert anna.by_bearer(second) is None
    with pytest.raises(NotKnown):
        anna.tokens.revoke("other", BY)


def test_tokens_go_with_the_admin_who_made_them(anna: Accounts) -> None:
    anna.users.add("bert", "admin", GOOD, BY)
    secrets = {role: anna.tokens.make(f"by-bert-{role}", role, 9, Actor("bert"))[1] for role in ("viewer", "admin")}
    _, kept = anna.tokens.make("by-anna", "admin", 9, Actor("anna"))
    anna.users.set_role("bert", "viewer", BY)
    assert [anna.by_bearer(secrets[role]) is not None for role in ("viewer", "admin")] == [True, False]
    anna.users.remove("bert", BY)
    assert anna.by_bearer(secrets["viewer"]) is None
    assert anna.by_bearer(kept) is not None


def test_nobody_learns_who_has_an_account(anna: Accounts, hasher: CountingHasher) -> None:
    """The same words and the same work for a wrong password and for a name that is not there."""
    told, cost = [], []
    for name in ("anna", "nobody"):
        before = hasher.computed
        with pytest.raises(SignInRefused) as refused:
            anna.sign_in(name, "not the password", HERE)
        told.append(str(refused.value))
        cost.append(hasher.computed - before)
    assert told[0] == told[1]
    assert cost == [1, 1]
    assert tries(lambda: anna.sign_in("anna", "wrong again", THERE), SignInTooOften) == tries(
        lambda: anna.sign_in("ghost", "wrong again", "203.0.113.5"), SignInTooOften
    )


def test_a_guesser_waits_longer_and_longer_and_costs_nothing_meanwhile(
    anna: Accounts, clock: ManualClock, hasher: CountingHasher
) -> None:
    def guess() -> None:
        anna.sign_in("anna", "a guess at random", THERE)

    assert tries(guess, SignInTooOften) == PAIR_FREE
    computed = hasher.computed
    waits = []
    for _ in range(12):
        with pytest.raises(SignInTooOften) as refused:
            guess()
        waits.append(int(str(refused.value.fields["wait_s"])))
        clock.advance(waits[-1] * 1000)
        with pytest.raises(SignInRefused):
            guess()
    assert hasher.computed == computed + 12
    assert waits == sorted(waits)
    assert waits[-1] == LONG_MS // 1000


def test_a_guesser_does_not_lock_the_person_out(anna: Accounts, clock: ManualClock) -> None:
    """Not where they signed in before, not on the machine, and elsewhere for no longer than half a minute."""
    anna.sign_in("anna", GOOD, HERE)
    for number in range(200):
        with pytest.raises((SignInRefused, SignInTooOften)):
            anna.sign_in("anna", "a guess at random", f"203.0.113.{number}")
        clock.advance(100)
    assert anna.by_cookie(anna.sign_in("anna", GOOD, HERE)) is not None
    assert anna.by_cookie(anna.sign_in("anna", GOOD, "127.0.0.1", local=True)) is not None
    with pytest.raises(SignInTooOften) as refused:
        anna.sign_in("anna", GOOD, THERE)
    assert int(str(refused.value.fields["wait_s"])) <= 30
    clock.advance(30_000)
    assert anna.by_cookie(anna.sign_in("anna", GOOD, THERE)) is not None


def test_a_password_is_hashed_anew_when_the_parameters_change(anna: Accounts, tmp_path: Path) -> None:
    before = anna.users.hash_of("anna")
    stronger = Accounts(tmp_path / "accounts.db", ManualClock(), ROOT, Hasher(time_cost=2, memory_kib=128))
    stronger.sign_in("anna", GOOD, HERE)
    after = stronger.users.hash_of("anna")
    assert after is not None
    assert before != after
    assert "m=128,t=2,p=1" in after
    assert after.startswith("$argon2id$")
    stronger.sign_in("anna", GOOD, HERE)
    assert stronger.users.hash_of("anna") == after
    stronger.close()


def test_the_audit_tells_who_what_when_and_from_where(anna: Accounts, clock: ManualClock) -> None:
    with pytest.raises(SignInRefused):
        anna.sign_in("anna", "not it at all", HERE)
    with pytest.raises(SignInRefused):
        anna.sign_in("my password by mistake", "x", HERE)
    anna.sign_in("anna", GOOD, HERE)
    anna.tokens.make("reporter", "viewer", 1, Actor("anna", HERE))
    anna.users.add("bert", "viewer", GOOD, Actor("anna", HERE))
    anna.users.remove("bert", Actor("anna", HERE))
    told = [(line.who, line.what, line.subject, line.address) for line in reversed(anna.audit.lines())]
    assert told == [
        ("tests", "user-added", "anna", ""),
        ("anna", "sign-in-refused", "", HERE),
        ("(unknown name)", "sign-in-refused", "", HERE),
        ("anna", "signed-in", "", HERE),
        ("anna", "token-made", "reporter", HERE),
        ("anna", "user-added", "bert", HERE),
        ("anna", "user-removed", "bert", HERE),
    ]
    assert {line.at_ms for line in anna.audit.lines()} == {clock.wall_ms()}
    newest = anna.audit.lines(limit=2)
    assert [line.id for line in anna.audit.lines(limit=1, before=newest[0].id)] == [newest[1].id]
    assert "mistake" not in repr(anna.audit.lines())


def test_the_audit_is_bounded(anna: Accounts, tmp_path: Path) -> None:
    """As if as many lines as are kept had been written after the first one."""
    with sqlite3.connect(tmp_path / "accounts.db") as other:
        other.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'audit'", (AUDIT_KEPT,))
    other.close()
    assert [line.what for line in anna.audit.lines()] == ["user-added"]
    anna.audit.note(BY, "something")
    assert [line.what for line in anna.audit.lines()] == ["something"]


@pytest.mark.parametrize("damage", [b"this is no database at all, " * 40, None])
def test_a_file_that_cant_be_used_opens_no_door(tmp_path: Path, clock: ManualClock, damage: bytes | None) -> None:
    path = tmp_path / "accounts.db"
    if damage is None:
        with sqlite3.connect(path) as newer:
            newer.execute("PRAGMA user_version = 999")
        newer.close()
    else:
        path.write_bytes(damage)
    before = path.read_bytes()
    accounts = Accounts(path, clock, ROOT, CountingHasher())
    assert accounts.exist()
    assert accounts.by_bearer(ROOT) is not None
    for act in (lambda: accounts.by_cookie("x"), lambda: accounts.sign_in("anna", GOOD, HERE), accounts.users.all):
        with pytest.raises(AccountsUnusable):
            act()
    accounts.close()
    if damage is not None:
        assert path.read_bytes() == before
    assert list(tmp_path.glob("*.corrupt*")) == []


def test_another_process_is_seen_at_once(anna: Accounts, tmp_path: Path) -> None:
    other = Accounts(tmp_path / "accounts.db", ManualClock(), ROOT, CountingHasher())
    session = anna.sign_in("anna", GOOD, HERE)
    other.users.set_password("anna", OTHER, BY)
    other.close()
    assert anna.by_cookie(session) is None
    with pytest.raises(SignInRefused):
        anna.sign_in("anna", GOOD, HERE)
    assert anna.sign_in("anna", OTHER, HERE)
