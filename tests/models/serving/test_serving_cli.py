"""`kinflow serving run`: one file, accepted first, answers by OpenAI's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from models.engine.trust import Trust, fingerprint
from tests.models.engine import tiny

KINFLOW = [sys.executable, "-c", "from kinflow.main import main; main()"]


def test_a_file_is_served_once_it_was_accepted(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tiny.dense(tmp_path / "little.gguf")
    command = [*KINFLOW, "serving", "run", str(file), "--port", "0", "--context", "128", "--sequences", "2"]
    command += ["--threads", "1", "--home", str(home)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert "KF392" in refused.stderr
    assert refused.stdout == ""

    Trust(home / "models").accept(file, fingerprint(file))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        assert told["model"] == "little"
        token = Path(told["token_file"]).read_text().strip()
        body = {"model": "little", "prompt": "abc", "max_tokens": 3, "temperature": 0}
        asked = urllib.request.Request(
            f"{told['url']}/v1/completions",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["usage"]["prompt_tokens"] >= 1
    finally:
        process.terminate()
        status = process.wait(30)
        process.stdout.close()
    assert status == 0
