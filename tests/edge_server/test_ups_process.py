"""A real edge server, with a real broker, on a UPS that is not real: the mains go, come back, and go for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.broker.mosquitto import MosquittoBroker
from node.broker.paho_client import PahoClient
from protocol.codec import decode
from protocol.messages import Death
from protocol.topics import PRESENCE
from sim_devices.ups import SimulatedUps
from tests.edge_server.test_edge_server_process import Edge

# Of an unknown charge; the UPS is asked every 2 s.
LOW_AFTER_S = 5


@pytest.fixture
def ups() -> Iterator[SimulatedUps]:
    ups = SimulatedUps().start()
    yield ups
    ups.stop()


@pytest.fixture
def edge(
    tmp_path: Path, repository: Path, mosquitto: MosquittoBroker, free_port: Callable[[], int], ups: SimulatedUps
) -> Iterator[Edge]:
    edge = Edge(tmp_path / "edge", repository, mosquitto.address, free_port())
    edge.home.mkdir()
    # In place of `systemctl poweroff`: writes down the store's log, if there is anything in it by then.
    command = f"sh -c 'find {edge.home} -name edge.db-wal -size +0 > {tmp_path}/down'"
    (edge.home / "kinflow.toml").write_text(
        f'[power]\nsource = "{ups.source}"\nlow_after_s = {LOW_AFTER_S}\nshutdown_command = "{command}"\n'
    )
    yield edge
    edge.kill()


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_mains_that_return_call_it_off_and_a_low_battery_ends_it_in_good_order(
    edge: Edge, ups: SimulatedUps, tmp_path: Path, mosquitto: MosquittoBroker, eventually: Callable[..., None]
) -> None:
    def stands(alarm: str) -> bool:
        return edge.rows(f"SELECT active FROM alarms WHERE alarm = '{alarm}' ORDER BY id DESC LIMIT 1") == [(1,)]

    told: list[object] = []
    listener = PahoClient(mosquitto.address, "listener")
    listener.subscribe(PRESENCE.every(), 1, lambda received: told.append(decode(PRESENCE, received.payload)))
    listener.start()
    process = edge.start()
    eventually(edge.ready, 30)
    ups.battery(None)
    eventually(lambda: stands("power-battery"))
    ups.mains()
    eventually(lambda: not stands("power-battery"))
    # Past the time after which it would have ended, counted in looks, each of two questions and a good-bye every 2 s.
    enough = ups.asked + 3 * (LOW_AFTER_S // 2 + 1)
    eventually(lambda: ups.asked >= enough)
    assert process.poll() is None
    assert not (tmp_path / "down").exists()

    ups.battery(90.0)
    eventually(lambda: stands("power-battery"))
    ups.low()
    assert process.wait(30) == 0
    # The command ran when everything was on the disk.
    assert (tmp_path / "down").read_text() == ""
    assert stands("power-low")
    eventually(lambda: isinstance(told[-1], Death) and told[-1].reason == "shutdown")
    listener.stop()
    assert "Traceback" not in edge.log
