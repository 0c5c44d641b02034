"""docs/users/dashboard.md from top to bottom, in Chromium: every name that stands in bold there is found on the page by
that name, and pressed, typed into or read, in the page's order, by an operator."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from edge_server.accounts.rows import Actor
from node.trust.csr import make_csr
from node.trust.join_code import decode
from node.trust.keys import fingerprint, new_key, spki_digest
from node.trust.wire import JoinAsk
from protocol.ids import DeviceId
from tests.docs.user_page import USERS
from tests.edge_server.dashboard.browser import DEADLINE_MS, DESK, Served, Watch
from tests.edge_server.dashboard.demo import populate
from tests.edge_server.gateway.demo_edge import DemoEdge

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
expect.set_options(timeout=DEADLINE_MS)

NAMES = re.findall(r"\*\*(.+?)\*\*", (USERS / "dashboard.md").read_text("utf-8"))
PASSWORD, OTHER = "four words nobody joins", "another four such words"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    edge = DemoEdge(tmp_path)
    populate(edge)
    edge.accounts.users.add("anna", "admin", PASSWORD, Actor("tests"))
    edge.accounts.users.add("olga", "operator", PASSWORD, Actor("tests"))
    served = Served(edge)
    yield served
    served.stop()
    edge.close()


class Person:
    """What an operator does at each name of the page."""

    def __init__(self, page: Page, served: Served, watch: Watch) -> None:
        self.page, self.served, self.watch = page, served, watch
        self._key = ""

    def press(self, name: str | re.Pattern[str], exact: bool = True) -> None:
        self.page.get_by_role("button", name=name, exact=exact).first.click()

    def meet(self, name: str) -> None:
        steps: dict[str, Callable[[], object]] = {
            "Name": lambda: self.page.get_by_label("Name").fill("olga"),
            "Password": lambda: self.page.get_by_label("Password").fill(PASSWORD),
            "Sign in": self._sign_in,
            "Approaches": lambda: self._tile("approaches"),
            "Signals": lambda: self._tile("signals"),
            "Devices": lambda: self._tile("devices"),
            "Alarms": lambda: self._tile("alarms"),
            "City": lambda: expect(self.page.locator("path.road[data-approach=west-w]")).to_have_count(1),
            "Approach shown": self._choose,
            "Time shown": lambda: self.page.get_by_label("Time shown").select_option("3600"),
            "Vehicles with priority": lambda: expect(self.page.get_by_role("heading", name=name)).to_be_visible(),
            "Steering": lambda: expect(self.page.locator('[data-steering="west"] .badge')).to_have_text("act"),
            "Shadow report": lambda: expect(self.page.get_by_role("heading", name=name)).to_be_visible(),
            "Replay of a pre-emption": lambda: expect(self.page.get_by_role("heading", name=name)).to_be_visible(),
            "Lower": self._lower,
            "Event log": lambda: expect(self.page.locator("#events")).to_contain_text("pi-4 joined"),
            "Filter by words": self._filter,
            "False alarm": self._false_alarm,
            "Mark as false": self._mark,
            "Mark wrong class": self._mark_class,
            "Save correction": lambda: self._press_and_see(name, "was really free"),
            "Delete correction": self._delete,
            "Devices joining": lambda: expect(self.page.get_by_role("heading", name=name)).to_be_visible(),
            "Make": self._make,
            "Approve": lambda: self.press("Approve: cam-new"),
            "Let it in": self._let_in,
            "Change password": self._change_password,
            "Sign out": self._sign_out,
            "Dark": self._darken,
        }
        steps.get(name, lambda: self.press(name))()

    def _sign_in(self) -> None:
        self.press("Sign in")
        self.page.wait_for_selector("#link[data-state=live]")
        expect(self.page.locator("#me-role")).to_have_text("operator")

    def _tile(self, name: str) -> None:
        expect(self.page.locator(f"#tile-{name} h2")).to_have_text(name.title())
        expect(self.page.locator(f"#tile-{name} .figure")).not_to_be_empty()

    def _choose(self) -> None:
        self.page.get_by_label("Approach shown").select_option("west-w")
        self.served.edge.observe("west-w", 0.9)
        expect(self.page.locator("#camera-view svg .queue").first).to_have_attribute("d", re.compile("^M"))

    def _lower(self) -> None:
        self.page.locator('[data-steering="west"]').get_by_role("button", name="Lower").click()
        form = self.page.locator("#form")
        form.get_by_label("Reason").fill("works on the road")
        form.get_by_role("button", name="Lower", exact=True).click()
        expect(self.page.locator('[data-steering="west"] .badge')).not_to_have_text("act")

    def _filter(self) -> None:
        self.page.get_by_label("Filter by words").fill("no such words")
        expect(self.page.locator("#events")).to_contain_text("Nothing in the log matches")

    def _false_alarm(self) -> None:
        self.page.get_by_text("False alarm", exact=True).first.click()

    def _mark(self) -> None:
        self.press("Mark as false")
        expect(self.page.locator("#corrections")).to_contain_text("False alarm:")

    def _mark_class(self) -> None:
        self.served.edge.observe("west-w", 0.9)
        self.press("Mark wrong class")
        self.page.get_by_role("dialog", name="Mark a wrong class").get_by_label("free").check()

    def _press_and_see(self, name: str, words: str) -> None:
        self.press(name)
        expect(self.page.locator("#corrections")).to_contain_text(words)

    def _delete(self) -> None:
        count = self.page.locator("#corrections .correction").count()
        self.press("Delete correction", exact=False)
        expect(self.page.locator("#corrections .correction")).to_have_count(count - 1)

    def _make(self) -> None:
        self.press("Make")
        code = self.page.get_by_label("Shown once").input_value()
        expect(self.page.get_by_role("img", name="QR of the code")).to_be_visible()
        self.press("Done")
        key = new_key()
        asked = JoinAsk(
            attempt=secrets.token_hex(16),
            secret=decode(code).secret.hex(),
            csr=make_csr(key, DeviceId("cam-new"), "agent"),
        )
        self.served.edge.trust.desk.join(asked, "192.0.2.9")
        self._key = fingerprint(spki_digest(key.public_key()))

    def _let_in(self) -> None:
        expect(self.page.locator("[data-request]")).to_contain_text(self._key)
        self.press("Let it in")
        expect(self.page.locator('[data-joined="cam-new"]')).to_contain_text("joined")

    def _darken(self) -> None:
        before = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        self.press("Dark")
        assert self.page.evaluate("getComputedStyle(document.body).backgroundColor") != before

    def _change_password(self) -> None:
        self.page.locator("#me summary").click()
        self.press("Change password")
        self.page.get_by_label("Password until now").fill(PASSWORD)
        self.page.get_by_label("New password").fill(OTHER)
        self.page.get_by_label("The same again").fill(OTHER)
        self.press("Change")
        expect(self.page.locator("#form")).to_be_hidden()

    def _sign_out(self) -> None:
        self.page.locator("#me summary").click()
        self.watch.refused = True  # what the page asks for meanwhile comes too late
        self.press("Sign out")
        self.page.wait_for_url("**/login")


def test_everything_that_the_page_names_is_there_and_does_what_it_says(browser: Browser, served: Served) -> None:
    assert len(NAMES) >= 20
    watch = Watch(served.port)
    context = browser.new_context(viewport=DESK, color_scheme="light")
    context.set_default_timeout(DEADLINE_MS)
    try:
        page = context.new_page()
        watch.attach(page)
        page.goto(served.url)
        page.wait_for_url("**/login")
        person = Person(page, served, watch)
        for name in NAMES:
            person.meet(name)
        assert watch.wrong == []
    finally:
        context.close()
    assert served.edge.accounts.sign_in("olga", OTHER, "127.0.0.1", local=True)
