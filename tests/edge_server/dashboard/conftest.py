"""Each test has an edge server, a context and a watch of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from edge_server.accounts.rows import Actor
from protocol.site import Site
from tests.edge_server.dashboard.browser import DEADLINE_MS, DESK, GOOD, Served, Watch
from tests.edge_server.gateway.demo_edge import DemoEdge

OpenPage = Callable[..., Page]


@pytest.fixture
def site() -> Site | None:
    """Override it for another site than the demo's."""
    return None


@pytest.fixture
def served(tmp_path: Path, site: Site | None) -> Iterator[Served]:
    edge = DemoEdge(tmp_path, site)
    served = Served(edge)
    yield served
    served.stop()
    edge.close()


@pytest.fixture
def watch(served: Served) -> Iterator[Watch]:
    watch = Watch(served.port)
    yield watch
    assert watch.wrong == []


@pytest.fixture
def open_page(browser: Browser, served: Served, watch: Watch) -> Iterator[OpenPage]:
    """Open the dashboard; keywords go to the browser's context. It is live when this returns."""
    contexts = []

    def open_page(**options: object) -> Page:
        context = browser.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        context.set_default_timeout(DEADLINE_MS)
        page = context.new_page()
        watch.attach(page)
        page.goto(served.url)
        page.wait_for_selector("#link[data-state=live]")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def people(served: Served) -> None:
    """An account for each role."""
    for name, role in (("anna", "admin"), ("olga", "operator"), ("victor", "viewer")):
        served.edge.accounts.users.add(name, role, GOOD, Actor("tests"))


@pytest.fixture
def sign_in(browser: Browser, served: Served, people: None, watch: Watch) -> Iterator[OpenPage]:
    """The dashboard as one of these people sees it, who signs in by the keyboard alone."""
    contexts = []

    def sign_in(name: str, **options: object) -> Page:
        context = browser.new_context(**{"viewport": DESK, **options})
        contexts.append(context)
        context.set_default_timeout(DEADLINE_MS)
        page = context.new_page()
        watch.attach(page)
        page.goto(served.url)
        page.wait_for_url("**/login")
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type(name)
        page.keyboard.press("Tab")
        expect(page.get_by_label("Password")).to_be_focused()
        page.keyboard.type(GOOD)
        expect(page.get_by_label("Name")).to_have_value(name)
        expect(page.get_by_label("Password")).to_have_value(GOOD)
        page.keyboard.press("Enter")
        page.wait_for_selector("#link[data-state=live]")
        expect(page.locator("#me-name")).to_have_text(name)
        return page

    yield sign_in
    for context in contexts:
        context.close()
