"""Blocks in memory and on a disk: nothing damaged is given out, and a full disk is survived."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.port import Portion
from models.serving.prefix.disk import Disk
from models.serving.prefix.opened import pool_of
from models.serving.prefix.pool import Pool
from models.serving.prefix.tree import Tree
from models.serving.prefix.writer import Writer
from node.config.schema import Serving

SIZE = 100


def key(path: str) -> bytes:
    return hashlib.sha256(path.encode()).digest()


def keys(path: str) -> list[bytes]:
    return [key(path[: at + 1]) for at in range(len(path))]


def portion(path: str) -> Portion:
    data = path.encode().ljust(SIZE, b".")
    return Portion("model", "layout", len(path) - 1, len(path), False, data, hashlib.sha256(data).hexdigest())


def put(pool: Pool, path: str) -> None:
    pool.put(keys(path), [portion(path[: at + 1]) for at in range(len(path))])


def fill(pool: Pool, path: str) -> None:
    put(pool, path)
    pool.settle()


def disk(folder: Path, blocks: int = 100) -> Disk:
    return Disk(folder, Tree(blocks * SIZE))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=20), st.integers(1, 8), st.booleans())
def test_what_is_found_is_what_was_put(tmp_path_factory, paths, blocks, with_disk):
    folder = tmp_path_factory.mktemp("cache")
    pool = Pool(blocks * SIZE, disk(folder, 5) if with_disk else None)
    for path in paths:
        for place, one in enumerate(keys(path)[: pool.find(keys(path))], 1):
            assert pool.get(one) == portion(path[:place])
        fill(pool, path)
        assert pool.size <= blocks * SIZE
        assert len(list(folder.iterdir())) <= 5


def test_what_memory_has_no_room_for_is_found_on_the_disk_by_the_next_process_too(tmp_path):
    pool = Pool(3 * SIZE, disk(tmp_path))
    for path in ("abc", "xyz"):
        fill(pool, path)
    assert pool.find(keys("abc")) == 3
    assert pool.get(key("abc")) == portion("abc")
    later = Pool(3 * SIZE, disk(tmp_path))
    assert later.longest(keys("abc")) == 3
    assert [later.get(one) for one in keys("abc")] == [portion("a"), portion("ab"), portion("abc")]


def test_the_quota_holds_for_what_an_earlier_process_left(tmp_path):
    pool = Pool(SIZE, disk(tmp_path))
    for path in ("abcd", "wxyz"):
        fill(pool, path)
    assert len(list(tmp_path.glob("*.kv"))) > 3
    assert len(disk(tmp_path, 3).tree) == len(list(tmp_path.glob("*.kv"))) == 3


@pytest.mark.parametrize("spoil", ["noise", "short", "bit", "gone", "renamed"])
def test_garbage_is_dropped_with_what_stands_behind_it(tmp_path, spoil, caplog):
    fill(Pool(0, disk(tmp_path)), "abc")
    victim = tmp_path / f"{key('ab').hex()}.kv"
    whole = victim.read_bytes()
    if spoil == "noise":
        victim.write_bytes(os.urandom(300))
    elif spoil == "short":
        victim.write_bytes(whole[:-7])
    elif spoil == "bit":
        victim.write_bytes(whole[:-1] + b"!")
    elif spoil == "gone":
        victim.unlink()
    else:
        victim.rename(tmp_path / f"{key('q').hex()}.kv")
    pool = Pool(1000, disk(tmp_path))
    assert pool.get(key("a")) == portion("a")
    assert pool.get(key("ab")) is None
    assert pool.longest(keys("abc")) == 1
    assert [path.stem for path in tmp_path.iterdir()] == [key("a").hex()]
    assert ("KF521" in caplog.text) is (spoil != "gone")
    fill(pool, "abc")
    assert pool.longest(keys("abc")) == 3


class Held:
    """A file of a disk that takes nothing until the gate is open, and then refuses as often as it says. Stands in for
    what os.fdopen gives."""

    def __init__(self, file, gate):
        self._file, self._gate = file, gate

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        assert self._gate.wait(20)
        if self._gate.refusals:
            self._gate.refusals -= 1
            raise OSError(28, "No space left on device")
        return self._file.write(data)


@pytest.fixture
def gate(monkeypatch):
    gate, real = threading.Event(), os.fdopen
    gate.refusals = 0
    monkeypatch.setattr(os, "fdopen", lambda *given: Held(real(*given), gate))
    yield gate
    gate.set()


def test_a_disk_that_refuses_is_told_of_once_and_answers_go_on(tmp_path, gate, caplog):
    pool = Pool(SIZE, disk(tmp_path))
    gate.set()
    gate.refusals = 1_000
    for path in ("ab", "cd", "ef"):
        fill(pool, path)
    assert caplog.text.count("KF520") == 1
    assert list(tmp_path.iterdir()) == []
    assert pool.size <= SIZE
    gate.refusals = 0
    fill(pool, "gh")
    assert pool.longest(keys("gh")) == 2
    gate.refusals = 1_000
    fill(pool, "ij")
    assert caplog.text.count("KF520") == 2


def test_nobody_waits_for_a_slow_disk_and_what_it_has_not_taken_yet_is_there(tmp_path, gate):
    pool = Pool(0, disk(tmp_path))
    put(pool, "abc")
    assert not list(tmp_path.glob("*.kv"))
    assert [pool.get(one) for one in keys("abc")] == [portion("a"), portion("ab"), portion("abc")]
    gate.set()
    pool.settle()
    assert len(list(tmp_path.glob("*.kv"))) == 3
    assert [pool.get(one) for one in keys("abc")] == [portion("a"), portion("ab"), portion("abc")]
    pool.close()
    assert disk(tmp_path).tree.longest(keys("abc")) == 3


def test_what_a_disk_refuses_afterwards_is_forgotten_with_all_behind_it(tmp_path, gate, caplog):
    pool = Pool(0, disk(tmp_path))
    put(pool, "abc")
    gate.refusals = 1
    gate.set()
    pool.settle()
    assert pool.longest(keys("abc")) == 0
    pool.settle()
    assert list(tmp_path.iterdir()) == []
    assert caplog.text.count("KF520") == 1
    fill(pool, "abc")
    assert pool.longest(keys("abc")) == 3


def test_no_more_waits_for_a_disk_than_memory_is_kept_for(tmp_path, gate):
    writer = Writer(most_bytes=250)
    tickets = [writer.write(tmp_path / f"{number}.kv", (b"x" * 100,)) for number in range(4)]
    assert tickets == [1, 2, None, None]
    gate.set()
    writer.settle()
    assert {(one.ticket, one.error) for one in writer.done()} == {(1, None), (2, None)}
    assert writer.write(tmp_path / "large.kv", (b"x" * 900,)) is not None, "a single one may be as large as it is"
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.kv", "1.kv", "large.kv"]


def test_a_folder_that_can_not_be_made_leaves_memory(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        pool = Pool(2 * SIZE, disk(tmp_path / "file" / "cache"))
        fill(pool, "abc")
    assert pool.longest(keys("abc")) == 2
    assert caplog.text.count("KF520") == 1


def test_a_process_that_is_killed_while_it_writes_leaves_whole_blocks_only(tmp_path):
    code = f"""
from itertools import count
from pathlib import Path
from tests.models.serving.prefix.test_pool import Pool, disk, put
pool = Pool(0, disk(Path({str(tmp_path)!r}), 10_000))
print("begun", flush=True)
for number in count():
    put(pool, f"{{number:05d}}")
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        while len(list(tmp_path.glob("*.kv"))) < 50:
            assert process.poll() is None
        process.kill()
    (tmp_path / f"{key('half').hex()}.half").write_bytes(b"{")
    found = disk(tmp_path, 10_000)
    assert len(found.tree) >= 50
    assert not list(tmp_path.glob("*.half"))
    for one in list(found.tree):
        assert found.read(one) is not None


def test_two_caches_of_one_state_folder_do_not_share_a_folder(tmp_path):
    settings = Serving(prefix_mb=0, prefix_disk_mb=1)
    one, other = pool_of(tmp_path, settings), pool_of(tmp_path, settings)
    fill(one, "ab")
    assert other.longest(keys("ab")) == 0
    one.close()
    again = pool_of(tmp_path, settings)
    assert again.longest(keys("ab")) == 2
    again.close()
    other.close()
    assert pool_of(tmp_path, Serving()).longest(keys("ab")) == 0
    (tmp_path / "file").touch()
    assert pool_of(tmp_path / "file", settings).longest(keys("ab")) == 0
