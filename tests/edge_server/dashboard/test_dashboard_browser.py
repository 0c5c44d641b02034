"""The dashboard in Chromium, over the real gateway and the real store. Every test fails on a console error or warning,
a page error, or a request to anybody else (see browser.Watch)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from edge_server.events import DiskStage
from protocol.site import Site
from tests.edge_server.dashboard.browser import DEADLINE_MS, PHONE, Served, Watch
from tests.edge_server.dashboard.demo import populate, signals
from tests.edge_server.gateway.demo_edge import EMPTY_SITE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]
expect.set_options(timeout=DEADLINE_MS)

OpenPage = Callable[..., Page]


def road(page: Page, approach: str) -> object:
    return page.locator(f"path.road[data-approach={approach}]")


def row(page: Page, approach: str) -> object:
    return page.locator(f"#approaches tr[data-approach={approach}]")


def test_what_is_known_is_shown(served: Served, open_page: OpenPage) -> None:
    populate(served.edge)
    signals(served.edge, 2.0)
    page = open_page()
    expect(road(page, "west-w")).to_have_attribute("data-shown", re.compile("dense|jam"))
    expect(row(page, "west-n")).to_contain_text("free")
    expect(page.locator("#tile-devices")).to_contain_text("6 of 6 online")
    expect(page.locator("#devices tr[data-device=pi-1]")).to_contain_text("running")
    expect(page.locator("#devices tr[data-device=pi-4]")).to_contain_text("no frame for 8 s")
    expect(page.locator("#alarms")).to_contain_text("A vehicle drives against the traffic.")
    expect(page.locator("#events")).to_contain_text("pi-4 joined")
    expect(page.locator("#site-name")).to_have_text("Demo city · simulated")
    expect(page.locator("#camera-view svg .queue").first).to_have_attribute("d", re.compile("^M"))
    expect(page.locator("#history canvas")).to_be_visible()


def test_an_update_changes_colour_label_and_list(served: Served, open_page: OpenPage) -> None:
    served.edge.observe("west-n", 0.1)
    page = open_page()
    expect(road(page, "west-n")).to_have_attribute("data-shown", "free")
    free = road(page, "west-n").evaluate("path => getComputedStyle(path).stroke")
    served.edge.observe("west-n", 0.95)
    expect(road(page, "west-n")).to_have_attribute("data-shown", "jam")
    expect(page.locator(".road-label span.is-jam")).to_have_text("jam 0.95")
    expect(row(page, "west-n")).to_contain_text("0.95")
    page.wait_for_function(
        "free => getComputedStyle(document.querySelector('path.road[data-approach=west-n]')).stroke !== free", arg=free
    )
    assert road(page, "west-n").evaluate("path => getComputedStyle(path).strokeDasharray") != "none"


def test_an_unsure_figure_is_paler(served: Served, open_page: OpenPage) -> None:
    served.edge.observe("west-n", 0.5, spread=0.02)
    served.edge.observe("west-s", 0.5, spread=0.4)
    page = open_page()
    expect(road(page, "west-s")).to_have_attribute("data-shown", "dense")
    opacity = "path => Number(getComputedStyle(path).strokeOpacity)"
    assert road(page, "west-s").evaluate(opacity) < road(page, "west-n").evaluate(opacity) - 0.2


def test_what_nobody_sees_is_never_free(served: Served, open_page: OpenPage) -> None:
    served.edge.observe("west-n", None, status="learning")
    served.edge.observe("west-e", 0.05, status="blind")
    page = open_page()
    expect(road(page, "west-n")).to_have_attribute("data-shown", "learning")
    expect(row(page, "west-n")).to_contain_text("learning the empty road")
    expect(road(page, "west-e")).to_have_attribute("data-shown", "blind")
    expect(road(page, "west-s")).to_have_attribute("data-shown", "none")
    expect(page.locator("path.road.is-free")).to_have_count(1)  # the legend's own
    page.locator("#approach-choice").select_option("west-n")
    expect(page.locator("#approach-class")).to_have_text("learning")
    expect(page.locator("#approach-index")).to_have_text("–")
    expect(page.locator("#approach-interval")).to_contain_text("0.00 and 1.00")
    expect(page.locator("#wrong-class")).to_be_disabled()


def test_a_head_shows_its_aspect_and_who_steers(served: Served, open_page: OpenPage) -> None:
    served.edge.heartbeat("west", {2: "red", 4: "green", 12: "walk"})
    page = open_page()
    head = page.locator(".heads[data-approach=west-n] .head")
    expect(head).to_have_attribute("data-aspect", "red")
    expect(page.locator("#signals [data-signal=west] .badge")).to_have_text("Edge · edge-1 · epoch 3")
    served.edge.heartbeat("west", {2: "green", 4: "red", 12: "red"}, control="local")
    expect(head).to_have_attribute("data-aspect", "green")
    expect(page.locator(".control[data-intersection=west]")).to_have_attribute("data-control", "local")
    expect(page.locator("#signals [data-signal=west] .badge")).to_have_text("Local plan")
    expect(page.locator("#signals [data-signal=west] [data-phase='2']")).to_have_attribute(
        "aria-label", "North-south: green"
    )
    served.edge.command("west", (2,), "queue of 40 m waits")
    served.edge.heartbeat("west", {2: "green", 4: "red"})
    expect(page.locator("#signals [data-signal=west] .why")).to_have_text("queue of 40 m waits")
    expect(page.locator(".control[data-intersection=east]")).to_have_attribute("data-control", "unknown")


def test_a_vehicle_moves(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    served.edge.vehicle("ambulance-1", 0, 0)
    vehicle = page.locator("[data-vehicle=ambulance-1]")
    expect(vehicle).to_be_visible()
    before = vehicle.evaluate("node => node.style.transform")
    served.edge.vehicle("ambulance-1", 60, 0)
    page.wait_for_function(
        "before => document.querySelector('[data-vehicle=ambulance-1]').style.transform !== before", arg=before
    )


def test_offline_is_said_and_ends_by_itself(served: Served, open_page: OpenPage, watch: Watch) -> None:
    served.edge.observe("west-n", 0.1)
    page = open_page()
    expect(road(page, "west-n")).to_have_attribute("data-shown", "free")
    watch.offline = True
    served.stop()
    expect(page.locator("#banner")).to_be_visible()
    expect(page.locator("#banner-text")).to_contain_text("No word from the server since")
    expect(page.locator("body")).to_have_class("offline")
    expect(page.locator("#link-text")).to_have_text("Offline")
    expect(road(page, "west-n")).to_have_attribute("data-shown", "stale")
    served.start()
    served.edge.observe("west-n", 0.9)
    page.locator("#retry").click()
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    watch.offline = False
    expect(page.locator("#banner")).to_be_hidden()
    expect(road(page, "west-n")).to_have_attribute("data-shown", "jam")


def test_a_lost_broker_is_said(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    served.edge.link(False)
    expect(page.locator("#banner-text")).to_contain_text("lost its broker")
    served.edge.link(True)
    expect(page.locator("#banner")).to_be_hidden()


def test_a_disk_that_fills_is_told_on_the_banner(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    for stage, words in (
        ("very-low", "alarms are stored, readings are not (7 readings were not stored)"),
        ("full", "alarms use the last reserve"),
    ):
        served.edge.bus.publish(DiskStage(stage=stage, free_mb=3.0, given_up=7))
        expect(page.locator("#banner-text")).to_contain_text(words)
    served.edge.bus.publish(DiskStage(stage="ok", free_mb=900.0, given_up=7))
    expect(page.locator("#banner")).to_be_hidden()


def test_a_false_alarm_is_marked_listed_and_withdrawn(served: Served, open_page: OpenPage) -> None:
    served.edge.alarm("wrong-way", "west-e", "critical", "A vehicle drives against the traffic.")
    page = open_page()
    expect(page.locator("#tile-alarms")).to_contain_text("1 critical")
    page.get_by_role("button", name="Mark as false alarm").click()
    page.get_by_label("Note (optional)").fill("a cyclist")
    page.get_by_role("button", name="Mark as false", exact=True).click()
    expect(page.locator("#corrections")).to_contain_text("False alarm: wrong way, west-e")
    expect(page.locator("#corrections")).to_contain_text("a cyclist")
    expect(page.locator("#tile-alarms")).to_contain_text("None standing")
    (kept,) = served.edge.context.read.corrections()
    assert (kept.mistake, kept.note, kept.source) == ("false-alarm", "a cyclist", "pi-1")
    page.get_by_role("button", name="Delete correction").click()
    expect(page.locator("#corrections .correction")).to_have_count(0)
    expect(page.locator("#tile-alarms")).to_contain_text("1 critical")
    assert served.edge.context.read.corrections() == []


def test_a_wrong_class_keeps_what_was_shown(served: Served, open_page: OpenPage) -> None:
    served.edge.observe("west-n", 0.95)
    page = open_page()
    expect(page.locator("#approach-class")).to_have_text("jam")
    page.locator("#wrong-class").click()
    dialog = page.get_by_role("dialog", name="Mark a wrong class")
    expect(dialog.get_by_label("jam")).to_be_disabled()
    served.edge.observe("west-n", 0.3)
    dialog.get_by_label("slow").check()
    dialog.get_by_role("button", name="Save correction").click()
    expect(page.locator("#corrections")).to_contain_text("jam was really slow")
    (kept,) = served.edge.context.read.corrections()
    assert (kept.said, kept.congestion, kept.approach, kept.camera) == ("jam", "slow", "west-n", "cam-west-n")


def test_a_critical_alarm_is_spoken_once(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("#spoken")).to_have_attribute("role", "alert")
    served.edge.alarm("wrong-way", "west-e", "critical", "A vehicle drives against the traffic.")
    expect(page.locator("#spoken")).to_have_text("Critical alarm, west-e: A vehicle drives against the traffic.")
    expect(page).to_have_title("(1) Kinflow")
    served.edge.alarm("wrong-way", "west-e", "critical", "It is gone.", active=False)
    expect(page).to_have_title("Kinflow")


def test_the_log_is_filtered(served: Served, open_page: OpenPage) -> None:
    served.edge.log("device-joined", "pi-1 joined")
    served.edge.log("camera-stalled", "cam-west-n gives no frames", "warning")
    page = open_page()
    expect(page.locator("#events .event")).to_have_count(2)
    page.get_by_label("Severity").select_option("warning")
    expect(page.locator("#events .event")).to_have_count(1)
    page.get_by_label("Severity").select_option("info")
    page.get_by_label("Filter by words").fill("JOINED")
    expect(page.locator("#events .event")).to_have_text([re.compile("pi-1 joined")])
    page.get_by_label("Filter by words").fill("nothing like this")
    expect(page.locator("#events")).to_contain_text("Nothing in the log matches")


def test_the_page_is_used_by_keyboard(served: Served, open_page: OpenPage) -> None:
    served.edge.observe("west-n", 0.9)
    served.edge.observe("east-n", 0.1)
    page = open_page()
    expect(page.locator("#approach-class")).to_have_text("jam")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "() => { const one = document.activeElement;"
            " return [one.id || one.textContent.trim(), getComputedStyle(one).outlineStyle]; }"
        )
        reached.append(name)
        assert outline != "none", f"no visible focus on {name}"
        if name == "Station Road, north":
            break
    assert {"fit", "approach-choice", "wrong-class", "history-range"} <= set(reached)
    page.keyboard.press("Enter")
    expect(page.locator("#approach-choice")).to_have_value("east-n")
    page.locator("#wrong-class").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator("#wrong-class")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_one_way_only(served: Served, open_page: OpenPage, scheme: str) -> None:
    populate(served.edge)
    page = open_page(viewport=PHONE, color_scheme=scheme)
    expect(page.locator("#devices tr[data-device=pi-4]")).to_be_attached()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    small = page.evaluate(
        "() => [...document.querySelectorAll('button, select, input')].filter(one => one.offsetParent"
        " && one.getBoundingClientRect().height < 24).map(one => one.textContent)"
    )
    assert small == []


def test_the_theme_is_chosen_and_remembered(served: Served, open_page: OpenPage) -> None:
    page = open_page(color_scheme="light")
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(background) != light
    page.reload()
    page.wait_for_selector("#link[data-state=live]")
    assert page.evaluate(background) != light
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest("svg, .unseen, :disabled")) continue;
    seen++;
    const style = getComputedStyle(node);
    const [a, b] = [luminance(rgba(style.color)), luminance(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 600);
    if (ratio < (large ? 3 : 4.5)) poor.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return { seen, poor };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_meets_wcag_aa(served: Served, open_page: OpenPage, scheme: str) -> None:
    """WCAG 2.2, success criterion 1.4.3: 4.5 to 1, and 3 to 1 for large text."""
    populate(served.edge)
    signals(served.edge, 2.0)
    page = open_page(color_scheme=scheme)
    expect(page.locator("#devices tr[data-device=pi-4]")).to_be_visible()
    expect(page.locator("#alarms .alarm")).to_have_count(3)
    found = page.evaluate(CONTRAST)
    assert found["seen"] > 80
    assert found["poor"] == []


NAMELESS = """() => {
  const named = (one) => (one.getAttribute("aria-label") || one.textContent.trim() || one.title
    || [...(one.labels ?? [])].map((label) => label.textContent.trim()).join("")
    || (one.getAttribute("aria-labelledby") ?? "").split(" ")
      .map((id) => document.getElementById(id)?.textContent).join(""));
  const wanted = "button, a[href], select, input, [role=img], [role=region], [role=dialog], dialog, section, svg[role]";
  const wrong = [...document.querySelectorAll(wanted)].filter((one) => !named(one))
    .map((one) => one.outerHTML.slice(0, 90));
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
  const references = [...document.querySelectorAll("[aria-labelledby]")]
    .flatMap((one) => one.getAttribute("aria-labelledby").split(" ")).filter((id) => !document.getElementById(id));
  const labels = [...document.querySelectorAll("label[for]")].filter((one) => !document.getElementById(one.htmlFor));
  const heads = [...document.querySelectorAll("th")].filter((one) => !one.scope).length;
  return { wrong, twice, references, labels: labels.length, heads, lang: document.documentElement.lang,
           mains: document.querySelectorAll("main").length, h1: document.querySelectorAll("h1").length };
}"""


def test_everything_has_a_name_and_a_role(served: Served, open_page: OpenPage) -> None:
    populate(served.edge)
    signals(served.edge, 2.0)
    page = open_page()
    expect(page.locator("#devices tr[data-device=pi-4]")).to_be_visible()
    found = page.evaluate(NAMELESS)
    nothing: list[str] = []
    assert found == {
        "wrong": nothing,
        "twice": nothing,
        "references": nothing,
        "labels": 0,
        "heads": 0,
        "lang": "en",
        "mains": 1,
        "h1": 1,
    }


def test_text_from_a_device_is_never_markup(served: Served, open_page: OpenPage) -> None:
    evil = "<img src=x onerror=alert(1)><b>bold</b>"
    served.edge.join("pi-9", name=evil, cameras=(("cam-west-n", "west-n"),))
    served.edge.alarm("wrong-way", "west-e", "warning", evil)
    served.edge.log("device-joined", evil)
    page = open_page()
    expect(page.locator("#alarms")).to_contain_text(evil)
    expect(page.locator("#devices")).to_contain_text(evil)
    expect(page.locator("#events")).to_contain_text(evil)
    assert page.locator("main img, main b").count() == 0


def test_a_page_left_open_stays_bounded(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    for i in range(700):
        served.edge.log("device-joined", f"line {i}")
    expect(page.locator("#events")).to_contain_text("line 699")
    assert page.locator("#events .event").count() <= 200


class TestNothingYet:
    @pytest.fixture
    def site(self) -> Site:
        return EMPTY_SITE

    def test_blank_states_say_what_to_do(self, open_page: OpenPage) -> None:
        page = open_page()
        expect(page.locator("#map-blank")).to_contain_text("site.toml")
        expect(page.locator("#devices-blank")).to_contain_text("kinflow agent run")
        expect(page.locator("#approaches-blank")).to_contain_text("No approaches yet")
        expect(page.locator("#alarms")).to_contain_text("No alarms")
        expect(page.locator("#tile-devices")).to_contain_text("None yet")

    def test_a_camera_without_a_site_is_shown_in_words(self, served: Served, open_page: OpenPage) -> None:
        page = open_page()
        served.edge.observe("car-park", 0.6)
        expect(row(page, "car-park")).to_contain_text("dense")
        expect(page.locator("#approach-class")).to_have_text("dense")
        expect(page.locator("#camera-view svg")).to_be_visible()
