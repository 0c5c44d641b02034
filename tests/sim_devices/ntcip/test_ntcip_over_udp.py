"""SNMPv3 over UDP on loopback: keys that are right and wrong, and what a person is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.security import Security, User
from edge_server.cabinet.ntcip.snmp import UdpSnmp
from edge_server.cabinet.ntcip.survey import survey
from edge_server.errors import CabinetRefused, CabinetUnreachable
from node.clock import SystemClock
from sim_devices.errors import SimulatedAgentFailed
from sim_devices.ntcip import core
from sim_devices.ntcip.agent import SimulatedNtcipController
from sim_devices.ntcip.card import Card
from tests.sim_devices.cabinet.benches import DESCRIBED, SECURITY, USER, ntcip_crossing

HOLD = objects.control(objects.HOLD, 1)
CARD = Card.of(ntcip_crossing(), DESCRIBED)


@pytest.fixture(scope="module")
def agent() -> Iterator[SimulatedNtcipController]:
    agent = SimulatedNtcipController(CARD, SECURITY, USER, SystemClock())
    yield agent
    agent.stop()


@pytest.fixture(scope="module")
def snmp(agent) -> Iterator[UdpSnmp]:
    snmp = UdpSnmp("127.0.0.1", agent.port, SECURITY, USER)
    yield snmp
    snmp.close()


def asked(agent, security: Security, user: User):
    snmp = UdpSnmp("127.0.0.1", agent.port, security, user)
    try:
        return snmp.get([objects.MAX_PHASES])
    finally:
        snmp.close()


def test_it_is_read_and_written(agent, snmp):
    many = [objects.phase_table(column, phase) for phase in (2, 4, 6, 8) for column in range(1, 24)]
    assert len(snmp.get(many)) == len(many)
    assert snmp.get([objects.SYS_DESCR, (1, 3, 6, 1, 99, 0)]) == {
        objects.SYS_DESCR: "Kinflow simulated NTCIP 1202 controller",
        (1, 3, 6, 1, 99, 0): None,
    }
    snmp.set({HOLD: 34, objects.control(objects.VEH_CALL, 1): 34})
    assert agent.state.columns[objects.HOLD] == {2, 6}
    assert snmp.get([HOLD]) == {HOLD: 34}
    assert survey(snmp, ntcip_crossing(), DESCRIBED).fault is None


def test_a_message_is_taken_whole_or_not_at_all(agent, snmp):
    before = agent.state.columns.get(objects.PED_OMIT)
    with pytest.raises(CabinetRefused, match="only be read"):
        snmp.set({objects.control(objects.PED_OMIT, 1): 255, objects.UNIT_BACKUP_TIME: 0})
    assert agent.state.columns.get(objects.PED_OMIT) == before


@pytest.mark.parametrize(
    ("user", "security", "words"),
    [
        (User("kinflow", "another key 1", "a privacy key"), SECURITY, "authentication key"),
        (User("kinflow", "an authentication key", "another key 2"), SECURITY, "privacy key"),
        (User("nobody", "an authentication key", "a privacy key"), SECURITY, "no such user"),
        (USER, Security("v3", "sha-256", "none"), "security level"),
    ],
)
def test_who_is_wrong_is_told_why_and_no_key_is_shown(agent, user, security, words):
    with pytest.raises(CabinetRefused, match=words) as caught:
        asked(agent, security, user)
    assert "key 1" not in str(caught.value)
    assert "privacy key 2" not in str(caught.value)


def test_an_agent_that_speaks_v3_alone_is_silent_to_v2c(agent):
    with pytest.raises(CabinetUnreachable, match="no answer"):
        asked(agent, Security("v2c", "none", "none"), User("public"))


def test_nobody_at_the_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        snmp = UdpSnmp("127.0.0.1", taken.getsockname()[1], SECURITY, USER)
        with pytest.raises(CabinetUnreachable):
            snmp.get([objects.MAX_PHASES])
        snmp.close()


def test_a_dead_one_and_one_that_was_replaced_are_found_again(agent, snmp):
    agent.spoil("dead")
    with pytest.raises(CabinetUnreachable):
        snmp.get([objects.MAX_PHASES])
    agent.spoil(None)
    assert snmp.get([objects.MAX_PHASES]) == {objects.MAX_PHASES: 8}


def test_a_new_agent_at_the_same_address_is_spoken_to(monkeypatch):
    first = SimulatedNtcipController(CARD, SECURITY, USER, None)
    snmp = UdpSnmp("127.0.0.1", first.port, SECURITY, USER)
    try:
        assert snmp.get([objects.MAX_PHASES]) == {objects.MAX_PHASES: 8}
        first.stop()
        second = SimulatedNtcipController(CARD, SECURITY, USER, None, port=first.port)
        try:
            monkeypatch.setattr("edge_server.cabinet.ntcip.snmp.ANEW_S", 0.0)
            with pytest.raises(CabinetUnreachable):
                snmp.get([objects.MAX_PHASES])
            assert snmp.get([objects.MAX_PHASES]) == {objects.MAX_PHASES: 8}
        finally:
            second.stop()
    finally:
        snmp.close()
        first.stop()


def test_a_port_that_is_taken(agent):
    with pytest.raises(SimulatedAgentFailed):
        SimulatedNtcipController(CARD, SECURITY, USER, None, port=agent.port)


def test_v2c_where_it_is_forced():
    weak = Security("v2c", "none", "none")
    agent = SimulatedNtcipController(CARD, weak, User("bench"), None)
    try:
        assert asked(agent, weak, User("bench")) == {objects.MAX_PHASES: 8}
        agent.change(lambda state: core.advance(state, 100))
    finally:
        agent.stop()
