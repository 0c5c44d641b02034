"""`/v1` at the edge server's door and at the cloud's: who is let in, and what is answered in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from edge_server.gateway.app import Gateway
from edge_server.gateway.server import GatewayServer
from models.engine.fake import FakeEngine
from models.escalation.desk import Identity
from models.escalation.served import Served
from models.serving.fifo import FifoScheduler
from models.serving.keys import FILE_NAME, PREFIX, KeyFile
from models.serving.service import Service
from tests.edge_server.gateway.demo_edge import TOKEN, DemoEdge


def service(keys: KeyFile | None = None) -> Served:
    async def make() -> FifoScheduler:
        return await FifoScheduler.open(lambda: FakeEngine(sequences=2, context_tokens=512))

    async def go_on(after: int) -> FifoScheduler:
        raise AssertionError

    return Served(Service("fake-large", make, keys=keys), lambda: Identity("fake", "1", "a" * 64, "", "large"), go_on)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    edge = DemoEdge(tmp_path)
    server = GatewayServer(Gateway(replace(edge.context, serving=service())), port=0)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()
    edge.close()


def of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)


def test_the_door_lets_in_who_may_read_and_refuses_in_openais_form(url: str) -> None:
    asked = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
    refused = httpx.post(f"{url}/v1/chat/completions", json=asked, headers={"Authorization": "Bearer no"})
    assert refused.status_code == 401
    assert refused.json()["error"]["type"] == "authentication_error"
    with of(url) as client:
        assert client.get("/v1/models").json()["data"][0]["id"] == "fake-large"
        assert client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["role"] == "assistant"
        too_large = client.post("/v1/completions", content=b'{"prompt": "' + b"x" * 1_000_000 + b'"}')
        assert too_large.status_code == 413
        assert too_large.json()["error"]["message"]
        with client.stream("POST", "/v1/completions", json={"prompt": "a", "stream": True, "max_tokens": 4}) as stream:
            assert [line for line in stream.iter_lines() if line][-1] == "data: [DONE]"


def test_without_a_family_it_says_what_to_do(tmp_path: Path) -> None:
    edge = DemoEdge(tmp_path)
    server = GatewayServer(Gateway(edge.context), port=0)
    server.start()
    with of(f"http://127.0.0.1:{server.port}") as client:
        assert client.get("/v1/models").json()["data"] == []
        answer = client.post("/v1/completions", json={"prompt": "a"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "KF500")
    server.stop()
    edge.close()


def test_a_key_opens_the_member_to_a_program_and_no_page(tmp_path: Path) -> None:
    edge, keys = DemoEdge(tmp_path), KeyFile(tmp_path / FILE_NAME)
    secret = keys.add("shop")
    server = GatewayServer(Gateway(replace(edge.context, serving=service(keys))), port=0)
    server.start()
    url = f"http://127.0.0.1:{server.port}"
    with openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as client:
        assert client.models.list().data[0].id == "fake-large"
        kept = client.responses.create(model="fake-large", input="hello", max_output_tokens=3)
    for way in ({"api_key": secret}, {"auth_token": secret}, {"api_key": TOKEN}):
        with anthropic.Anthropic(base_url=url, max_retries=0, **way) as client:  # type: ignore[arg-type]
            said = client.messages.create(
                model="fake-large", max_tokens=3, messages=[{"role": "user", "content": "hello"}]
            )
            assert said.usage.output_tokens <= 3
    with of(url) as own:
        # The machine's own key is another tenant.
        assert own.get(f"/v1/responses/{kept.id}").status_code == 404
        metrics = own.get("/metrics").text
        assert 'kinflow_serving_requests_total{outcome="done",route="/v1/messages"} 3.0' in metrics
        assert own.get("/healthz").json()["ok"]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}) as shop:
        assert shop.get(f"/v1/responses/{kept.id}").status_code == 200
        for path in ("/metrics", "/api/v1/devices", "/openapi.json"):
            assert shop.get(path).status_code == 401
        assert shop.post("/v1/tiers/open", content=b"").status_code == 401
        keys.revoke("shop")
        assert shop.get("/v1/models").status_code == 401
    for wrong in (secret, PREFIX + "x", "x"):
        refused = httpx.post(f"{url}/v1/messages", json={}, headers={"x-api-key": wrong})
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        assert refused.json()["type"] == "error"
    # No header, no cookie, no way in; and a page elsewhere can't send the header.
    assert httpx.post(f"{url}/v1/messages", json={}).status_code in (401, 403)
    stranger = {"x-api-key": TOKEN, "origin": "https://elsewhere.example"}
    assert httpx.post(f"{url}/v1/messages", json={}, headers=stranger).status_code == 403
    server.stop()
    edge.close()
