"""Keys and what their tenants may use: pure laws, the file, the command, and real doors."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.engine.fake import FakeEngine
from models.errors import KeysUnusable, KeyTaken, KeyUnknown, TenantBusy
from models.escalation.standalone import TierServer
from models.serving.cli import app
from models.serving.keys import FILE_NAME, PREFIX, KeyFile
from models.serving.limits import Allowed, Refused, TenantLimits, Usage, begun, ended, prompted
from tests.models.serving import house
from tests.models.serving.test_stall_free import HangingEngine

TOKEN = "t" * 43
HELLO: list[Any] = [{"role": "user", "content": "hello"}]

# --- limits -----------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.sampled_from(["ask", "end"]), st.integers(0, 40), st.floats(0, 40)), min_size=1, max_size=60
)


@given(steps, st.integers(1, 9), st.integers(1, 60), st.integers(1, 4))
def test_nobody_gets_more_than_a_minutes_worth_and_what_fills_up(
    taken: list[tuple[str, int, float]], requests: int, tokens: int, concurrent: int
) -> None:
    allowed = Allowed(requests_per_minute=requests, tokens_per_minute=tokens, concurrent=concurrent)
    usage, now_s, admitted, charged, longest = Usage(), 0.0, 0, 0, 0
    for kind, size, pause_s in taken:
        now_s += pause_s
        if kind == "end":
            if usage.running:
                usage = ended(usage, allowed, 0, 1.0, now_s)
            continue
        asked = begun(usage, allowed, now_s)
        if isinstance(asked, Refused):
            continue
        usage, admitted = asked, admitted + 1
        found = prompted(usage, allowed, size, now_s)
        usage = ended(usage, allowed, 0, 1.0, now_s) if isinstance(found, Refused) else found
        charged += 0 if isinstance(found, Refused) else size
        longest = max(longest, size)
        assert usage.running <= concurrent
    minutes = now_s / 60
    assert admitted <= requests * (1 + minutes) + 1e-6
    # A prompt longer than a whole bucket is taken when that is full, and leaves a debt.
    assert charged <= tokens * (1 + minutes) + max(0, longest - tokens) + 1e-6


@given(st.integers(1, 9), st.integers(1, 200), st.integers(0, 300), st.floats(0, 100))
def test_who_waits_as_long_as_was_said_gets_in(requests: int, tokens: int, size: int, used: float) -> None:
    allowed = Allowed(requests_per_minute=requests, tokens_per_minute=tokens)
    usage: Usage = Usage(requests=min(used, requests), tokens=used)
    for step in (lambda usage, now_s: begun(usage, allowed, now_s), lambda u, now_s: prompted(u, allowed, size, now_s)):
        found: Usage | Refused = step(usage, 0.0)
        if isinstance(found, Refused):
            assert found.wait_s > 0
            later = step(usage, math.ceil(found.wait_s) + 1e-6)
            assert isinstance(later, Usage)
            # And not much earlier: the wait is no more than it takes.
            if found.wait_s > 2:
                assert isinstance(step(usage, found.wait_s - 1), Refused)


def test_an_answers_own_tokens_are_paid_before_the_next_request() -> None:
    now_s = 0.0
    limits, allowed = TenantLimits(lambda: now_s), Allowed(tokens_per_minute=60)
    limits.begin("a", allowed)
    limits.prompt("a", allowed, 10)
    limits.end("a", allowed, 80, 3.0)
    limits.begin("a", allowed)
    with pytest.raises(TenantBusy) as refused:
        limits.prompt("a", allowed, 10)
    assert refused.value.fields["wait_s"] == 40
    limits.begin("b", allowed)
    limits.prompt("b", allowed, 10)  # another's debts are not its own
    now_s = 40.0
    limits.prompt("a", allowed, 10)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_lies_nowhere(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    keys, other = KeyFile(path), KeyFile(path)
    assert keys.tenant_of(PREFIX + "x") is None
    secret = keys.add("shop", "market", Allowed(concurrent=2))
    assert secret.startswith(PREFIX)
    assert secret.removeprefix(PREFIX) not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    # Another process sees it at once.
    assert other.tenant_of(secret) == "market"
    assert other.ring().allowed("market").concurrent == 2
    assert other.tenant_of(secret[:-1]) is None
    assert other.tenant_of("") is None
    with pytest.raises(KeyTaken):
        other.add("shop")
    other.revoke("shop")
    assert keys.tenant_of(secret) is None
    assert keys.ring().tenants == {}
    with pytest.raises(KeyUnknown):
        keys.revoke("shop")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 9}', b"\xff\x00", b'{"keys": [{"name": 1}]}'])
def test_a_file_that_can_not_be_read_opens_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeysUnusable):
        KeyFile(path).tenant_of(PREFIX + "x")


def test_a_file_that_others_read_opens_nothing(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / FILE_NAME)
    secret = keys.add("shop")
    (tmp_path / FILE_NAME).chmod(0o644)
    with pytest.raises(KeysUnusable, match="others"):
        KeyFile(tmp_path / FILE_NAME).tenant_of(secret)


def test_the_command_adds_lists_and_revokes(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["keys", *words, "--home", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    made = json.loads(run("add", "shop", "--tokens-per-minute", "500", "--json"))
    assert KeyFile(tmp_path / FILE_NAME).tenant_of(made["key"]) == "shop"
    assert run("add", "till", "--tenant", "shop", "--concurrent", "3").startswith(PREFIX)
    rows = json.loads(run("list", "--json"))["keys"]
    assert [(one["name"], one["tenant"], one["tokens_per_minute"], one["concurrent"]) for one in rows] == [
        ("shop", "shop", 500, 3),
        ("till", "shop", 500, 3),
    ]
    assert "500 tokens a minute, 3 at once" in run("list")
    run("revoke", "till")
    assert len(json.loads(run("list", "--json"))["keys"]) == 1


# --- doors ------------------------------------------------------------------------------------------------------------


@contextmanager
def tier(
    keys: KeyFile, make: Callable[[], Any] = lambda: FakeEngine(sequences=2, context_tokens=2048)
) -> Iterator[Any]:
    """A server of its own, and its address."""
    server = TierServer(house.served(make, keys=keys), 0, TOKEN)
    server.start()
    server.url = f"http://127.0.0.1:{server.port}"  # type: ignore[attr-defined]
    try:
        yield server
    finally:
        server.stop()


def test_keys_open_the_member_to_both_clients_and_nothing_else(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / FILE_NAME)
    secret = keys.add("shop", allowed=Allowed(requests_per_minute=3))
    with tier(keys) as server:
        with anthropic.Anthropic(base_url=server.url, api_key=secret, max_retries=0) as client:
            assert client.messages.create(model="fake", max_tokens=2, messages=HELLO).usage.output_tokens <= 2
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0) as client:
            kept = client.responses.create(model="fake", input="hello", max_output_tokens=2)
            client.completions.create(model="fake", prompt="a", max_tokens=2)
            with pytest.raises(openai.RateLimitError) as refused:
                client.completions.create(model="fake", prompt="a", max_tokens=2)
            assert refused.value.body["kinflow_code"] == "KF511"  # type: ignore[index]
            assert 1 <= int(refused.value.response.headers["retry-after"]) <= 20
        bearer = {"Authorization": f"Bearer {secret}"}
        own = {"Authorization": f"Bearer {TOKEN}"}
        # The server's own token is held to nothing, and does not see what a tenant keeps.
        assert httpx.get(f"{server.url}/v1/responses/{kept.id}", headers=bearer).status_code == 200
        assert httpx.get(f"{server.url}/v1/responses/{kept.id}", headers=own).status_code == 404
        for path in ("/metrics", "/v1/tiers/open"):
            assert (
                httpx.request("POST" if "open" in path else "GET", server.url + path, headers=bearer).status_code == 401
            )
        metrics = httpx.get(f"{server.url}/metrics", headers=own).text
        assert 'kinflow_serving_requests_total{outcome="done",route="/v1/messages"} 1.0' in metrics
        assert 'kinflow_serving_requests_total{outcome="refused",route="/v1/completions"} 1.0' in metrics
        assert "kinflow_serving_first_token_seconds_count 3.0" in metrics
        assert 'kinflow_serving_step_rows_bucket{le="+Inf"}' in metrics
        keys.revoke("shop")
        for wrong in (secret, PREFIX + "x" * 43, "nobody", ""):
            with (
                openai.OpenAI(base_url=f"{server.url}/v1", api_key=wrong or "-", max_retries=0) as client,
                pytest.raises(openai.AuthenticationError) as lost,
            ):
                client.models.list()
            assert lost.value.body["type"] == "authentication_error"  # type: ignore[index]
            answer = httpx.post(f"{server.url}/v1/messages", headers={"x-api-key": wrong}, json={})
            assert (answer.status_code, answer.json()["type"]) == (401, "error")
            assert answer.json()["error"]["type"] == "authentication_error"
        (tmp_path / FILE_NAME).write_text("{")
        answer = httpx.get(f"{server.url}/v1/models", headers=bearer)
        assert (answer.status_code, answer.json()["error"]["kinflow_code"]) == (503, "KF510")
        assert httpx.get(f"{server.url}/v1/models", headers=own).status_code == 200


class SlowEngine(HangingEngine):
    """Hangs never."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.let_go.set()


def test_who_may_answer_one_at_a_time_is_told_so(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / FILE_NAME)
    bearer = {"Authorization": f"Bearer {keys.add('shop', allowed=Allowed(concurrent=1))}"}
    long = {"prompt": "a", "max_tokens": 900, "logit_bias": {"1": -100}, "stream": True}
    with tier(keys, lambda: SlowEngine(sequences=2, context_tokens=2048)) as server:
        with httpx.stream("POST", f"{server.url}/v1/completions", json=long, headers=bearer) as stream:
            lines = stream.iter_lines()
            next(lines)
            refused = httpx.post(f"{server.url}/v1/completions", json=long, headers=bearer)
            assert (refused.status_code, refused.json()["error"]["kinflow_code"]) == (429, "KF511")
        # Who has left is not counted any more.
        with house.until() as look:
            while look():
                answer = httpx.post(f"{server.url}/v1/completions", json={"prompt": "a"}, headers=bearer, timeout=20)
                if answer.status_code == 200:
                    break


def test_a_server_that_stops_ends_what_it_began_and_begins_no_more(tmp_path: Path) -> None:
    server = TierServer(house.served(lambda: SlowEngine(sequences=2, context_tokens=2048)), 0, TOKEN)
    server.start()
    url, own = f"http://127.0.0.1:{server.port}", {"Authorization": f"Bearer {TOKEN}"}
    asked = {"prompt": "a", "max_tokens": 250, "logit_bias": {"1": -100}, "stream": True}
    with (
        httpx.Client(base_url=url, headers=own) as second,
        httpx.stream("POST", f"{url}/v1/completions", json=asked, headers=own) as stream,
    ):
        assert second.get("/v1/models").status_code == 200
        lines = stream.iter_lines()
        next(lines)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        with house.until() as look:
            while look():
                refused = second.post("/v1/completions", json={"prompt": "a"})
                if refused.status_code == 503:
                    break
        assert refused.json()["error"]["kinflow_code"] == "KF514"
        assert int(refused.headers["retry-after"]) > 0
        told = [json.loads(line.removeprefix("data: ")) for line in lines if line and line != "data: [DONE]"]
        assert told[-1]["choices"][0]["finish_reason"] == "length"
    stopping.join()


def test_health_fails_while_a_step_hangs_and_a_stop_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("models.serving.service.STUCK_S", 0.3)
    monkeypatch.setattr("models.serving.service.CLOSE_S", 0.3)
    monkeypatch.setattr("models.escalation.served.DRAIN_S", 0.3)
    engines: list[HangingEngine] = []

    def make() -> HangingEngine:
        engines.append(HangingEngine(sequences=2, context_tokens=512))
        return engines[0]

    with tier(KeyFile(tmp_path / FILE_NAME), make) as server:
        assert httpx.get(f"{server.url}/healthz").json() == {"ok": True, "problems": []}
        own = {"Authorization": f"Bearer {TOKEN}"}
        asked = {"prompt": "a", "max_tokens": 9, "logit_bias": {"1": -100}}

        def ask() -> None:
            with suppress(httpx.HTTPError):  # the server has ended meanwhile
                httpx.post(f"{server.url}/v1/completions", json=asked, headers=own, timeout=30)

        asking = threading.Thread(target=ask)
        asking.start()
        with house.until() as look:
            while look():
                answer = httpx.get(f"{server.url}/healthz")
                if answer.status_code == 503:
                    break
        assert "stuck" in answer.json()["problems"][0]
        closed = server._served.service
        freed: list[bool] = []
        closed.after = lambda: freed.append(True)
    assert "did not end within" in caplog.text
    assert not freed, "what the step reads is left to it"
    engines[0].let_go.set()
    asking.join()
