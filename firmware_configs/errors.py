"""Errors of what is made for boards and servers. 230-239 boot files, 240-249 bundles and installation.

Some are told by install.sh alone, which runs before there is a Python: they stand here so that they have a page.
"""

from __future__ import annotations

from protocol.errors import KinflowError


class JoinCodeMalformed(KinflowError):
    number = 230
    cause = "This is no join code: {detail}."
    advice = "Make one with `kinflow edge code` on the edge server, and copy the whole of it."


class BoardUnknown(KinflowError):
    number = 231
    cause = "There is no board {board!r} here."
    advice = "Choose one of: {known}."


class WifiInvalid(KinflowError):
    number = 232
    cause = "The Wi-Fi can't be set up so: {detail}."
    advice = "Correct it, or leave --wifi out and use a cable."


class SshKeyInvalid(KinflowError):
    number = 233
    cause = "{path} is no public SSH key: {detail}."
    advice = "Name the .pub file of your key, such as ~/.ssh/id_ed25519.pub; the private one never leaves your machine."


class EdgeNameInvalid(KinflowError):
    number = 234
    cause = "{edge!r} can't be the address of an edge server: {detail}."
    advice = "Give its name or address on the local network, such as closet.lan, edge-1.local or 192.168.1.20."


class OutUnusable(KinflowError):
    number = 235
    cause = "The boot files can't be written to {path}: {detail}."
    advice = "Name an empty or new folder, or the boot partition of a freshly flashed card."


class BundleUnfit(KinflowError):
    number = 236
    cause = "The bundle {path} does not fit this board: {detail}."
    advice = "Make the right one with `kinflow bundle --arch {architecture}`, or leave --bundle out."


class LoginNameInvalid(KinflowError):
    number = 237
    cause = "Nobody can log in as {name!r}: {detail}."
    advice = "Choose another name with --user, or leave it out."


class NotRoot(KinflowError):
    number = 240
    cause = "Services of the machine are installed by root, and this is not root."
    advice = "Run it as root, or with sudo: sudo ./install.sh {command}"


class NothingToInstall(KinflowError):
    number = 241
    cause = "There is no bundle for {arch} in {path}."
    advice = "Name a bundle with --from FOLDER (kinflow bundle makes one), or use the one line that your edge shows."


class BundleBroken(KinflowError):
    number = 242
    cause = "The bundle {path} is damaged: {detail}."
    advice = "Copy it again, or make it anew with kinflow bundle."


class WrongMachine(KinflowError):
    number = 243
    cause = "The bundle {path} is for {arch}, this machine is {machine}."
    advice = "Make one with kinflow bundle --arch {machine}."


class WrongPython(KinflowError):
    number = 244
    cause = "The bundle has wheels for Python {pythons}; this machine has {found}."
    advice = "Make one with kinflow bundle --arch {machine} --python {found}."


class JoinFailed(KinflowError):
    number = 245
    cause = "This device could not join the edge {host}."
    advice = "Check the address and the code, then run the same command again: all else is done."


class ServiceNotStarted(KinflowError):
    number = 246
    cause = "{unit} did not start."
    advice = "journalctl -u {unit} tells why; correct the cause and run the same command again."


class WheelsMissing(KinflowError):
    number = 247
    cause = "The packages for {arch} and Python {python} could not be fetched: {detail}."
    advice = "Check the network and pip's settings, then run it again; what was fetched is kept in pip's cache."


class LibraryNotBuilt(KinflowError):
    number = 248
    cause = "llama.cpp for {variant} could not be built: {detail}."
    advice = "{remedy}"


class BundleNotMade(KinflowError):
    number = 249
    cause = "The bundle could not be made: {detail}."
    advice = "Run kinflow bundle from a clone of Kinflow, with an --out folder that you may write to."


class ReleaseRefused(KinflowError):
    number = 239
    cause = "That can't be released: {detail}."
    advice = "docs/releasing.md walks through it; nothing was published."


class SbomNotMade(KinflowError):
    number = 250
    cause = "The list of what Kinflow is made of could not be made: {detail}."
    advice = "Install what is missing, or name another --extra; kinflow sbom lists what is installed here."


class LicenceRefused(KinflowError):
    number = 251
    cause = "{package} must not be handed out with Kinflow: {detail}."
    advice = "Use another package; a licence that was only not recognised is read and written into licences.toml."


class SbomMisfit(KinflowError):
    number = 252
    cause = "{path} has no list of its contents that fits it: {detail}."
    advice = "Make the bundle again with kinflow bundle; nothing was added."
