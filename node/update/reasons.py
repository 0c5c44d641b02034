"""From an error to the reason that programs read. docs/updates.md lists the codes."""

from __future__ import annotations

import errno

from node.errors import (
    BundleDamaged,
    BundleMalformed,
    BundleUnsafe,
    DiskFull,
    DiskSpaceLow,
    UpdateExpired,
    UpdateNotPossible,
    UpdateOlder,
    UpdateUnreachable,
    UpdateUntrusted,
    VersionUnfit,
)
from node.update.journal import Reason
from protocol.errors import KinflowError

_CODES: dict[type[KinflowError], str] = {
    BundleDamaged: "hash-mismatch",
    BundleMalformed: "bad-bundle",
    BundleUnsafe: "bad-bundle",
    DiskFull: "disk-full",
    DiskSpaceLow: "disk-full",
    UpdateExpired: "expired",
    UpdateNotPossible: "not-possible",
    UpdateOlder: "older",
    UpdateUnreachable: "unreachable",
    UpdateUntrusted: "untrusted",
    VersionUnfit: "unfit",
}
TEXT_LIMIT = 300


def reason_of(error: Exception) -> Reason:
    if isinstance(error, KinflowError):
        return Reason(_CODES.get(type(error), "failed"), f"{error.code}: {error.cause_text}"[:TEXT_LIMIT])
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Reason("disk-full", f"KF{DiskFull.number}: the disk was full while the new version was put in place")
    return Reason("failed", f"{type(error).__name__}: {error}"[:TEXT_LIMIT])
