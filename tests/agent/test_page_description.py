"""The agent's page against its description: no 5xx but the one that it names, no other status, answers as described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from agent.page.camera_view import CameraView
from agent.page.description import describe
from agent.page.server import PageServer
from agent.settings import CameraFile
from agent.traffic.calibration import propose
from tests.agent.by_heart import by_heart

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def page(tmp_path: Path, drawn_road) -> Iterator[PageServer]:
    image = drawn_road().draw()
    views = [
        CameraView(
            "north",
            "rtsp://cam/1",
            lambda: image,
            lambda: propose(7, 40, (640, 360)),
            lambda: ("running", ""),
            CameraFile(tmp_path, "north"),
            lambda: "<svg/>",
            lambda: image,
        ),
        CameraView(
            "dark",
            "x",
            lambda: None,
            lambda: None,
            lambda: ("failed", "KF57"),
            CameraFile(tmp_path, "dark"),
            lambda: None,
            lambda: None,
        ),
    ]
    server = PageServer(lambda: views, tmp_path, 0, by_heart(tmp_path))
    server.start()
    yield server
    server.stop()


def test_the_description_that_is_checked_in_is_the_pages(repository: Path) -> None:
    kept = json.loads((repository / "docs" / "agent-openapi.json").read_text("utf-8"))
    assert kept == json.loads(json.dumps(describe())), "python -m agent.page.description > docs/agent-openapi.json"


def ask_everything(page: PageServer, headers: dict[str, str], examples: int) -> set[tuple[str, int]]:
    """Returns which statuses each path gave."""
    described = describe()
    # A camera that is there, one that is dark, and whatever else.
    for path in described["paths"].values():
        for parameter in path.get("parameters", ()):
            parameter["schema"] = {"anyOf": [{"enum": ["north", "dark"]}, {"type": "string"}]}
    schema = schemathesis.openapi.from_dict(described)
    schema.config.update(base_url=page.url.rstrip("/"))
    seen: set[tuple[str, int]] = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            answer = case.call(headers=headers, timeout=30)
            seen.add((case.operation.path, answer.status_code))
            case.validate_response(answer, checks=CHECKS, headers=headers)
            assert answer.status_code < 500 or answer.json()["cause"] == "The camera has sent no picture yet."

        ask()
    return seen


@pytest.mark.timeout(120)
def test_the_page_keeps_its_word(page: PageServer) -> None:
    seen = ask_everything(page, {"Authorization": f"Bearer {page.token}"}, examples=8)
    assert {status for _, status in seen} >= {200, 404}
    assert ask_everything(page, {}, examples=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_keeps_its_word_for_long(page: PageServer) -> None:
    assert ask_everything(page, {"Authorization": f"Bearer {page.token}"}, examples=400)
