"""The outbox against a model: whatever is said, sent, lost, acknowledged, cut or killed, the promises hold."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from node.clock import ManualClock
from node.outbox.entry import Key, Limits
from node.outbox.outbox import Outbox
from node.outbox.queue import Loss
from node.outbox.store import OutboxStore
from protocol.ids import BootId

SHARED_MEMORY = Path("/dev/shm")

LIMITS = Limits(
    window=4,
    telemetry_messages=6,
    telemetry_bytes=10_000,
    spill_messages=3,
    spill_after_ms=1_000,
    delete_messages=3,
    delete_after_ms=1_000,
    resend_ms=500,
    resend_longest_ms=2_000,
    gap_every_ms=100,
    gap_ranges=2,
)


class OutboxMachine(RuleBasedStateMachine):
    """The model is the edge: what reached it, what it acknowledged, and which gaps it was told of."""

    @initialize()
    def begin(self) -> None:
        # In memory where that exists: a kill is played by copying the files, so nothing here depends on a real sync.
        self.root = Path(tempfile.mkdtemp(prefix="outbox-", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
        self.generation = 0
        self.clock = ManualClock()
        self.said: dict[Key, tuple[str, str, bytes]] = {}
        self.stored: set[Key] = set()
        self.gapped: set[Key] = set()
        self.acked_here: set[Key] = set()
        self.never_again: set[Key] = set()
        self.excused: set[Key] = set()
        self.up = False
        self.open()

    def open(self) -> None:
        self.boot = BootId(f"{self.generation:016x}")
        self.seq = 0
        self.acked_here = set()
        self.outbox = Outbox(self.boot, self.clock, OutboxStore(self.path), LIMITS)
        self.outbox.set_link(self.up)

    @property
    def path(self) -> Path:
        return self.root / str(self.generation) / "outbox.db"

    def number(self) -> int:
        self.seq += 1
        return self.seq

    def put(self, delivery: str, topic: str) -> None:
        seq = self.number()
        payload = f"{delivery} {self.boot} {seq}".encode()
        self.said[(self.boot, seq)] = (delivery, topic, payload)
        self.outbox.put(delivery, topic, seq, payload)

    @rule(count=st.integers(1, 4))
    def say_alarms(self, count: int) -> None:
        for _ in range(count):
            self.put("alarm", "alarm")

    @rule(topic=st.sampled_from(["health", "vehicle"]), count=st.integers(1, 3))
    def say_state(self, topic: str, count: int) -> None:
        for _ in range(count):
            self.put("state", topic)

    @rule(count=st.integers(1, 8))
    def say_telemetry(self, count: int) -> None:
        for _ in range(count):
            self.put("telemetry", "observation")

    @rule(count=st.integers(1, 12), lost=st.integers(0, 3))
    def send(self, count: int, lost: int) -> None:
        """The connection takes some messages; the edge gets all but the first few of them."""
        for entry in self.outbox.take(count)[lost:]:
            self.arrive(entry.key, entry.topic, entry.payload)

    @rule(count=st.integers(1, 6))
    def refuse(self, count: int) -> None:
        self.outbox.give_back(self.outbox.take(count))

    def arrive(self, key: Key, topic: str, payload: bytes) -> None:
        assert key not in self.acked_here, f"{key} was acknowledged and is sent again"
        assert key not in self.never_again, f"{key} was acknowledged and deleted on disk, and is sent again"
        if topic == "gap":
            boot, ranges = json.loads(payload)
            self.gapped |= {(boot, seq) for first, last in ranges for seq in range(first, last + 1)}
        else:
            assert self.said[key][1:] == (topic, payload)
        self.stored.add(key)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """Any of what is stored, in any order, again and again."""
        if self.stored:
            for key in data.draw(st.lists(st.sampled_from(sorted(self.stored)), max_size=8)):
                self.outbox.acked(key[0], ((key[1], key[1]),))
                self.acked_here.add(key)

    @rule()
    def acknowledge_what_does_not_exist(self) -> None:
        self.outbox.acked(BootId("f" * 16), ((1, 2**53 - 1),))

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        self.up = up
        self.outbox.set_link(up)

    @rule(milliseconds=st.sampled_from([0, 50, 600, 1_500, 5_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)
        self.tick()

    def tick(self) -> None:
        self.outbox.tick(self.report)

    def report(self, loss: Loss) -> tuple[int, str, bytes]:
        return self.number(), "gap", json.dumps([loss.boot, loss.ranges]).encode()

    @rule()
    def restart_in_good_order(self) -> None:
        self.outbox.close()
        folder = self.path.parent
        self.generation += 1
        shutil.copytree(folder, self.path.parent)
        self.never_again |= self.acked_here
        self.open()

    @rule()
    def killed(self) -> None:
        """kill -9: the next process finds the files as they are at this instant."""
        folder = self.path.parent
        self.generation += 1
        shutil.copytree(folder, self.path.parent)
        self.outbox.close()
        with sqlite3.connect(self.path) as sql:
            rows = set(sql.execute("SELECT boot, seq FROM message"))
            books = {boot: (low, high) for boot, low, high in sql.execute("SELECT boot, low, high FROM boot")}
        sql.close()
        self.never_again |= {key for key in self.acked_here if key not in rows}
        for key, (delivery, _, _) in self.said.items():
            unknown_to_disk = key[1] > books.get(key[0], (0, 0))[1]
            if key[0] == self.boot and delivery != "alarm" and key not in rows and unknown_to_disk:
                self.excused.add(key)
        self.open()

    def teardown(self) -> None:
        """Heal everything, hear everything, and settle the account."""
        if not hasattr(self, "outbox"):
            return
        self.outbox.set_link(True)
        for _ in range(5_000):
            self.clock.advance(1_000)
            self.tick()
            for entry in self.outbox.take(100):
                self.arrive(entry.key, entry.topic, entry.payload)
                self.outbox.acked(entry.boot, ((entry.seq, entry.seq),))
                self.acked_here.add(entry.key)
            metrics = self.outbox.metrics
            if metrics.queued == metrics.in_flight == 0 and not self.outbox.owes_a_report:
                break
        else:
            raise AssertionError("the outbox never came to rest")
        self.outbox.close()
        alarms = {key for key, one in self.said.items() if one[0] == "alarm"}
        assert alarms <= self.stored, f"alarms lost: {alarms - self.stored}"
        unaccounted = set(self.said) - self.stored - self.gapped - self.excused
        assert not unaccounted, f"neither stored nor reported: {unaccounted}"
        shutil.rmtree(self.root)


OutboxMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestOutboxMachine = pytest.mark.timeout(180)(OutboxMachine.TestCase)
