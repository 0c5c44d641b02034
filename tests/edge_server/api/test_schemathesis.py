"""The whole API against its own description: no 5xx, no undocumented status, every answer as its schema says.

A bounded run in the normal suite; `pytest -m slow tests/edge_server/api` asks as every role and much longer.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from edge_server.accounts.rows import Actor
from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from edge_server.server import EdgeOptions, EdgeServer
from node.ports import any_free_port
from protocol.ids import DeviceId
from tests.edge_server.dashboard.demo import populate, signals
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge, demo_site

ROOT = {"Authorization": f"Bearer {TOKEN}"}
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# A stream that never ends; tests/edge_server/gateway reads it.
ENDLESS = {"/api/v1/events"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    edge = DemoEdge(tmp_path_factory.mktemp("edge"))
    server = GatewayServer(Gateway(edge.context), port=0)
    server.start()
    populate(edge)
    signals(edge, 2.0)
    edge.accounts.users.add("anna", "admin", "four words nobody joins", Actor("tests"))
    edge.accounts.tokens.make("reporter", "viewer", 9, Actor("anna"))
    for role in ("viewer", "operator", "admin"):
        SECRETS[role] = edge.accounts.tokens.make(f"as-{role}", role, 9, Actor("tests"))[1]
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
    edge.close()


SECRETS: dict[str, str] = {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """A whole edge server, with its broker, its authority and its mirror: its address and its own key."""
    home = tmp_path_factory.mktemp("home")
    options = EdgeOptions(
        home=home,
        database=home / "edge.db",
        device=DeviceId("edge-1"),
        version="0.1.0",
        site=demo_site(),
        port=any_free_port(),
        broker_port=any_free_port(),
    )
    server = EdgeServer(options)
    server.start()
    key = (home / "edge-token").read_text().strip()
    yield f"http://127.0.0.1:{options.port}", {"Authorization": f"Bearer {key}"}
    server.stop()


def ask_everything(
    url: str, headers: dict[str, str], examples: int, key: dict[str, str] = ROOT, below: tuple[str, ...] = ("/",)
) -> int:
    """Returns how many requests were made; fails with what every operation did wrong."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=key)
    asked, wrong = 0, []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ENDLESS or not operation.path.startswith(below):
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            answer = case.call(headers=headers, timeout=30)
            case.validate_response(answer, checks=CHECKS, headers=headers)

        try:
            ask()
        except BaseExceptionGroup as error:
            wrong.append(f"{operation.method.upper()} {operation.path}: {error.exceptions}")
    assert wrong == [], "\n".join(wrong)
    return asked


@pytest.mark.timeout(120)
def test_the_api_keeps_its_word(url: str) -> None:
    assert ask_everything(url, ROOT, examples=4) > 60


# What a demo without a broker has not.
PARTS = ("/api/v1/trust", "/api/v1/updates", "/updates", "/api/v1/preemption")


@pytest.mark.timeout(120)
def test_joining_and_updates_keep_their_word(whole: tuple[str, dict[str, str]]) -> None:
    url, key = whole
    assert ask_everything(url, key, examples=4, key=key, below=PARTS) > 30


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_joining_and_updates_keep_their_word_for_long(whole: tuple[str, dict[str, str]]) -> None:
    url, key = whole
    assert ask_everything(url, key, examples=150, key=key, below=PARTS) > 500


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("role", ["nobody", "viewer", "operator", "admin"])
def test_the_api_keeps_its_word_to_each_role(url: str, role: str) -> None:
    headers = {} if role == "nobody" else {"Authorization": f"Bearer {SECRETS[role]}"}
    assert ask_everything(url, headers, examples=120) > 500
