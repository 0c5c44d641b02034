"""The base of Kinflow's error catalogue, and the errors of the wire itself.

An error is a class: its number is its code (`KF12`), its exit status and the name of its page in `docs/errors/`. An
exit status has eight bits, so errors from 300 on share 254, and their code stands in what is printed.
Numbers: 10-29 protocol and site, 30-54 and 160-199 node, 55-74, 79 and 80 agent, 75-78, 81-94 and 200-229 edge
server, 95-101 simulation, 102-104 evaluation, 105-119 models, 120-125 cloud, 230-249 firmware, 250-252 releases, 253
agent, 300-306 and 310-329 edge server, 330 models, 307-309 and 340-359 simulation, 360-459 models, 460-469
evaluation, 470-474 edge server, 475-529 models, 530-534 benchmarks. 126 to 159 mean other things to a shell.
"""

from __future__ import annotations

from typing import ClassVar

_SHARED_STATUS = 254


class KinflowError(Exception):
    """An error that a person may meet: what happened, and what to do about it.

    `cause` and `advice` are templates that the keyword fields fill; fields are kept, so that a log or an API can show
    them apart. Never put a secret into a field.
    """

    number: ClassVar[int] = 0
    cause: ClassVar[str] = ""
    advice: ClassVar[str] = ""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(f"{self.code}: {self.cause_text} {self.advice_text}")

    @property
    def code(self) -> str:
        return f"KF{self.number}"

    @property
    def exit_status(self) -> int:
        return self.number if self.number < _SHARED_STATUS else _SHARED_STATUS

    @property
    def cause_text(self) -> str:
        return self.cause.format(**self.fields)

    @property
    def advice_text(self) -> str:
        return self.advice.format(**self.fields)


def catalogue() -> dict[int, type[KinflowError]]:
    """Every error class that has been imported so far, by number.

    Raises ValueError when two classes claim one number: the number is the identity that documents and scripts rely on.
    """
    found: dict[int, type[KinflowError]] = {}
    queue = list(KinflowError.__subclasses__())
    while queue:
        error = queue.pop()
        queue.extend(error.__subclasses__())
        if error.number in found and found[error.number] is not error:
            raise ValueError(f"{error.__name__} and {found[error.number].__name__} share the number {error.number}")
        found[error.number] = error
    return dict(sorted(found.items()))


class InvalidId(KinflowError):
    number = 10
    cause = "{text!r} is not a valid {kind}."
    advice = "Use 1 to 63 lower-case letters, digits and hyphens, beginning with a letter or a digit."


class MessageMalformed(KinflowError):
    number = 11
    cause = "A message on {topic!r} could not be read: {detail}."
    advice = "Compare the sender with docs/mqtt.md; the message was set aside and counted."


class MessageTooLarge(KinflowError):
    number = 12
    cause = "A message on {topic!r} has {size_bytes} bytes; {limit_bytes} are allowed."
    advice = "Bulk data goes over HTTP; check what publishes to this topic."


class MessageVersionUnknown(KinflowError):
    number = 13
    cause = "A message on {topic!r} speaks protocol version {version}; this side speaks {supported}."
    advice = "Update the older of the two sides."


class TopicForeign(KinflowError):
    number = 14
    cause = "A message from {source!r} arrived on {topic!r}, which is not its own."
    advice = "Give every device an id of its own and let it publish below that id only."


class SiteUnreadable(KinflowError):
    number = 15
    cause = "The site file {path} could not be read: {detail}."
    advice = "Correct the file; `kinflow site check {path}` names every fault at once."


class SiteUnsafe(KinflowError):
    number = 16
    cause = "The site file {path} has {count} faults, the first: {detail}."
    advice = "Run `kinflow site check {path}` and correct each; no signal is steered before that."
