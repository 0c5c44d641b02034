"""The sockets behind a doorman: what each visit takes of the process, and gives back."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from node.door.doorman import Limits
from node.door.listener import SELECTABLE, Door


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def watched(door: Door, opened: ExitStack) -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    made = opened.enter_context(door.watch(listening))
    made.settimeout(0.5)
    return made


def test_a_visit_leaves_the_low_numbers_of_files_to_what_waits_by_select(opened: ExitStack) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= SELECTABLE + 10:
        pytest.skip("so many files may not be opened here")
    door = Door()
    listening = watched(door, opened)
    with socket.create_connection(listening.getsockname()) as guest, listening.accept()[0] as visit:
        assert visit.fileno() >= SELECTABLE
        assert not visit.get_inheritable()
        visit.sendall(b"welcome")
        assert guest.recv(7) == b"welcome"
        peer = guest.getsockname()
        assert door.find(peer) is visit
        assert len(door.doorman) == 1
    assert len(door.doorman) == 0
    assert door.find(peer) is None


def test_who_is_not_let_in_learns_it_at_once(opened: ExitStack) -> None:
    door = Door(Limits(at_once=1))
    listening = watched(door, opened)
    with socket.create_connection(listening.getsockname()), listening.accept()[0]:
        late = opened.enter_context(socket.create_connection(listening.getsockname(), 10))
        with pytest.raises(TimeoutError):
            listening.accept()
        with suppress(ConnectionResetError):
            assert late.recv(1) == b""
        assert len(door.doorman) == 1
