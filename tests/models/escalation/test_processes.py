"""Tiers as processes: the upper one is killed in the middle of an answer, both answer, and a local answer is local."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.engine.sampling import Sampling
from models.engine.trust import Trust
from models.escalation.answer import Answering, Bit
from models.escalation.http_above import HttpAbove
from models.escalation.port import Question
from models.escalation.receipt import Receipt, Terms
from models.family.manifest import Manifest, read_manifest
from tests.models.engine import tiny
from tests.models.escalation.tiers import PROMPT, Tiny, family, listening

NEVER_ENDS = {tiny.END: float("-inf")}
KINFLOW = [sys.executable, "-W", "error", "-c", "from kinflow.main import main; main()"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with a tiny family in it that somebody has accepted."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "tiny"
    manifest = family(folder)
    trust = Trust(home / "models")
    for part in (*manifest.members, *manifest.continuations):
        assert part.file is not None
        assert part.sha256 is not None
        trust.accept(folder / part.file, part.sha256)
    return home


@pytest.fixture
def edge(home: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    command = [*KINFLOW, "tiers", "serve", "--tier", "edge", "--family", "tiny", "--port", "0", "--exact"]
    process = subprocess.Popen([*command, "--home", str(home)], stdout=subprocess.PIPE, text=True, env=_env(home))
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    yield process, told["url"], Path(told["token_file"]).read_text("ascii").strip()
    process.kill()
    process.wait()
    process.stdout.close()


def _env(home: Path) -> dict[str, str]:
    return {**os.environ, "KINFLOW_HOME": str(home)}


@pytest.mark.parametrize("way", ["question", "draft", "hidden"])
def test_an_edge_that_is_killed_mid_answer_costs_no_word(
    home: Path, edge: tuple[subprocess.Popen[str], str, str], way: str
) -> None:
    process, url, token = edge
    small = Tiny(home / "models" / "tiny", _manifest(home))
    device = small.device()
    above = HttpAbove(url, token, "edge", timeout_s=10)
    answering = Answering(small.here(device), above, Terms(max_tier="edge", way=way), window=1)  # type: ignore[arg-type]
    told, tiers, receipt = "", [], None
    for one in answering.answer(Question(PROMPT, ""), Sampling(max_tokens=240, bias=NEVER_ENDS)):
        if isinstance(one, Receipt):
            receipt = one
            continue
        told += one.text
        tiers.append(one.tier)
        if len(tiers) == 5:
            process.send_signal(signal.SIGKILL)
    assert receipt is not None
    assert receipt.tier == "device"
    assert receipt.code == "KF493"
    assert "answered below it after" in receipt.why
    assert tiers == sorted(tiers, reverse=True), "what the upper tier said comes first, and never again"
    assert tiers[0] == "edge"
    assert tiers[-1] == "device"
    assert told
    above.close()
    device.close()


def test_two_tiers_that_both_answer_give_one_answer(home: Path) -> None:
    """The upper tier's verdict comes after the lower one has stopped waiting: it is heard by nobody."""
    small = Tiny(home / "models" / "tiny", _manifest(home))
    device = small.device()
    late = threading.Event()
    with listening(small.upper()) as port:
        proxy = _Holding(port, late)
        above = HttpAbove(f"http://127.0.0.1:{proxy.port}", "", "edge", timeout_s=0.3)
        terms = Terms(max_tier="edge", way="draft")
        sampling = Sampling(max_tokens=20, bias=NEVER_ENDS)
        bits = Answering(small.here(device), above, terms, window=2).answer(Question(PROMPT, ""), sampling)
        tokens, receipt = [], None
        for one in bits:
            if isinstance(one, Bit) and one.choice is not None:
                tokens.append((one.tier, one.choice.token))
                # From the second round on the answers are held back, and come when this tier goes on by itself.
                proxy.holds = True
                if one.tier == "device":
                    late.set()
            elif isinstance(one, Receipt):
                receipt = one
        assert receipt is not None
        assert receipt.tier == "device"
        assert len(tokens) == 20
        edge_said = [token for tier, token in tokens if tier == "edge"]
        rest = [token for tier, token in tokens if tier == "device"]
        alone = Answering(small.here(device), None, Terms()).answer(
            Question([*PROMPT, *edge_said], ""), Sampling(max_tokens=len(rest), bias=NEVER_ENDS)
        )
        assert rest == [one.choice.token for one in alone if isinstance(one, Bit) and one.choice is not None]
        above.close()
        proxy.close()
    device.close()


def test_a_text_that_is_far_too_long_is_shortened_as_wished(home: Path) -> None:
    asked = ["tiers", "ask", "-", "--family", "tiny", "--max-tokens", "2", "--json"]
    told = []
    for how in ("refuse", "newest", "summarise"):
        command = [*KINFLOW, *asked, "--too-long", how]
        text = "the road is free today. " * 4000 + "is it?"
        told.append(subprocess.run(command, check=False, capture_output=True, text=True, env=_env(home), input=text))
    assert "KF394" in told[0].stderr
    assert all(one.returncode == 0 and json.loads(one.stdout)["prompt_tokens"] > 10 for one in told[1:])


def test_a_local_answer_opens_no_socket(home: Path) -> None:
    code = (
        "import sys\n"
        "def seen(event, arguments):\n"
        "    if event.startswith('socket.'):\n"
        "        raise SystemExit(f'{event} {arguments}')\n"
        "sys.addaudithook(seen)\n"
        "from kinflow.main import main\n"
        "main()\n"
    )
    asked = ["tiers", "ask", "the road", "--family", "tiny", "--max-tokens", "4", "--json"]
    asked += ["--above", "http://127.0.0.1:9"]
    done = subprocess.run(
        [sys.executable, "-c", code, *asked], check=False, capture_output=True, text=True, env=_env(home)
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["tier"], told["bytes_sent"]) == ("device", 0)


def test_the_command_asks_above_and_hands_out_a_receipt(
    home: Path, edge: tuple[subprocess.Popen[str], str, str]
) -> None:
    _, url, _ = edge
    refused = httpx.get(f"{url}/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "KF506")
    asked = ["tiers", "ask", "the road is", "--family", "tiny", "--max-tier", "edge", "--way", "hidden", "--json"]
    more = ["--above", url, "--token-file", str(home / "tier-token"), "--max-tokens", "5"]
    done = subprocess.run([*KINFLOW, *asked, *more], check=False, capture_output=True, text=True, env=_env(home))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["tier"], told["way"], told["code"]) == ("edge", "hidden", "")
    assert told["bytes_sent"] > 0


class _Holding:
    """Between two tiers: what the upper one says waits, while `holds`, until `late`."""

    def __init__(self, port: int, late: threading.Event) -> None:
        self.holds = False
        self._late, self._target = late, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                below, _ = self._listener.accept()
            except OSError:
                return
            above = socket.create_connection(("127.0.0.1", self._target))
            self._open += [below, above]
            for one in (below, above):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(below, above, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(above, below, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, held: bool) -> None:
        try:
            while data := source.recv(65536):
                if held and self.holds:
                    self._late.wait(5)
                sink.sendall(data)
        except OSError:
            pass

    def close(self) -> None:
        self._late.set()
        for one in (self._listener, *self._open):
            one.close()


def _manifest(home: Path) -> Manifest:
    return read_manifest(home / "models" / "tiny")
