#!/usr/bin/env python3
"""Part of a first boot, by Python's own library alone (3.10 and newer), as nothing else is there yet.

fetch look HOST PORT               ends with 0 when something answers there
fetch authority URL FILE PIN       fetch the edge's authority into FILE, if the hash of its key begins with PIN
fetch get URL FILE SHA256 CA_FILE  fetch into FILE, going on where an earlier try was cut off. SHA256 and CA_FILE may
                                   be empty, but not both: one of them proves where the file comes from.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 30.0
CHUNK = 1 << 20
MOST_PEM = 1 << 14
# 80 bits, in hexadecimal digits.
SHORTEST_PIN = 20
VERSION_TAG = 0xA0


def look(host: str, port: str) -> int:
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError:
        return 1
    return 0


def authority(url: str, target: Path, pin: str) -> int:
    """Whoever answers is not believed: a root is taken for its key alone, which the join code names by 80 bits."""
    try:
        with _open(url, {}, _context("")) as answer:
            pem = json.loads(answer.read(MOST_PEM))["ca"]
        found = key_digest(ssl.PEM_cert_to_DER_cert(pem.strip())).hex()
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"kinflow: {url} could not be fetched: {error}", file=sys.stderr)
        return 1
    if len(pin) < SHORTEST_PIN or not found.startswith(pin):
        print(f"kinflow: who answers at {url} is not the edge server that the join code was made by", file=sys.stderr)
        return 1
    target.write_text(pem)
    return 0


def key_digest(der: bytes) -> bytes:
    """SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 5280, 4.1), as RFC 7469 pins it."""
    certificate = _inside(der, 0)
    begin, end = _inside(der, certificate[0])
    fields = []
    while begin < end:
        after = _inside(der, begin)[1]
        fields.append(der[begin:after])
        begin = after
    if fields[0][0] == VERSION_TAG:
        del fields[0]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo.
    return hashlib.sha256(fields[5]).digest()


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER value at `at` begins and ends."""
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    if begin + length > len(der):
        raise ValueError("the certificate is cut off")
    return begin, begin + length


def get(url: str, target: Path, sha256: str, authority: str) -> int:
    if not sha256 and not authority:
        print("kinflow: this card knows neither the edge's authority nor its bundle's hash", file=sys.stderr)
        return 2
    part = target.with_name(target.name + ".part")
    try:
        _download(url, part, _context(authority))
    except (OSError, ValueError, TypeError) as error:
        print(f"kinflow: {url} could not be fetched: {error}", file=sys.stderr)
        return 1
    if sha256 and _digest(part) != sha256:
        part.unlink()
        print(f"kinflow: what {url} gave is not the bundle that this card was made for", file=sys.stderr)
        return 1
    part.rename(target)
    return 0


def _context(authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The authority belongs to one site and lets only its edge servers be servers, whose names and addresses change.
    context.check_hostname = False
    if authority:
        context.load_verify_locations(cafile=authority)
    else:
        # The hash is what is trusted then; whoever answers can do no more than waste our time.
        context.verify_mode = ssl.CERT_NONE
    return context


def _open(url: str, headers: dict[str, str], context: ssl.SSLContext) -> http.client.HTTPResponse:
    if not url.startswith("https://"):
        raise ValueError("only https:// is fetched")
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (judged above)
    return urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context)  # noqa: S310


def _download(url: str, part: Path, context: ssl.SSLContext) -> None:
    begun = part.stat().st_size if part.exists() else 0
    try:
        answer = _open(url, {"Range": f"bytes={begun}-"} if begun else {}, context)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # It is all there, or it is another file by now: the next try begins anew.
            part.unlink()
        raise
    missing = int(answer.headers["Content-Length"])
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        while chunk := answer.read(CHUNK):
            missing -= file.write(chunk)
    if missing:
        # Python's library takes an answer that was cut off for a short one.
        raise ConnectionError(f"it was cut off, {missing} bytes before its end")


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["look"] and len(arguments) == 3:
        return look(arguments[1], arguments[2])
    if arguments[:1] == ["authority"] and len(arguments) == 4:
        return authority(arguments[1], Path(arguments[2]), arguments[3])
    if arguments[:1] == ["get"] and len(arguments) == 5:
        return get(arguments[1], Path(arguments[2]), arguments[3], arguments[4])
    print(__doc__, file=sys.stderr)
    return 2


sys.exit(main(sys.argv[1:]))
