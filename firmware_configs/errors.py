"""Errors of what is made for boards and servers. 230-239 boot files, 240-249 bundles and installation."""

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
