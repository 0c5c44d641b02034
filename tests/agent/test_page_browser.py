"""A person marks a road in a real browser."""

import threading
from contextlib import contextmanager

import cv2
import pytest
from playwright.sync_api import expect

from agent.options import CameraFlags, cameras_from_flags
from agent.page.alone import serve_calibration
from agent.settings import CameraFile

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(90),
]


@pytest.fixture
def served(tmp_path, drawn_road):
    """`kinflow calibrate` on a drawn road: its address, and the file that saving writes."""
    road = drawn_road()
    clip = tmp_path / "road.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, road.size)
    for _ in range(20):
        writer.write(
            road.draw([(1.75, 8.0, 1.8, 4.5, 1.45, (60, 60, 200)), (5.25, 20.0, 1.8, 4.5, 1.45, (200, 90, 60))])
        )
    writer.release()
    (settings,) = cameras_from_flags(CameraFlags([str(clip)], ids=["north"], widths_m=[7.0], lengths_m=[40.0]))
    stop, told, addresses = threading.Event(), threading.Event(), []

    def tell(address):
        addresses.append(address)
        told.set()

    thread = threading.Thread(target=serve_calibration, args=(settings, tmp_path, 0, tell, stop))
    thread.start()
    assert told.wait(10)
    yield addresses[0], CameraFile(tmp_path, "north"), road
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


@contextmanager
def opened(browser, address, **options):
    """The page, and a list of everything that it must not do."""
    faults = []
    page = browser.new_page(**options)
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    origin = address.partition("#")[0].rstrip("/")
    page.on("request", lambda one: faults.append(one.url) if not one.url.startswith((origin, "blob:")) else None)
    page.goto(address)
    page.locator("#blank").wait_for(state="hidden")
    page.locator("#overlay .handle").first.wait_for()
    yield page, faults
    page.close()


def click_corners(page, road):
    page.get_by_role("button", name="Start over").click()
    box = page.locator("#overlay").bounding_box()
    for x, y in road.corners:
        page.mouse.click(box["x"] + x * box["width"] / 640, box["y"] + y * box["height"] / 360)


def test_four_clicks_and_two_sizes_make_a_calibration(browser, served):
    address, file, road = served
    with opened(browser, address, viewport={"width": 1280, "height": 900}) as (page, faults):
        click_corners(page, road)
        page.get_by_label("Width, across all lanes").fill("10.5")
        page.get_by_label("Length, from the near").fill("60")
        page.get_by_text("3 lanes").wait_for()
        page.locator("#above").wait_for(state="visible")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved: 3 lanes").wait_for()
        assert faults == []
    saved = file.load()
    assert (saved.road_width_m, saved.visible_length_m, saved.lanes) == (10.5, 60.0, 3)
    for (x, y), (clicked_x, clicked_y) in zip(road.corners, saved.points, strict=True):
        assert abs(x - clicked_x) < 2
        assert abs(y - clicked_y) < 2


def test_the_keyboard_alone_moves_corners_and_saves(browser, served):
    address, file, _ = served
    with opened(browser, address, viewport={"width": 1280, "height": 900}, color_scheme="dark") as (page, faults):
        handle = page.get_by_role("button", name="near left")
        before = handle.get_attribute("aria-label")
        handle.focus()
        for _ in range(3):
            page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("ArrowUp")
        assert page.get_by_role("button", name="near left").get_attribute("aria-label") != before
        save = page.get_by_role("button", name="Save")
        expect(save).to_be_enabled()
        save.focus()
        page.keyboard.press("Enter")
        page.get_by_text("Saved:").wait_for()
        assert faults == []
    assert abs(file.load().points[0][0] - (0.12 * 640 + 30)) < 1


def test_touch_at_phone_width_works_and_nothing_sticks_out(browser, served):
    address, _, road = served
    options = {"viewport": {"width": 375, "height": 740}, "has_touch": True, "is_mobile": True}
    with opened(browser, address, **options) as (page, faults):
        page.get_by_role("button", name="Start over").tap()
        box = page.locator("#overlay").bounding_box()
        for x, y in road.corners:
            page.touchscreen.tap(box["x"] + x * box["width"] / 640, box["y"] + y * box["height"] / 360)
        page.locator("#above").wait_for(state="visible")
        assert page.locator("#overlay .handle").count() == 4
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert faults == []


def test_impossible_corners_are_explained_and_can_not_be_saved(browser, served):
    address, file, _ = served
    with opened(browser, address) as (page, faults):
        page.get_by_label("Width, across all lanes").fill("-3")
        page.get_by_text("must be more than 0").wait_for()
        assert page.get_by_role("button", name="Save").is_disabled()
        # The refusal (422) is the agent's answer; Chromium reports it on its console and nothing else may be there.
        assert all("422" in fault for fault in faults)
    assert file.load() is None


def test_without_the_token_the_page_says_what_to_do(browser, served):
    address, _, _ = served
    page = browser.new_page()
    page.goto(address.partition("#")[0])
    page.get_by_text("kinflow agent page").wait_for()
    page.close()
