"""Signing in and keeping accounts in Chromium. Every test fails on a console error or warning, a page error, or a
request to anybody else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from edge_server.accounts.rows import Actor
from tests.edge_server.dashboard.browser import DEADLINE_MS, GOOD, PHONE, Served, Watch
from tests.edge_server.dashboard.demo import populate
from tests.edge_server.dashboard.test_dashboard_browser import CONTRAST, NAMELESS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]
expect.set_options(timeout=DEADLINE_MS)

OTHER = "another four such words"
OpenPage = Callable[..., Page]


@pytest.fixture
def peopled(served: Served, people: None) -> Served:
    """A city, and an account for each role."""
    populate(served.edge)
    return served


def test_a_wrong_password_is_said_and_the_right_one_lets_in(
    browser: Browser, peopled: Served, sign_in: Callable[..., Page]
) -> None:
    page = browser.new_page()  # without a watch: the browser logs the 401 that is meant here
    page.goto(peopled.url)
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    page.get_by_text("Sign in with the machine's key").click()
    expect(page.get_by_label("Key")).to_be_visible()
    page.close()
    expect(sign_in("anna").locator("#me-role")).to_have_text("admin")


@pytest.mark.usefixtures("peopled")
@pytest.mark.parametrize(("name", "operates", "keeps"), [("victor", 0, 0), ("olga", 1, 0), ("anna", 1, 1)])
def test_what_a_role_cannot_use_is_not_offered(
    sign_in: Callable[..., Page], name: str, operates: int, keeps: int
) -> None:
    page = sign_in(name)
    expect(page.locator("#alarms .alarm").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Mark as false alarm")).first).to_be_visible(visible=operates)
    expect(page.get_by_role("button", name="Mark wrong class")).to_be_visible(visible=operates)
    expect(page.get_by_role("button", name=re.compile("^Relearn")).first).to_be_visible(visible=operates)
    for title in ("People", "Programs", "Sign-ins and changes"):
        expect(page.get_by_role("region", name=title).first).to_be_visible(visible=keeps)


def test_the_page_on_this_machine_says_that_there_are_no_accounts(served: Served, open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("#me-role")).to_have_text("operator")
    page.locator("#me summary").click()
    expect(page.locator("#me-hint")).to_contain_text("kinflow edge user add")
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#me-hint")).to_be_hidden()


def test_an_admin_adds_changes_and_removes_a_person_by_keyboard(
    sign_in: Callable[..., Page], peopled: Served, watch: Watch
) -> None:
    page = sign_in("anna")
    add = page.get_by_role("button", name="Add a person")
    add.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("Bert")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("bertbertbert")
    watch.refused = True
    page.keyboard.press("Enter")
    expect(page.locator("#form .error")).to_contain_text("it is the account's name")
    page.get_by_label("Password, at least 10 characters").fill(OTHER)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[data-person=bert] .badge")).to_have_text("operator")
    page.get_by_role("button", name="Role: bert").click()
    page.get_by_label("Role", exact=True).select_option("viewer")
    page.get_by_role("button", name="Set role").click()
    expect(page.locator("[data-person=bert] .badge")).to_have_text("viewer")
    page.get_by_role("button", name="Remove: bert").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("[data-person=bert]")).to_have_count(0)
    expect(page.locator("#audit tr").first).to_contain_text("user removed")
    assert [user.name for user in peopled.edge.accounts.users.all()] == ["anna", "olga", "victor"]


def test_a_token_is_shown_once(sign_in: Callable[..., Page], peopled: Served) -> None:
    page = sign_in("anna")
    page.get_by_role("button", name="Make a token").click()
    page.get_by_label("Name (lower-case letters, digits, hyphens)").fill("reporter")
    page.get_by_role("button", name="Make", exact=True).click()
    secret = page.get_by_label("Shown once").input_value()
    caller = peopled.edge.accounts.by_bearer(secret)
    assert caller is not None
    assert (caller.name, caller.role) == ("reporter", "viewer")
    page.get_by_role("button", name="Done").click()
    # The dialog is emptied by an event that the browser sends once it is closed.
    expect(page.get_by_label("Shown once")).to_have_count(0)
    expect(page.locator("[data-token=reporter]")).to_contain_text("viewer")
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke: reporter").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.locator("[data-token=reporter]")).to_have_count(0)
    assert peopled.edge.accounts.by_bearer(secret) is None


def test_one_changes_ones_password_and_signs_out(sign_in: Callable[..., Page], peopled: Served) -> None:
    page = sign_in("victor")
    page.locator("#me summary").click()
    page.get_by_role("button", name="Change password").click()
    page.get_by_label("Password until now").fill(GOOD)
    page.get_by_label("New password").fill(OTHER)
    page.get_by_label("The same again").fill(OTHER + "x")
    page.get_by_role("button", name="Change", exact=True).click()
    expect(page.locator("#form .error")).to_contain_text("differ")
    page.get_by_label("The same again").fill(OTHER)
    page.get_by_role("button", name="Change", exact=True).click()
    expect(page.locator("#form")).to_be_hidden()
    assert peopled.edge.accounts.sign_in("victor", OTHER, "127.0.0.1", local=True)
    page.locator("#me summary").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/login")


def test_who_is_removed_is_told(sign_in: Callable[..., Page], peopled: Served, watch: Watch) -> None:
    page = sign_in("victor")
    watch.refused = True
    peopled.edge.accounts.users.remove("victor", Actor("tests"))
    expect(page.locator("#banner-text")).to_contain_text("signed out", timeout=30_000)


@pytest.mark.usefixtures("peopled")
def test_on_a_phone_in_the_dark_all_of_it_fits_and_can_be_read(sign_in: Callable[..., Page]) -> None:
    page = sign_in("anna", viewport=PHONE, color_scheme="dark")
    expect(page.locator("[data-person=victor]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("#me summary").click()
    box = page.locator(".menu-body").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert page.evaluate(CONTRAST)["poor"] == []
    assert page.evaluate(NAMELESS)["wrong"] == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add a person").click()
    box = page.locator("#form").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
