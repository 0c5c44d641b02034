"""The modes of a site's intersections, in a file that outlives a restart and is alike on both edge servers of a pair.

`signal-modes.json` in the state folder. The command line changes it too, while the server runs: who writes holds the
lock beside it, and reads it again first.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from edge_server.errors import ModeNotThatWay, ModesUnusable, ModesUnwritable, NotKnown
from edge_server.signals.modes.mode import Mode, Setting, changed, is_higher, lower_of, merged, starting
from node.trust.keys import write_whole
from protocol.errors import KinflowError
from protocol.ids import IntersectionId
from protocol.site import Site

FILE_NAME = "signal-modes.json"
BROKEN = "the file of modes could not be read"

log = structlog.get_logger("edge.modes")

Listener = Callable[[IntersectionId, Setting], None]


class SharedModes(Struct, frozen=True, kw_only=True):
    """Of each intersection that somebody has changed, the latest."""

    settings: Mapping[IntersectionId, Setting] = {}


class ModeBook:
    """Safe from any thread. alarm: raise or clear one of our own: its slug, the error, whether it stands."""

    def __init__(
        self,
        site: Site,
        home: Path,
        edge: str,
        wall_ms: Callable[[], int],
        alarm: Callable[[str, KinflowError, bool], None] = lambda *_: None,
    ) -> None:
        self.path = home / FILE_NAME
        self._edge, self.wall_ms, self._alarm = edge, wall_ms, alarm
        self._starting = {one.id: starting(one, site) for one in site.intersections}
        self._lock = threading.RLock()
        self._kept: dict[IntersectionId, Setting] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._listeners: list[Listener] = []
        self._unwritten = False
        self._broken: ModesUnusable | None = None
        self._read()

    def of(self, intersection: IntersectionId) -> Setting:
        """Raises NotKnown (KF92)."""
        with self._lock:
            first = self._starting.get(intersection)
            if first is None:
                raise NotKnown(kind="intersection", name=intersection[:63])
            kept = self._kept.get(intersection)
            if kept is None:
                return first
            return kept if kept.fits(first) else replace(first, seen=kept.seen)

    def all(self) -> dict[IntersectionId, Setting]:
        with self._lock:
            return {one: self.of(one) for one in self._starting}

    def watch(self, listener: Listener) -> None:
        """Hear of each change; from whatever thread made it."""
        self._listeners.append(listener)

    def attach(self, alarm: Callable[[str, KinflowError, bool], None]) -> None:
        self._alarm = alarm
        if self._broken is not None:
            alarm("signal-modes-unusable", self._broken, True)

    def lift(self, intersection: IntersectionId, mode: Mode, by: str, reason: str) -> Setting:
        """To a higher mode. Raises NotKnown (KF92), ModeNotThatWay (KF305), ModesUnwritable (KF304): then it is as it
        was."""
        return self._change(intersection, mode, by, reason, upwards=True)

    def lower(self, intersection: IntersectionId, mode: Mode, by: str, reason: str) -> Setting:
        """To a lower mode, at once. What can't be written holds all the same until this process ends, and is told.
        Raises NotKnown (KF92), ModeNotThatWay (KF305)."""
        return self._change(intersection, mode, by, reason, upwards=False)

    def look(self) -> None:
        """Once a second or so: take in what the command line has changed, write what could not be written."""
        with self._telling(), self._lock:
            if self._unwritten:
                try:
                    self._write({})
                except OSError:
                    return
            elif self._stamp_now() != self._stamp:
                self._read()

    def shared(self) -> SharedModes:
        """For the other edge server of a pair."""
        with self._lock:
            return SharedModes(settings=dict(self._kept))

    def merge(self, theirs: SharedModes) -> bool:
        """Take over what the other edge server of a pair knows; whether anything is another than before."""
        with self._telling(), self._lock:
            fresh = {
                one: found
                for one, their in theirs.settings.items()
                if (found := merged(self._kept.get(one, _nothing(their)), their)) != self._kept.get(one)
            }
            if not fresh:
                return False
            try:
                self._write(fresh)
            except OSError as error:
                self._could_not_write(error)
                # What takes away is never put off.
                self._kept.update(
                    {one: new for one, new in fresh.items() if one in self._starting and self._is_lower(one, new)}
                )
            return True

    def _is_lower(self, intersection: IntersectionId, new: Setting) -> bool:
        return is_higher(self.of(intersection).mode, new.mode)

    def _change(self, intersection: IntersectionId, mode: Mode, by: str, reason: str, *, upwards: bool) -> Setting:
        with self._telling(), self._lock:
            if self._stamp_now() != self._stamp and not self._unwritten:
                self._read()
            now = self.of(intersection)
            if mode == now.mode or is_higher(mode, now.mode) != upwards:
                raise ModeNotThatWay(
                    intersection=intersection, mode=now.mode, wanted=mode, way="higher" if upwards else "lower"
                )
            fresh = changed(now, mode, self._edge, by, reason, self.wall_ms())
            try:
                self._write({intersection: fresh})
            except OSError as error:
                problem = self._could_not_write(error)
                if upwards:
                    raise problem from error
                self._kept[intersection] = fresh
            if self._broken is not None:
                self._alarm("signal-modes-unusable", self._broken, False)
                self._broken = None
            return self.of(intersection)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell the listeners, without the lock, of what is another mode afterwards."""
        before = self.all()
        yield
        for intersection, setting in self.all().items():
            if setting != before[intersection]:
                for listener in self._listeners:
                    listener(intersection, setting)

    def _could_not_write(self, error: OSError) -> ModesUnwritable:
        problem = ModesUnwritable(path=self.path, detail=str(error))
        if not self._unwritten:
            self._alarm("signal-modes-unwritable", problem, True)
        self._unwritten = True
        return problem

    def _write(self, fresh: Mapping[IntersectionId, Setting]) -> None:
        """With what is known here, and what another process has written meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f"{FILE_NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = {**self._merged_with_file(), **fresh}
            write_whole(self.path, msgspec.json.encode(SharedModes(settings=kept)))
            self._kept, self._stamp = kept, self._stamp_now()
        if self._unwritten:
            self._unwritten = False
            self._alarm("signal-modes-unwritable", ModesUnwritable(path=self.path, detail="no longer"), False)

    def _merged_with_file(self) -> dict[IntersectionId, Setting]:
        kept = dict(self._kept)
        try:
            written = _decode(self.path)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return kept
        for one, setting in written.settings.items():
            kept[one] = merged(kept[one], setting) if one in kept else setting
        return kept

    def _read(self) -> None:
        """A file that can't be read gives no controller away: at most shadow, until a person raises it again."""
        self._stamp = self._stamp_now()
        if self._stamp is None:
            return
        try:
            self._kept = self._merged_with_file() if self._kept else dict(_decode(self.path).settings)
            _decode(self.path)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._broken = ModesUnusable(path=self.path, detail=str(error)[:200])
            log.error(str(self._broken))
            known = self.all()
            self._kept = {
                one: changed(now, lower_of(now.mode, "shadow"), self._edge, "", BROKEN, self.wall_ms())
                for one, now in known.items()
            }
            self._alarm("signal-modes-unusable", self._broken, True)
            try:
                self.path.rename(self.path.with_name(f"{FILE_NAME}.broken"))
                self._write({})
            except OSError as failure:
                self._could_not_write(failure)

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _decode(path: Path) -> SharedModes:
    return msgspec.json.decode(path.read_bytes(), type=SharedModes)


def _nothing(of: Setting) -> Setting:
    """What is older than any change."""
    return replace(of, mode="act", seen={}, at_ms=0)
