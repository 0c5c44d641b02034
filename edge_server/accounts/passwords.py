"""Passwords: which are allowed, and how they are kept.

argon2id (RFC 9106) with 32 MiB, two passes and one lane: above the least that OWASP's cheat sheet on password storage
asks for (19 MiB, two passes), and little enough for a server of the size of a Raspberry Pi. One is computed at a time,
so that a crowd at the door takes 32 MiB and one core, and no more.
"""

from __future__ import annotations

import threading
import unicodedata
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edge_server.accounts.common_passwords import STEMS
from edge_server.errors import PasswordRefused, SignInTooOften

SHORTEST = 10
LONGEST = 256
WAITING = 8
_LOOKALIKES = str.maketrans("013457@$!", "oieastasi")


class Hasher:
    """Safe from any thread. Raises SignInTooOften (KF208) when too many wait for their turn."""

    def __init__(self, time_cost: int = 2, memory_kib: int = 32 * 1024) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._turn = threading.Lock()
        self._places = threading.Semaphore(WAITING)

    def hash(self, password: str) -> str:
        with self._turn:
            return self._hasher.hash(_normal(password))

    def verify(self, hashed: str | None, password: str) -> bool:
        """hashed None: of an account that isn't there. It costs the same, so that time tells nobody who is."""
        if not self._places.acquire(blocking=False):
            raise SignInTooOften(wait_s=2)
        try:
            with self._turn:
                found = self._verified(hashed or self._nobody, password)
        finally:
            self._places.release()
        return found and hashed is not None

    def _verified(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, _normal(password))
        except (VerificationError, InvalidHashError):
            return False

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("the password of nobody")


def check_password(password: str, name: str) -> None:
    """Raises PasswordRefused (KF209). Length is what counts; nothing is asked of the kinds of characters."""
    normal = _normal(password)
    if len(normal) < SHORTEST:
        raise PasswordRefused(detail=f"it has fewer than {SHORTEST} characters")
    if len(normal) > LONGEST:
        raise PasswordRefused(detail=f"it has more than {LONGEST} characters")
    if len(set(normal)) < 4:
        raise PasswordRefused(detail="it is made of one, two or three characters")
    folded, own = normal.casefold(), _normal(name).casefold()
    if own in {folded, _piece(folded)} or _stem(folded) in {_stem(own), own}:
        raise PasswordRefused(detail="it is the account's name")
    if _is_run(folded) or _stem(folded) in STEMS or _stem(folded).translate(_LOOKALIKES) in STEMS:
        raise PasswordRefused(detail="it is one of the first that anybody tries")


def _normal(password: str) -> str:
    """The same letters typed on two keyboards are the same password."""
    return unicodedata.normalize("NFKC", password)


def _stem(folded: str) -> str:
    """`kinflow2026!` and `password123456` are the words that they begin with."""
    return folded.strip("0123456789!?.,-_#*+$ ")


def _is_run(folded: str) -> bool:
    """`1234567890`, `abcdefghij`, `9876543210`, `qwertyuiop`, `asdfghjkl;`, or one of these again and again."""
    rows = (
        "12345678901234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop[]",
        "asdfghjkl;'",
        "qazwsxedcrfvtgbyhnujm",
    )
    piece = _piece(folded)
    return any(piece in row or piece[::-1] in row for row in rows)


def _piece(text: str) -> str:
    """The shortest beginning that, again and again, gives the whole: `abcabcab` -> `abc`."""
    for length in range(1, len(text)):
        if (text[:length] * len(text))[: len(text)] == text:
            return text[:length]
    return text
