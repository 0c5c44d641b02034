"""The one line that installs a device from this edge server, and the script that it fetches.

Trust begins with the line, which a person copies: it pins the key of this server's certificate, so that curl speaks to
this server or to nobody, and the script that comes names the SHA-256 of each bundle. See docs/install.md.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge_server.bundles.shelf import Shelved

INSTALL = "/install"
BUNDLES = "/bundles"

_SCRIPT = """\
#!/bin/sh
# Installs Kinflow from the edge server that this came from: sh -s -- agent --edge HOST --join CODE
# Everything is a function that is called in the last line: half a script does nothing.
set -eu

BASE={base}
ARM64={arm64}
X86_64={x86_64}

fail() {{
    printf '\\nKF%d: %s\\nWhat to do: %s\\n' "$1" "$2" "$3" >&2
    exit "$1"
}}

main() {{
    case $(uname -m) in
        aarch64 | arm64) arch=arm64 sha256=$ARM64 ;;
        x86_64) arch=x86_64 sha256=$X86_64 ;;
        *) fail 243 "Kinflow has no bundle for this processor ($(uname -m))." 'It runs on 64-bit x86 and ARM.' ;;
    esac
    [ -n "$sha256" ] || fail 241 "This edge server has no bundle for $arch." \\
        "Make one (kinflow bundle --arch $arch) and put its .tar into bundles/ of the edge server's state folder."
    command -v bash > /dev/null || fail 36 'bash is missing.' 'Install it: sudo apt-get install bash'
    folder=$(mktemp -d "${{TMPDIR:-/var/tmp}}/kinflow-install.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 130' INT TERM
    echo "Fetching the bundle for $arch from $BASE"
    # Its hash is what is trusted: this server's certificate is known to nobody else.
    curl -fkSL --retry 3 -o "$folder/bundle.tar" "$BASE{bundles}/$arch.tar" ||
        fail 247 "The bundle could not be fetched from $BASE." 'Check the network and run the line again.'
    echo "$sha256  $folder/bundle.tar" | sha256sum -c - > /dev/null 2>&1 ||
        fail 242 'The bundle is not the one that the edge server named.' \\
            'Run the line again; if it stays so, ask who else answers there.'
    tar -x -f "$folder/bundle.tar" -C "$folder" --no-same-owner
    rm "$folder/bundle.tar"
    # A question may be answered at the terminal: standard input is this script.
    if [ -t 1 ] && [ -e /dev/tty ] && (: < /dev/tty) 2> /dev/null; then
        bash "$folder"/kinflow-*/install.sh "$@" < /dev/tty
    else
        bash "$folder"/kinflow-*/install.sh "$@"
    fi
}}

main "$@"
"""


def script(base: str, bundles: Iterable[Shelved | None]) -> str:
    """What the line fetches. base: the address under which the asker reached us, without a slash at its end."""
    known = {one.arch: one.sha256 for one in bundles if one is not None}
    return _SCRIPT.format(
        base=shlex.quote(base),
        bundles=BUNDLES,
        arm64=shlex.quote(known.get("arm64", "")),
        x86_64=shlex.quote(known.get("x86_64", "")),
    )


def pin(certificate: Path) -> str:
    """curl's name for the key of a certificate. Raises OSError or ValueError."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"sha256//{b64encode(digest).decode('ascii')}"


def line(host: str, port: int, pinned: str, code: str = "CODE") -> str:
    """The one line. -k leaves the certificate's signer unasked; the pin is asked instead, and it is one key alone."""
    shown = f"[{host}]" if ":" in host else host
    fetch = ["curl", "-fsSk", "--pinnedpubkey", pinned, f"https://{shown}:{port}{INSTALL}"]
    run = ["sudo", "sh", "-s", "--", "agent", "--edge", host, "--join", code]
    return f"{shlex.join(fetch)} | {shlex.join(run)}"
