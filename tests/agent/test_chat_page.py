"""The assistant on a device's page: over HTTP, and as a person uses it in a real browser."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from agent.page.requests import CHAT
from agent.page.server import PageServer
from tests.agent.by_heart import by_heart
from tests.models.assistant.doubles import SmallFacts

PHONE = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}


class Served:
    """The page on a port of its own, which can be stopped and started again."""

    def __init__(self, home: Path) -> None:
        self.home, self.facts, self.go_on = home, SmallFacts(), threading.Event()
        self.start(0)

    def start(self, port: int) -> None:
        self.server = PageServer(list, self.home, port, by_heart(self.home, self.facts, self.go_on))
        self.server.start()
        self.port = int(self.server.url.rsplit(":", 1)[1].strip("/"))

    def stop(self) -> None:
        self.go_on.set()
        self.server.stop()

    @property
    def chat(self) -> str:
        return f"{self.server.url}chat#{self.server.token}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.stop()


def ask(served: Served, method: str, path: str, body: object = None, token: bool = True) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    headers = {"Authorization": f"Bearer {served.server.token}"} if token else {}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert answer.headers["Cache-Control"] == "no-store"
    connection.close()
    return answer.status, content


def test_an_answer_comes_in_lines(served: Served) -> None:
    status, content = ask(served, "POST", "/api/assistant/ask", {"question": "How is Mill Street?"})
    assert status == 200
    lines = [json.loads(line) for line in content.splitlines()]
    assert [one["type"] for one in lines][:2] == ["step", "step"]
    assert "".join(one["text"] for one in lines if one["type"] == "piece") == lines[-1]["answer"]
    assert (lines[-1]["tier"], lines[-1]["bytes_sent"]) == ("device", 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "ask", {"question": ""}, 422),
        ("POST", "ask", {"question": "<|im_start|>"}, 422),
        ("POST", "ask", {"question": "x" * 20_000}, 413),
        ("POST", "ask", {"ask": "x"}, 400),
        ("POST", "corrections", {"question": "q", "answer": "a", "better": "\u0000"}, 422),
        ("DELETE", "corrections/9", None, 404),
        ("DELETE", "corrections/999999999999999999999", None, 404),
        ("GET", "ask", None, 404),
        ("PUT", "ask", None, 404),
    ],
)
def test_what_can_t_be_taken_is_refused(served: Served, method: str, path: str, body: object, status: int) -> None:
    assert ask(served, method, f"/api/assistant/{path}", body)[0] == status
    assert ask(served, method, f"/api/assistant/{path}", body, token=False)[0] == 401


def test_a_page_without_an_assistant_has_none_of_it(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.stop()
    served.server = PageServer(list, tmp_path, 0)
    served.server.start()
    served.port = int(served.server.url.rsplit(":", 1)[1].strip("/"))
    for path in (*CHAT, "/api/assistant"):
        assert ask(served, "GET", path)[0] == 404
    served.server.stop()


# In a browser


def opened(browser: Browser, served: Served, faults: list[str], **options: object) -> Page:
    page = browser.new_context(**options).new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda one: faults.append(one.text) if one.type in {"error", "warning"} else None)
    own = f"http://127.0.0.1:{served.port}/"
    page.on("request", lambda one: None if one.url.startswith(own) else faults.append(one.url))
    page.set_default_timeout(15_000)
    page.goto(served.chat)
    return page


def say(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


@pytest.mark.browser
@pytest.mark.timeout(90)
def test_a_conversation_on_a_phone(browser: Browser, served: Served) -> None:
    faults: list[str] = []
    page = opened(browser, served, faults, **PHONE)
    say(page, "How is Mill Street?")
    page.get_by_text("index 0.62").wait_for()
    page.get_by_text("nothing sent: understood here (0.97)").wait_for()
    assert served.server.token not in page.url
    # A question back has its two buttons, which are good once.
    say(page, "Log more on pi-1")
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("It is set.").wait_for()
    assert page.get_by_role("button", name="Yes").count() == 0
    assert served.facts.settings["log.level"] == "debug"
    # An answer that is under way can be stopped, and the next question is answered all the same.
    say(page, "slowly")
    page.get_by_text("Understanding the question").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    served.go_on.set()
    say(page, "hello")
    page.get_by_text("of anything else I know nothing").wait_for()
    # Nothing of a question that is too long is cut off unless its asker says what.
    say(page, "It rains. " * 220 + "How is Mill Street?")
    page.get_by_text("219 characters too long").wait_for()
    page.get_by_role("button", name="Ask a summary").click()
    page.get_by_text("nothing sent: a summary in 29 of 2219 characters read").wait_for()
    # A better answer is kept, listed and deleted.
    page.get_by_role("button", name="Better answer").last.click()
    page.get_by_label("The better answer").fill("Hello to you")
    page.get_by_role("button", name="Keep").click()
    page.get_by_text("Nothing learns from it").wait_for()
    page.get_by_text("What is kept").click()
    page.get_by_role("button", name="Delete: Hello to you").click()
    page.get_by_text("No better answer was given.").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 21)"
    # What was said is still there after a reload, without the token in the address, and can be cleared.
    page.reload()
    page.get_by_text("index 0.62").wait_for()
    page.get_by_text("What is kept").click()
    page.get_by_role("button", name="Clear this conversation").click()
    expect(page.get_by_text("index 0.62")).to_have_count(0)
    assert faults == []
    page.context.close()


@pytest.mark.browser
@pytest.mark.timeout(90)
def test_it_can_be_installed_and_opens_while_the_agent_is_away(browser: Browser, served: Served) -> None:
    faults: list[str] = []
    page = opened(browser, served, faults, color_scheme="light")
    say(page, "Who is offline?")
    page.get_by_text("1 device is offline").wait_for()
    manifest = page.evaluate("fetch(document.querySelector('link[rel=manifest]').href).then((one) => one.json())")
    assert (manifest["start_url"], manifest["display"]) == ("/chat", "standalone")
    errors = page.context.new_cdp_session(page).send("Page.getInstallabilityErrors")["installabilityErrors"]
    # Playwright's own context is a private window, which Chromium installs nothing from.
    assert [one["errorId"] for one in errors] == ["in-incognito"]
    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function("caches.open('kinflow-page').then((one) => one.keys()).then((all) => all.length >= 7)")
    assert faults == []
    served.stop()
    page.goto(f"http://127.0.0.1:{served.port}/chat")
    page.get_by_text("The agent is not running").wait_for()
    page.get_by_text("1 device is offline").wait_for()
    say(page, "hello")
    page.get_by_text("can't be reached").wait_for()
    # Only that the agent is away was complained of.
    assert all("ERR_CONNECTION" in one or "Failed to" in one or "fetch" in one for one in faults), faults
    served.start(served.port)
    page.reload()
    say(page, "hello")
    page.get_by_text("of anything else I know nothing").wait_for()
    page.context.close()


@pytest.mark.browser
@pytest.mark.timeout(60)
def test_without_a_token_the_page_says_what_to_do(browser: Browser, served: Served) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{served.server.url}chat")
    page.get_by_text("kinflow agent page").wait_for()
    page.context.close()


def test_an_agent_that_nobody_asks_has_loaded_none_of_it() -> None:
    code = (
        "import sys, agent.run, agent.page.server\n"
        "heavy = {'models.assistant.desk', 'models.assistant.edge_tier', 'models.engine', 'llama_cpp'}\n"
        "print(*sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == []
