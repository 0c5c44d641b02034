"""What is written to serve some phases, and under which number it stands."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge_server.cabinet.ntcip import objects
from edge_server.cabinet.ntcip.controls import NONE, controls
from edge_server.cabinet.ntcip.numbers import Numbers
from protocol.cabinet import Cabinet
from protocol.ids import PhaseId
from tests.edge_server.signals.signal_sites import crossing

NUMBERS = Numbers.of(crossing(), Cabinet(address="here", phases=((PhaseId(12), 2), (PhaseId(14), 4))))
PHASES = st.frozensets(st.sampled_from([PhaseId(one) for one in (2, 4, 6, 8, 12, 14)]))


def test_objects_stand_where_ntcip_1202_puts_them():
    text = {
        objects.status(objects.GREENS, 1): "1.3.6.1.4.1.1206.4.2.1.1.4.1.4.1",
        objects.control(objects.HOLD, 2): "1.3.6.1.4.1.1206.4.2.1.1.5.1.4.2",
        objects.control(objects.PED_CALL, 1): "1.3.6.1.4.1.1206.4.2.1.1.5.1.7.1",
        objects.phase_table(objects.PHASE_CONCURRENCY, 5): "1.3.6.1.4.1.1206.4.2.1.1.2.1.23.5",
        objects.UNIT_BACKUP_TIME: "1.3.6.1.4.1.1206.4.2.1.3.3.0",
        objects.UNIT_FLASH_STATUS: "1.3.6.1.4.1.1206.4.2.1.3.6.0",
        objects.SYSTEM_PATTERN_CONTROL: "1.3.6.1.4.1.1206.4.2.1.4.14.0",
        objects.preempt_state(3): "1.3.6.1.4.1.1206.4.2.1.6.2.1.16.3",
        objects.preempt_control(3): "1.3.6.1.4.1.1206.4.2.1.6.3.1.2.3",
    }
    assert {".".join(map(str, oid)): name for oid, name in text.items()} == {name: name for name in text.values()}


def test_phases_two_and_six_are_the_bits_of_34():
    assert objects.mask({2, 6}, 1) == 34
    assert objects.phases_in({1: 34, 2: 1}) == {2, 6, 9}
    assert list(objects.groups_of({2, 9})) == [1, 2]


def test_a_change_calls_and_holds_what_comes_and_forces_off_what_goes():
    found = controls(NUMBERS, frozenset({PhaseId(4), PhaseId(8), PhaseId(14)}), frozenset({PhaseId(2), PhaseId(6)}))
    assert (found.veh_call, found.ped_call, found.hold) == ({4, 8}, {4}, {4, 8})
    assert (found.force_off, found.omit, found.ped_omit) == ({2, 6}, set(), {2})


def test_what_neither_runs_nor_is_wanted_is_passed_over():
    found = controls(NUMBERS, frozenset({PhaseId(2), PhaseId(6)}), frozenset({PhaseId(2), PhaseId(6)}))
    assert (found.omit, found.force_off, found.hold) == ({4, 8}, set(), {2, 6})


@given(PHASES, PHASES)
def test_nothing_is_both_held_and_ended_or_called_and_omitted(wanted, serving):
    found = controls(NUMBERS, wanted, serving)
    assert not found.hold & found.force_off
    assert not found.veh_call & found.omit
    assert not found.ped_call & found.ped_omit
    assert not found.omit & NUMBERS.running(serving)


def test_letting_go_leaves_nothing_set():
    assert set(NONE.values(range(1, 3)).values()) == {0}
    assert len(NONE.values(range(1, 3))) == 12


def test_numbers_that_differ_are_told():
    numbers = Numbers.of(
        msgspec.structs.replace(crossing()), Cabinet(address="here", phases=((PhaseId(2), 5), (PhaseId(12), 5)))
    )
    assert numbers.running(frozenset({PhaseId(2), PhaseId(12)})) == {5}
    assert numbers.walking(frozenset({PhaseId(2), PhaseId(12)})) == {5}
