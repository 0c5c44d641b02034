"""The one-time join code: what pins an edge server's root, and the secret that lets one device in.

30 letters of Crockford's base 32 in six groups of five: 4 bits of version, 80 of the SHA-256 of the root's
SubjectPublicKeyInfo, 56 of secret, and two check letters of a Reed-Solomon code over GF(32), whose words of up to 31
letters differ in at least three places: one or two mistyped letters, and any two exchanged, are always noticed.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from node.errors import JoinCodeMistyped

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PIN_BYTES = 10
SECRET_BYTES = 7
LETTERS = 30
GROUP = 5
VERSION = 1
SCHEME = "kinflow:"
_DATA = LETTERS - 2
_LIKE = str.maketrans("OIL", "011")
_LINK = re.compile(r"^kinflow:([^@]{1,80})(?:@(.{1,260}))?$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class JoinCode:
    """pin: the beginning of the hash of the root's key. secret: known to who was given the code."""

    pin: bytes
    secret: bytes = field(repr=False)

    def pins(self, digest: bytes) -> bool:
        return digest[:PIN_BYTES] == self.pin


def new_code(pin: bytes) -> JoinCode:
    return JoinCode(pin[:PIN_BYTES], secrets.token_bytes(SECRET_BYTES))


def encode(code: JoinCode) -> str:
    value = VERSION << 136 | int.from_bytes(code.pin, "big") << 56 | int.from_bytes(code.secret, "big")
    letters = [value >> 5 * place & 31 for place in reversed(range(_DATA))]
    text = "".join(ALPHABET[letter] for letter in [*letters, *_checks(letters)])
    return "-".join(text[start : start + GROUP] for start in range(0, LETTERS, GROUP))


def decode(text: str) -> JoinCode:
    """Read a code as people type it: any case, spaces and hyphens anywhere, O for 0, I and L for 1. Raises
    JoinCodeMistyped (KF160), which never repeats it."""
    letters = []
    for letter in text.upper().translate(_LIKE):
        if letter.isspace() or letter in "-_–":
            continue
        if letter not in ALPHABET:
            raise JoinCodeMistyped(detail=f"no code holds the sign {letter!r}")
        letters.append(ALPHABET.index(letter))
    if len(letters) != LETTERS:
        raise JoinCodeMistyped(detail=f"it has {len(letters)} letters and digits, not {LETTERS}")
    if tuple(letters[_DATA:]) != _checks(letters[:_DATA]):
        raise JoinCodeMistyped(detail="a letter is wrong, or two are exchanged")
    value = 0
    for number in letters[:_DATA]:
        value = value << 5 | number
    if value >> 136 != VERSION:
        raise JoinCodeMistyped(detail="it was made by a newer Kinflow")
    return JoinCode(
        (value >> 56 & (1 << 80) - 1).to_bytes(PIN_BYTES, "big"), (value & (1 << 56) - 1).to_bytes(SECRET_BYTES, "big")
    )


def link(code: JoinCode, address: str) -> str:
    """What a QR holds: `kinflow:CODE@HOST:PORT`."""
    return f"{SCHEME}{encode(code)}@{address}"


def read_link(text: str) -> tuple[JoinCode, str]:
    """A code, or a link with the edge server's address, which is "" for a bare code. Raises JoinCodeMistyped."""
    found = _LINK.match(text.strip())
    if found is None:
        return decode(text), ""
    return decode(found[1]), found[2] or ""


def _times(left: int, right: int) -> int:
    """Multiply in GF(32) modulo x^5 + x^2 + 1."""
    product = 0
    while right:
        if right & 1:
            product ^= left
        left <<= 1
        if left & 32:
            left ^= 0b100101
        right >>= 1
    return product


def _checks(letters: list[int]) -> tuple[int, int]:
    """The remainder of the word, moved up by two places, modulo (x + 2)(x + 4): 2 is a primitive element."""
    first, second = 2 ^ 4, _times(2, 4)
    high = low = 0
    for letter in letters:
        feedback = letter ^ high
        high, low = low ^ _times(feedback, first), _times(feedback, second)
    return high, low
