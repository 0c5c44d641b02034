"""From tokens to text: letters that are spread over tokens, and texts at which an answer stops."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Text:
    """Gives out what is certain: never half a letter, and nothing that may yet turn out to be a stop text."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped_by = ""

    @property
    def stopped(self) -> bool:
        return bool(self.stopped_by)

    def add(self, data: bytes) -> str:
        """What the answer now says more. After a stop text: nothing."""
        return self._given(self._decoder.decode(data), ends=False)

    def end(self) -> str:
        """What was held back, at the answer's end."""
        return self._given(self._decoder.decode(b"", True), ends=True)

    def _given(self, more: str, *, ends: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + more
        places = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            place, self.stopped_by = min(places)
            self._held = ""
            return text[:place]
        keep = 0 if ends else max((_begun(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _begun(text: str, stop: str) -> int:
    """How many letters at the end of the text are the begin of `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
