"""Modes, proposals, corridors, ending by hand, the shadow report and the replay, in Chromium. Every test fails on a
console error or warning, a page error, or a request to anybody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from edge_server.signals.events import AdviceChanged, Proposed
from edge_server.store.rows import SignalEntry
from protocol.ids import IntersectionId, PhaseId
from protocol.preemption import PreemptionRules
from protocol.site import Site
from tests.edge_server.dashboard.ambulance import Asking, enter
from tests.edge_server.dashboard.browser import DEADLINE_MS, Served, Watch
from tests.edge_server.dashboard.demo import populate, signals
from tests.edge_server.dashboard.test_dashboard_browser import CONTRAST, NAMELESS
from tests.edge_server.gateway.demo_edge import demo_site
from tests.edge_server.signals.shadow.test_shadow_report import tally

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
expect.set_options(timeout=DEADLINE_MS)

WEST, EAST = IntersectionId("west"), IntersectionId("east")
SMALL = {"width": 360, "height": 780}
OpenPage = Callable[..., Page]


@pytest.fixture
def site() -> Site:
    """A claim outlives a slow browser."""
    return replace(demo_site(), preemption=PreemptionRules(renew_s=60.0, cap_s=180.0, priority_cap_s=90.0, run_s=300.0))


@pytest.fixture(autouse=True)
def vehicles(tmp_path: Path) -> None:
    """They may ask. Entered before the edge server looks."""
    enter(tmp_path)


def row(page: Page, intersection: str) -> object:
    return page.locator(f"[data-steering={intersection}]")


def corridor(page: Page, key: str) -> object:
    return page.locator(f"path.corridor[data-corridor='{key}']")


def test_a_vehicle_s_corridor_runs_over_all_that_it_asks_and_counts_down(served: Served, open_page: OpenPage) -> None:
    ambulance = Asking(served.edge)
    signals(served.edge, 2.0)
    ambulance.ask("west", "west-w", egress=None, arrives_in_ms=6_000)
    ambulance.ask("east", "east-w", arrives_in_ms=90_000)
    page = open_page()
    expect(corridor(page, "west/ambulance-1")).to_have_attribute("data-state", "holds")
    expect(corridor(page, "east/ambulance-1")).to_have_attribute("data-state", "waits")
    claim = page.locator("[data-claim='west/ambulance-1']")
    expect(claim).to_contain_text("ambulance from Mill Street, west; pre-emption, importance 14")
    expect(claim).to_contain_text("edge-1 has the controller's lease")
    countdown = claim.locator(".countdown")
    expect(countdown).to_have_text(re.compile(r"^\d+ s left at most$"))
    first = countdown.text_content()
    expect(countdown).not_to_have_text(first or "")
    expect(page.locator("[data-claim='east/ambulance-1'] .countdown")).to_have_text(re.compile(r"there in \d+ s"))
    expect(page.locator(".corridor-label").first).to_contain_text("ambulance-1")
    ambulance.ask("west", "west-w", "cancel")
    expect(corridor(page, "west/ambulance-1")).to_have_count(0)
    expect(corridor(page, "east/ambulance-1")).to_have_count(1)
    expect(page.locator("#claims")).to_contain_text("The others' turn")


def test_an_operator_ends_and_refuses_by_hand_with_a_reason(served: Served, open_page: OpenPage) -> None:
    first, second = Asking(served.edge), Asking(served.edge, "ambulance-2")
    first.ask("west", "west-w")
    second.ask("west", "west-n", arrives_in_ms=60_000)
    page = open_page()
    page.get_by_role("button", name="Refuse: ambulance-2").click()
    expect(page.get_by_label("Reason", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#form")).to_be_visible()
    page.keyboard.type("not a call of ours")
    page.keyboard.press("Enter")
    expect(page.locator("[data-claim='west/ambulance-2']")).to_have_count(0)
    page.get_by_role("button", name="End: ambulance-1").click()
    page.get_by_label("Reason", exact=True).fill("it stands in the yard")
    page.get_by_role("button", name="End it").click()
    expect(page.locator("[data-claim='west/ambulance-1']")).to_have_count(0)
    assert served.edge.preemption.states[WEST].holder is None
    lines = [(line.what, line.subject, line.detail) for line in served.edge.accounts.audit.lines(5)]
    assert ("preemption-ended", "ambulance-1", "west: it stands in the yard") in lines
    assert ("preemption-ended", "ambulance-2", "west: not a call of ours") in lines


def test_below_act_a_claim_would_hold(served: Served, open_page: OpenPage) -> None:
    served.edge.modes.lower(WEST, "shadow", "anna", "")
    Asking(served.edge).ask("west", "west-w")
    page = open_page()
    expect(page.locator("[data-claim='west/ambulance-1'] .badge")).to_have_text("would hold")
    expect(page.locator("[data-claim='west/ambulance-1']")).to_contain_text("mode shadow: nothing is granted")
    expect(corridor(page, "west/ambulance-1")).not_to_have_class(re.compile("is-held"))


def test_an_admin_raises_a_mode_with_a_reason_and_an_operator_lowers_it(
    served: Served, sign_in: Callable[..., Page]
) -> None:
    served.edge.modes.lower(WEST, "off", "tests", "works on the road")
    page = sign_in("anna")
    expect(row(page, "west").locator(".badge")).to_have_text("off")
    expect(row(page, "west")).to_contain_text("works on the road")
    raising = page.get_by_role("button", name="Raise: Mill Street")
    raising.focus()
    page.keyboard.press("Enter")
    page.get_by_label("Mode", exact=True).select_option("advise")
    page.get_by_label("Reason", exact=True).focus()
    page.keyboard.type("the road is whole again")
    page.keyboard.press("Enter")
    expect(row(page, "west").locator(".badge")).to_have_text("advise")
    expect(row(page, "west")).to_contain_text("the road is whole again")
    assert served.edge.modes.of(WEST).mode == "advise"
    other = sign_in("olga")
    expect(other.get_by_role("button", name="Raise: Mill Street")).to_be_hidden()
    other.get_by_role("button", name="Lower: Mill Street").click()
    other.get_by_label("Mode", exact=True).select_option("off")
    other.locator("#form").get_by_role("button", name="Lower", exact=True).click()
    expect(row(page, "west").locator(".badge")).to_have_text("off")
    viewer = sign_in("victor")
    expect(viewer.get_by_role("button", name="Lower: Mill Street")).to_be_hidden()
    assert [line.what for line in served.edge.accounts.audit.lines(20) if line.what.startswith("mode-")] == [
        "mode-lowered",
        "mode-raised",
    ]


def test_a_proposal_counts_down_is_confirmed_and_expires(served: Served, open_page: OpenPage, watch: Watch) -> None:
    edge = served.edge
    edge.modes.lower(WEST, "advise", "tests", "")
    edge.deciding()

    def wait() -> None:
        """East-west is green, and would stay so; vehicles stand on the north."""
        edge.observe("west-n", 0.9, count=None)
        for side in "esw":
            edge.observe(f"west-{side}", 0.0, count=None)
        edge.heartbeat("west", {2: "red", 4: "green", 12: "red"}, control="local", elapsed_ms=20_000)
        edge.service.tick()

    page = open_page()
    box = row(page, "west").locator(".proposal")
    for _ in range(60):
        wait()
        page.wait_for_timeout(200)
        if box.is_visible():
            break
    expect(box).to_contain_text("Serve North-south")
    expect(box.locator(".countdown")).to_have_text(re.compile(r"\d+ s left to decide"))
    assert edge.sent == []
    wait()
    page.get_by_role("button", name="Confirm: Mill Street").click()
    expect(box).to_contain_text("Serving North-south")
    expect(box.locator(".countdown")).to_have_text(re.compile(r"confirmed, \d+ s left at most"))
    assert edge.sent[-1].phases == (2,)
    page.get_by_role("button", name="Decline: Mill Street").click()
    expect(box).to_be_hidden()
    # One that is over by the server's clock is not offered, whatever was heard last.
    gone = Proposed(
        id="ns-1",
        stage="ns",
        phases=(PhaseId(2),),
        controller="kinflow",
        reason="a queue",
        ends_ms=edge.clock.wall_ms() + 1_500,
        confirmed=False,
    )
    edge.bus.publish(AdviceChanged(intersection=EAST, proposal=gone))
    late = row(page, "east").locator(".proposal")
    expect(late).to_be_visible()
    watch.refused = True
    page.get_by_role("button", name="Confirm: Station Road").click()
    expect(late.locator(".error")).to_contain_text("no such proposal")
    expect(late).to_be_hidden()


def test_the_shadow_report_stands_beside_the_real_controller(served: Served, open_page: OpenPage) -> None:
    served.edge.shadow._peek = lambda: {WEST: ("kinflow", tally())}
    page = open_page()
    card = page.locator("#shadow-card")
    expect(card.locator("#shadow-facts")).to_contain_text("50 % of the time")
    delay = card.locator("#shadow-rows tr").first
    expect(delay).to_contain_text("20.0 s")
    expect(delay).to_contain_text("15.0 s")
    expect(card.locator("#shadow-rows")).to_contain_text("Green, North-south")
    expect(card).to_contain_text("a point queue on each lane")
    expect(card.locator("#shadow-hours tr")).to_have_count(1)


def test_an_event_is_replayed_step_by_step_by_keyboard(served: Served, open_page: OpenPage, tmp_path: Path) -> None:
    edge, ambulance = served.edge, Asking(served.edge)
    now_ms = edge.clock.wall_ms()
    folder = tmp_path / "hires"
    folder.mkdir()

    def lamp(at_ms: int, code: int, phase: int) -> str:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        stamp = at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
        with (folder / f"{stamp[:10]}.csv").open("a") as file:
            file.write(f"1,{stamp},{code},{phase}\n")
        return stamp

    lamp(now_ms - 20_000, 10, 2)
    lamp(now_ms - 15_000, 1, 4)
    ambulance.ask("west", "west-n", "request")
    began_ms = edge.clock.wall_ms()
    entry = {"intersection": WEST, "controller": "preemption", "phases": (2,), "outcome": "commanded"}
    edge.context.write.append_signal(SignalEntry(at_ms=began_ms + 1, reason="a lease for ambulance", **entry))
    page = open_page()
    page.wait_for_timeout(50)
    lamp(edge.clock.wall_ms(), 8, 4)
    page.wait_for_timeout(50)
    ambulance.ask("west", "west-n", "cancel")
    page.get_by_role("button", name="Look again").click()
    expect(page.locator("#replay-choice option")).to_have_count(1)
    page.reload()
    text = page.locator("#replay-text")
    expect(text).to_have_text(re.compile("^ambulance-1 asks from west-n"))
    lamps = page.locator("#replay-lamps .phase")
    expect(lamps.nth(1)).to_have_attribute("data-aspect", "green")
    expect(lamps.nth(2)).to_have_attribute("data-aspect", "unknown")
    expect(page.locator("#replay-claims")).to_contain_text("ambulance-1 holds")
    page.locator("#replay-step").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#replay-kind")).to_have_text("decision")
    expect(page.locator("#replay-commanded")).to_contain_text("preemption commands 2: a lease for ambulance")
    page.keyboard.press("ArrowRight")
    expect(text).to_have_text("phase 4 shows yellow")
    expect(lamps.nth(1)).to_have_attribute("data-aspect", "yellow")
    page.get_by_role("button", name="Step forward").click()
    expect(text).to_contain_text("ambulance-1 says that it has passed")
    expect(page.locator("#replay-claims")).to_contain_text("The others' turn")
    page.get_by_role("button", name="Step back").click()
    page.get_by_role("button", name="Step back").click()
    expect(lamps.nth(1)).to_have_attribute("data-aspect", "green")
    page.get_by_role("button", name="Play").click()
    expect(text).to_contain_text("ambulance-1 says that it has passed")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_works_on_a_phone_and_can_be_read(served: Served, open_page: OpenPage, scheme: str) -> None:
    edge = served.edge
    populate(edge)
    signals(edge, 2.0)
    edge.modes.lower(EAST, "advise", "anna", "the new crossing is being watched by the engineers of the town")
    edge.shadow._peek = lambda: {EAST: ("kinflow", tally())}
    Asking(edge).ask("west", "west-w")
    Asking(edge, "ambulance-2").ask("west", "west-n", arrives_in_ms=60_000)
    edge.preemption.higher(EAST, "line-4", "railway", active=True)
    edge.preemption.flush()
    one = Proposed(
        id="ns-1",
        stage="ns",
        phases=(PhaseId(2),),
        controller="max-pressure",
        reason="32 vehicles wait, six of them on the side road, for the longest time of all",
        ends_ms=edge.clock.wall_ms() + 60_000,
        confirmed=False,
    )
    edge.bus.publish(AdviceChanged(intersection=EAST, proposal=one))
    page = open_page(viewport=SMALL, color_scheme=scheme)
    expect(page.locator("[data-claim='west/ambulance-1']")).to_be_visible()
    expect(page.locator("#claims")).to_contain_text("A railway crossing")
    expect(row(page, "east").locator(".proposal")).to_be_visible()
    expect(page.locator("#shadow-facts")).to_be_visible()
    expect(page.locator("#replay-text")).not_to_be_empty()
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    small = page.evaluate(
        "() => [...document.querySelectorAll('button, select, input')].filter(one => one.offsetParent"
        " && one.getBoundingClientRect().height < 24).map(one => one.outerHTML)"
    )
    assert small == []
    assert page.evaluate(CONTRAST)["poor"] == []
    found = page.evaluate(NAMELESS)
    assert (found["wrong"], found["twice"], found["references"]) == ([], [], [])
