"""What a model of the owner's says of a camera's picture. It is opened when somebody first asks, on a thread of its
own, and given back after some idle minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDLE_S = 600.0
# A description is a sentence or two.
MOST_TOKENS = 96


class Sighted(Protocol):
    """As `models.serving.seeing.Sight`."""

    def told(self, image: NDArray[Any], question: str, max_tokens: int) -> Iterator[str]: ...
    def close(self) -> None: ...


class Looker:
    """From any thread; one look at a time. name: of the model, as an answer calls it. open_: raises what opening
    weights does, and is tried again with the next look. picture: a camera's newest (BGR), None while there is none."""

    def __init__(
        self,
        name: str,
        open_: Callable[[], Sighted],
        picture: Callable[[str], NDArray[Any] | None],
        idle_s: float = IDLE_S,
    ) -> None:
        self.name = name
        self._open, self._picture, self._idle_s = open_, picture, idle_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="looking")
        self._lock = threading.Lock()
        self._sight: Sighted | None = None
        self._timer: threading.Timer | None = None

    @property
    def loaded(self) -> bool:
        return self._sight is not None

    def look(self, camera: str, question: str) -> str:
        """Its words, "" where there is no picture. Raises KinflowError."""
        image = self._picture(camera)
        if image is None:
            return ""
        self._rest()
        try:
            return self._thread.submit(self._said, image, question).result()
        finally:
            self._rest(self._idle_s)

    def close(self) -> None:
        self._rest()
        self._thread.submit(self._give_back).result()
        self._thread.shutdown()

    def _said(self, image: NDArray[Any], question: str) -> str:
        self._sight = self._sight or self._open()
        return " ".join("".join(self._sight.told(image, question, MOST_TOKENS)).split())

    def _give_back(self) -> None:
        sight, self._sight = self._sight, None
        if sight is not None:
            sight.close()

    def _rest(self, after_s: float | None = None) -> None:
        """Give back after so long, unless it is asked again; None: no more."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            if after_s is not None:
                self._timer = threading.Timer(after_s, lambda: self._thread.submit(self._give_back))
                self._timer.daemon = True
                self._timer.start()
