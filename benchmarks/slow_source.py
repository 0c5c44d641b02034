"""A server of signed releases that is as slow as a site's line, so that fetching takes a while. Loopback alone."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = 16 * 1024
BYTES_S = 1_500_000


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, *rest: object) -> None:
        self._folder = folder
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = (self._folder / self.path.lstrip("/")).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            self.send_error(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first, size = int(asked[1]) if asked else 0, path.stat().st_size
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(max(0, size - first)))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(first)
            try:
                while chunk := file.read(CHUNK):
                    self.wfile.write(chunk)
                    time.sleep(len(chunk) / BYTES_S)
            except OSError:
                pass  # who asked was killed

    def log_message(self, *_: object) -> None:
        """What is asked for is no news."""


@contextmanager
def slow_source(folder: Path) -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder.resolve())) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
