"""The written rules in the site file: the page's example is the default, and nonsense is a fault."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from protocol.preemption import ROLES, PreemptionRules
from protocol.site_check import faults
from tests.edge_server.signals.signal_sites import site

PAGE = (Path(__file__).parents[4] / "docs" / "preemption.md").read_text("utf-8")


def test_the_example_on_the_page_is_what_holds_without_any():
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    assert msgspec.convert(msgspec.toml.decode(example)["preemption"], PreemptionRules) == PreemptionRules()


def test_every_refusal_and_every_status_is_on_the_page():
    from edge_server.signals.preemption.refusals import CODES  # noqa: PLC0415
    from protocol.messages.priority_status import PriorityAnswer  # noqa: PLC0415

    for refusal, code in CODES.items():
        assert re.search(rf"`{refusal}`.*\[{code}\]", PAGE), refusal
    for status in PriorityAnswer.__args__:
        assert f"| `{status}` |" in PAGE


@pytest.mark.parametrize(
    "rules",
    [
        PreemptionRules(renew_s=60),
        PreemptionRules(renew_s=15),
        PreemptionRules(run_s=59),
        PreemptionRules(roles=(*ROLES, ROLES[0])),
    ],
)
def test_rules_that_contradict_themselves_are_a_fault(rules):
    assert faults(site()) == ()
    assert len(faults(replace(site(), preemption=rules))) == 1
