"""The panel "Devices joining" in Chromium. Every test fails on a console error, a page error, or a foreign request."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from node.trust.csr import make_csr
from node.trust.join_code import decode
from node.trust.keys import fingerprint, new_key, spki_digest
from node.trust.wire import JoinAsk
from protocol.ids import DeviceId
from tests.edge_server.dashboard.browser import DEADLINE_MS, PHONE, Served
from tests.edge_server.dashboard.demo import populate
from tests.edge_server.dashboard.test_dashboard_browser import CONTRAST, NAMELESS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]
expect.set_options(timeout=DEADLINE_MS)
OpenPage = Callable[..., Page]


def ask(served: Served, code: str, device: str) -> str:
    """A device asks to join; the fingerprint that it shows."""
    key = new_key()
    csr = make_csr(key, DeviceId(device), "agent")
    asked = JoinAsk(attempt=secrets.token_hex(16), secret=decode(code).secret.hex(), csr=csr)
    served.edge.trust.desk.join(asked, "192.0.2.9")
    return fingerprint(spki_digest(key.public_key()))


def test_a_code_is_made_a_device_let_in_renamed_and_put_out(served: Served, open_page: OpenPage) -> None:
    populate(served.edge)
    page = open_page()
    page.get_by_role("button", name="Make a code").click()
    page.get_by_role("button", name="Make", exact=True).click()
    shown = page.get_by_label("Shown once")
    expect(shown).to_be_visible()
    code = shown.input_value()
    qr = page.get_by_role("img", name="QR of the code")
    box = qr.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] > 150
    expect(page.locator("#form")).to_contain_text(f"kinflow join {code} --edge 192.0.2.7:8800")
    page.get_by_role("button", name="Done").click()
    key = ask(served, code, "cam-new")
    row = page.locator("[data-request]")
    expect(row).to_contain_text("cam-new")
    expect(row).to_contain_text(key)
    page.get_by_role("button", name="Approve: cam-new").click()
    page.get_by_role("button", name="Let it in").click()
    joined = page.locator('[data-joined="cam-new"]')
    expect(joined).to_contain_text("joined")
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Rename: cam-new").click()
    page.get_by_label("Name", exact=True).fill("North gate")
    page.locator("#form").get_by_role("button", name="Rename").click()
    expect(joined).to_contain_text("North gate")
    page.get_by_role("button", name="Revoke: cam-new").click()
    page.locator("#form").get_by_role("button", name="Revoke").click()
    expect(joined).to_contain_text("revoked")
    assert served.edge.put_out == ["cam-new"]


def test_by_keyboard_on_a_phone(served: Served, open_page: OpenPage, tmp_path: Path) -> None:
    populate(served.edge)
    code, _ = served.edge.trust.desk.make_code()
    ask(served, code, "cam-new")
    page = open_page(viewport=PHONE)
    refuse = page.get_by_role("button", name="Refuse: cam-new")
    refuse.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#form")).to_be_visible()
    page.locator("#form button[type=submit]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-request]")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Make a code").focus()
    page.keyboard.press("Enter")
    page.locator("#form button[type=submit]").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Shown once")).to_be_focused()
    box = page.locator("#form").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert page.evaluate(CONTRAST)["poor"] == []
    assert page.evaluate(NAMELESS)["wrong"] == []
