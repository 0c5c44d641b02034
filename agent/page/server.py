"""The page's HTTP server: the standard library's, on loopback alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path

from agent.errors import PagePortTaken
from agent.page.assistant import PageAssistant
from agent.page.camera_view import CameraView
from agent.page.requests import PageRequest
from node.token_file import load_or_make_token

LOOPBACK = "127.0.0.1"
# A browser opens six for one page.
MOST_CONNECTIONS = 32
TOKEN_FILE = "agent-token"  # noqa: S105 (the name of a file)


class PageServer:
    """views: the cameras, asked for with each request. assistant: None for a page without one. port 0 takes a free one.
    Raises PagePortTaken (KF74)."""

    def __init__(
        self,
        views: Callable[[], Sequence[CameraView]],
        home: Path,
        port: int,
        assistant: PageAssistant | None = None,
    ) -> None:
        self._assistant = assistant
        self.token = load_or_make_token(home / TOKEN_FILE)
        try:
            self._server = _Server((LOOPBACK, port), views, self.token, assistant)
        except OSError as error:
            raise PagePortTaken(port=port, detail=error.strerror or str(error)) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)

    @property
    def url(self) -> str:
        """Without the token: `kinflow agent page` prints the whole."""
        return f"http://{LOOPBACK}:{self._server.server_port}/"

    @property
    def entry(self) -> str:
        """The address that lets a person in. The token stands behind the #, which a browser keeps to itself."""
        return f"{self.url}#{self.token}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self._assistant is not None:
            self._assistant.close()


class _Server(ThreadingHTTPServer):
    """A thread for each connection, and no more than MOST_CONNECTIONS: one more ends the one that came first."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        views: Callable[[], Sequence[CameraView]],
        token: str,
        assistant: PageAssistant | None,
    ) -> None:
        self.views, self.token, self.assistant = views, token, assistant
        self._inside: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__(address, PageRequest)

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        with self._lock:
            self._inside[request] = None
            if len(self._inside) > MOST_CONNECTIONS:
                first = next(iter(self._inside))
                del self._inside[first]
                with suppress(OSError):
                    first.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:
        with self._lock:
            self._inside.pop(request, None)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Those who are inside are sent away, too: what stops answers nobody."""
        super().server_close()
        with self._lock:
            for request in self._inside:
                with suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
