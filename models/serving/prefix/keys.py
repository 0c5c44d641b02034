"""Keys of a prompt's blocks: a chained hash, so that a block's key says all that stands before it, too (CloudMatrix-
Infer's context cache, arXiv 2506.12708, section 4.4).

The chain begins with all that keys and values depend on besides tokens. Equal keys mean equal identity and equal tokens
up to the block's end, as far as SHA-256 has no collisions.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

# Of a block: small, so that little of a prompt that was seen is computed anew; what it costs to move one is below
# 0.1 ms a token on the machine where this was chosen, a hundredth of computing it.
BLOCK_TOKENS = 16


@dataclass(frozen=True)
class Identity:
    """fingerprint: of the weights. layout: how contexts are kept (Facts.layout). engine: name and version of what
    computes. adapters, images: SHA-256 of each, in order. steering: of the directions. salt: the tenant's, so that no
    tenant learns by a fast answer what another one asked."""

    fingerprint: str
    layout: str = ""
    engine: str = ""
    adapters: tuple[str, ...] = ()
    steering: str = ""
    images: tuple[str, ...] = ()
    salt: str = ""
    block_tokens: int = BLOCK_TOKENS

    def root(self) -> bytes:
        found = hashlib.sha256(b"kinflow prefix 1")
        lists = (
            (self.fingerprint, self.layout, self.engine, self.steering, self.salt, str(self.block_tokens)),
            self.adapters,
            self.images,
        )
        for texts in lists:
            # Lengths first: no two identities spell the same bytes.
            found.update(len(texts).to_bytes(4, "little"))
            for one in texts:
                data = one.encode("utf-8", "surrogatepass")
                found.update(len(data).to_bytes(4, "little") + data)
        return found.digest()


def keys_of(identity: Identity, tokens: Sequence[int]) -> list[bytes]:
    """One for each whole block, from the beginning; tokens behind the last whole block have none."""
    size, key, found = identity.block_tokens, identity.root(), []
    for begin in range(0, len(tokens) - size + 1, size):
        key = hashlib.sha256(key + array("q", tokens[begin : begin + size]).tobytes()).digest()
        found.append(key)
    return found
