"""`kinflow bench assistant`: a real agent with a camera and the shipped detector, asked over its own page.

The agent is a process of its own, held to one core as in `kinflow bench agent`, and watches a rendered road meanwhile.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from msgspec import Struct

from agent.detection.detectors import SHIPPED
from agent.page.server import TOKEN_FILE
from benchmarks.agent import AGENT, DEVICE, Listener, peak_rss_mb, render_clip, running, wait_for
from node.broker.host import Kind, start_broker
from node.ports import any_free_port
from sim_devices.render.road import Road

# The agent calls its own place so; nothing here is learnt by heart by anybody.
PLACE = "Mill Street"
QUESTIONS = (
    "How is Mill Street?",
    "How full was Mill Street over the last 10 minutes?",
    "Is there an emergency vehicle anywhere?",
    "Which devices are offline?",
    "Does the camera of bench-agent work?",
    "Remember that the cabinet key hangs behind the door",
    "What did I say about the cabinet key?",
    "Good morning!",
)
ANSWER_TIMEOUT_S = 60.0
_MB = 1_000_000


class Figures(Struct, kw_only=True):
    """ready_s: from the first question of all to the first piece of its answer, the weights' loading within.
    first_token_ms: the median of the same for all later questions; first_token_ms_p95: all but one in twenty. rss_mb:
    the agent's peak, with camera, detector and assistant; rss_before_mb: before anybody asked. unsure: of the later
    questions, the share that was answered by "I don't know"."""

    ready_s: float
    first_token_ms: float
    first_token_ms_p95: float
    rss_mb: float
    rss_before_mb: float
    questions: int
    unsure: float


@dataclass(frozen=True)
class _Answer:
    first_s: float
    answer: str


def measure(broker: Kind, rounds: int) -> Figures:
    """Everything that it starts has ended when this returns. RuntimeError with the assistant's own words where it can't
    answer."""
    with tempfile.TemporaryDirectory(prefix="kinflow-bench-") as folder:
        root = Path(folder)
        clip, _, points = render_clip(root)
        host = start_broker(broker, root / "broker", any_free_port(), "bench-password")
        try:
            address, port = host.address, any_free_port()
            url = f"mqtt://{address.username}:{address.password}@{address.host}:{address.port}"
            command = [*AGENT, "--camera", str(clip), "--road", points, "--broker", url, "--id", DEVICE]
            command += ["--road-width", str(Road().width_m), "--road-length", str(Road().visible_length_m)]
            command += ["--detector", SHIPPED, "--port", str(port)]
            with Listener(address) as listener, _named(PLACE), running(command, root / "home") as process:
                wait_for(lambda: len(listener.observations) >= 8, process)
                return _figures(process, port, (root / "home" / TOKEN_FILE).read_text().strip(), rounds)
        finally:
            host.stop()


def _figures(process: psutil.Popen, port: int, token: str, rounds: int) -> Figures:
    before_mb = process.memory_info().rss / _MB
    ready = _ask(port, token, QUESTIONS[0])
    later = [_ask(port, token, question) for _ in range(rounds) for question in QUESTIONS]
    first_ms = sorted(1000 * one.first_s for one in later)
    return Figures(
        ready_s=round(ready.first_s, 3),
        first_token_ms=round(statistics.median(first_ms), 1),
        first_token_ms_p95=round(first_ms[min(len(first_ms) - 1, int(0.95 * len(first_ms)))], 1),
        rss_mb=round(peak_rss_mb(process), 1),
        rss_before_mb=round(before_mb, 1),
        questions=len(later),
        unsure=round(sum(one.answer.startswith("I don't know") for one in later) / len(later), 3),
    )


def _ask(port: int, token: str, question: str) -> _Answer:
    """Until the last line; how long it took to the first piece of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_TIMEOUT_S)
    body = json.dumps({"question": question, "conversation": "bench"})
    began_s, first_s, answer = time.perf_counter(), None, ""
    try:
        connection.request("POST", "/api/assistant/ask", body, {"Authorization": f"Bearer {token}"})
        lines = connection.getresponse()
        while line := lines.readline():
            said: Mapping[str, str] = json.loads(line)
            if said.get("type") == "piece" and first_s is None:
                first_s = time.perf_counter() - began_s
            if said.get("type") == "reply":
                answer = said["answer"]
            if "cause" in said:
                raise RuntimeError(f"{said['code']}: {said['cause']} {said['advice']}")
    finally:
        connection.close()
    if first_s is None:
        raise RuntimeError("the assistant's answer broke off")
    return _Answer(first_s, answer)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What the agent is called: by the environment that it inherits."""
    os.environ["KINFLOW_DEVICE_NAME"] = name
    try:
        yield
    finally:
        del os.environ["KINFLOW_DEVICE_NAME"]
