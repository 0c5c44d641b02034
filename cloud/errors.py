"""Errors of the cloud tier."""

from __future__ import annotations

from protocol.errors import KinflowError


class SignerUnknown(KinflowError):
    number = 120
    cause = "The request does not prove which edge server sent it."
    advice = "Join that edge with `kinflow edge join-cloud`; if it was revoked, that is why."


class SignerForeign(KinflowError):
    number = 121
    cause = "{signer!r} sent a status in the name of {edge!r}."
    advice = "Each edge server reports for itself alone; give it an id of its own."


class StatusStale(KinflowError):
    number = 122
    cause = "A status of {edge!r} was heard before, or comes from a run of it that has ended."
    advice = (
        "Nothing to do if it is once; if it goes on, two machines report by one id, or somebody repeats old messages."
    )


class PageTokenMissing(KinflowError):
    number = 123
    cause = "This page and its API need the cloud's token."
    advice = "`kinflow cloud page` on that machine prints the address with the token in it."


class CloudUnknown(KinflowError):
    number = 124
    cause = "There is no {what} here."
    advice = "Look at the address; `kinflow cloud edges` lists the edge servers that have joined."


class CloudRequestInvalid(KinflowError):
    number = 125
    cause = "The request can't be used: {detail}."
    advice = "Compare it with docs/cloud.md."
