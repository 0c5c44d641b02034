"""Errors 102 to 104, 460, 461: what an evaluation is given. 462 to 464, 530 to 532: serving. 465 to 469: signals."""

from protocol.errors import KinflowError


class LabelsUnreadable(KinflowError):
    number = 102
    cause = "{path}, line {line}: {detail}."
    advice = (
        "Write a line for each thing: `class x y width height`, the class counted in --names from 0, the rest 0 to 1."
    )


class PictureUnreadable(KinflowError):
    number = 103
    cause = "{path} could not be read as a picture: {detail}."
    advice = "Copy it again, or take it and its labels out of the set: what is left out silently is no figure."


class NameUnknown(KinflowError):
    number = 104
    cause = "The labels use {names}, which neither the model {model} nor --map knows."
    advice = "Rename with --map old=new. The model finds: {known}."


class RunFailed(KinflowError):
    number = 465
    cause = "A simulation of {controller} (demand {demand}, seed {seed}) ended without figures: {detail}."
    advice = "Run the same command with `--seeds 1 --controllers {controller}`; what it prints says what is wrong."


class ControllerUnknown(KinflowError):
    number = 466
    cause = "{name!r} is no controller of this bench."
    advice = "There are: {known}."


class DemandUnknown(KinflowError):
    number = 467
    cause = "{name!r} is no demand for the scenario {scenario}."
    advice = "The grid has light, heavy and saturated; a scenario file has its own, named as-given."


class PeerFailed(KinflowError):
    number = 469
    cause = "{engine} could not be measured: {detail}."
    advice = "Check the environment that was given for it; leave the option out to measure Kinflow alone."


class QuestionsUnreadable(KinflowError):
    number = 460
    cause = "{path} could not be read as questions: {detail}."
    advice = "Write a line of JSON for each: question, entities, tool, arguments (docs/assistant.md has an example)."


class TextTooShort(KinflowError):
    number = 461
    cause = "The text that a family is to be judged on has fewer than two tokens."
    advice = "Give a text of some pages with --text, or leave the option out for the one that comes with Kinflow."


class TraceUnreadable(KinflowError):
    number = 462
    cause = "The trace {path} could not be read, line {line}: {detail}."
    advice = "Correct or delete that line, or fetch the file again; docs/serving.md tells what each kind of trace has."


class TraceUnknown(KinflowError):
    number = 463
    cause = "{name} is no trace that Kinflow can read: {detail}."
    advice = "Give a file of BurstGPT, Azure or Mooncake, a .toml of clients, or one of made:burstgpt and made:clients."


class ServerUnmeasured(KinflowError):
    number = 464
    cause = "The server {url} can't be measured: {detail}."
    advice = "Check that it runs and speaks OpenAI's protocol; name its key with --token-file, and --api completions."


class PeerNotStarted(KinflowError):
    number = 530
    cause = "{server} is not there to be compared with: {detail}."
    advice = "Correct the cause, or leave it out by naming the others with --servers."


class CaseWithoutTrace(KinflowError):
    number = 531
    cause = "The case {case} replays {file}, which is not here."
    advice = "Fetch it from Azure/AzurePublicDataset (data/, CC BY 4.0) and name it with --trace FILE."


class LogOther(KinflowError):
    number = 532
    cause = "{path} holds turns of another bench, or is no such log."
    advice = "Give the same case, model, servers and sizes as when it was begun, or name another file with --log."
