"""The panel Updates in a real browser: begin a rollout, see a device fail and why, go on."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from node.identity import Identity
from protocol.ids import DeviceId
from protocol.messages import ConfigCommand
from tests.edge_server.dashboard.browser import Served
from tests.edge_server.dashboard.conftest import OpenPage
from tests.edge_server.gateway.demo_edge import TOKEN

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def offer(served: Served, version: str) -> None:
    folder = served.edge.updates.mirror.folder
    (folder / "targets" / "kinflow" / version).mkdir(parents=True)
    (folder / "targets" / "kinflow" / version / f"{'0' * 64}.arm64.tar").write_bytes(b"")
    said = {"format": 1, "version": version, "published": "2026-01-02T03:04:05Z"}
    (folder / "channel.json").write_text(json.dumps(said))


def answer(served: Served, status: str, reason: str) -> None:
    rollout = served.edge.updates.rollout
    assert rollout is not None
    ((device, member),) = rollout.members.items()
    envelope = Identity(DeviceId(device), served.edge.clock).live()
    said = ConfigCommand(**envelope, command=member.command, device=device, name="update", status=status, reason=reason)
    served.edge.updates.heard(said)
    served.edge.updates.turn()


def test_a_rollout_is_begun_watched_and_gone_on_with(served: Served, open_page: OpenPage) -> None:
    served.edge.join("pi-1")
    served.edge.join("pi-2")
    page = open_page()
    card = page.locator("#updates-card")
    expect(card).to_be_hidden()
    offer(served, "1.1")
    expect(card).to_be_visible()
    expect(page.locator("#updates-here")).to_have_text("Version 1.1 is here, for arm64.")
    # The page on this machine is an operator; to begin is for admins, and the machine's key is one.
    expect(page.locator("#updates-begin")).to_be_hidden()
    page.click("#me summary")
    page.click("#me-sign-in")
    page.get_by_label("Key").fill(TOKEN)
    page.keyboard.press("Enter")
    page.click("#updates-begin")
    page.click("#dialog-ok")
    expect(page.locator("#updates-status")).to_have_text("1.1: running")
    served.edge.updates.turn()
    assert [what for _, what, _ in served.edge.asked] == ["update"]
    answer(served, "failed", "camera-lost: the camera cam-1 is stalled")
    expect(page.locator("#updates-status")).to_have_text("1.1: paused")
    first = page.locator("#updates-devices tr").first
    expect(first).to_contain_text("failed")
    expect(first).to_contain_text("camera-lost: the camera cam-1 is stalled")
    expect(page.locator("#updates-stage")).to_contain_text("Stage 1 of 3")
    page.click("#updates-resume")
    page.click("#dialog-ok")
    expect(page.locator("#updates-status")).to_have_text("1.1: running")
    page.click("#updates-abort")
    page.click("#dialog-ok")
    expect(page.locator("#updates-status")).to_have_text("1.1: aborted")
    expect(page.locator("#updates-begin")).to_be_visible()
