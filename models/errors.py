"""Errors 105 to 119 and 360 to 389: models and what they can't do."""

from protocol.errors import KinflowError


class ModelUnreadable(KinflowError):
    number = 105
    cause = "{path} could not be opened as a model: {detail}."
    advice = "Give an ONNX file that is whole; compare its size and hash with those where it came from."


class LayoutUnknown(KinflowError):
    number = 106
    cause = "{path} has no layout that Kinflow knows: it takes {inputs} and gives {outputs}."
    advice = "Export it in one of the layouts {known} (docs/detectors.md), or add a file for its layout."


class ModelUnfit(KinflowError):
    number = 107
    cause = "{path} can't be used as it is: {detail}."
    advice = "Export it again with what is missing, or state it in a manifest beside it (docs/detectors.md)."


class LabelsLacking(KinflowError):
    number = 108
    cause = "{feature} needs {lacking}, which the detector {model} does not find."
    advice = "Use a detector that finds them (the one that comes with Kinflow does), or switch the feature off."


class CompilerMissing(KinflowError):
    number = 360
    cause = "A training graph is to be made, and the package onnx is not there."
    advice = "Install Kinflow's extra `tuning`, or make the graph on another machine: to run one, onnx isn't needed."


class ModelNewer(KinflowError):
    number = 361
    cause = "{path} is of opset {opset}; Kinflow trains networks up to opset {newest}."
    advice = "Export it again with `opset_version={newest}` or less, or update Kinflow."


class ModelUntrainable(KinflowError):
    number = 362
    cause = "{path} can't be trained: {detail}."
    advice = "Export it again for inference, without branches and loops and with distinct names (docs/tuning.md)."


class BatchUnfit(KinflowError):
    number = 363
    cause = "The network does not take batches of {batch}: {detail}."
    advice = "Export it with an open first axis, give --size NAME=LENGTH for other open axes, or take --batch 1."


class OperatorUnknown(KinflowError):
    number = 364
    cause = "The way back leads through {operator} at {where!r}, and {detail}."
    advice = "Train only what lies after it, or add a rule for it in models/tuning/rules (docs/tuning.md lists them)."


class LossUnfit(KinflowError):
    number = 365
    cause = "The loss {loss!r} does not fit: {detail}."
    advice = "Take --loss classification, language or detection, as the network's output is (docs/tuning.md)."


class SchemeEmpty(KinflowError):
    number = 366
    cause = "Nothing can be trained so: {detail}."
    advice = "Choose another scheme, or look at `kinflow tune plan MODEL`, which lists what there is."


class TensorsUnreadable(KinflowError):
    number = 367
    cause = "{path} could not be read as a file of tensors: {detail}."
    advice = "Copy it again; compare its size and hash with those where it came from."


class ProgramUnreadable(KinflowError):
    number = 368
    cause = "The training program {path} can't be run: {detail}."
    advice = "Make it again from the network with `kinflow tune run`, or copy the whole folder again."


class SchemeUnknown(KinflowError):
    number = 369
    cause = "There is no scheme {name!r}."
    advice = "Take a scheme file (NAME.toml) or one of {known}."


class SchemeUnreadable(KinflowError):
    number = 370
    cause = "The scheme {path} can't be used: {detail}."
    advice = "Correct the file; `kinflow tune plan MODEL --tensors` lists the network's tensors (docs/tuning.md)."


class DataUnusable(KinflowError):
    number = 371
    cause = "{path} can't be trained on: {detail}."
    advice = "Give a folder with a folder for each class, or a file of JSON lines (docs/tuning.md)."


class RunDiffers(KinflowError):
    number = 372
    cause = "{path} holds a training of something else: {detail}."
    advice = "Give another --out, or --fresh to begin anew there."


class LossDiverged(KinflowError):
    number = 373
    cause = "At step {step} the loss was no number any more."
    advice = "Run again with a smaller --rate, or with --clip 1; {kept}."


class DeltaUnfit(KinflowError):
    number = 374
    cause = "The delta {path} does not belong to {base}: {detail}."
    advice = "Apply it to the file that it was made from; its manifest names that file's SHA-256."


class WorkerLost(KinflowError):
    number = 375
    cause = "The process that trains ended by itself ({detail})."
    advice = (
        "Run the same command again: it goes on from the last saved state. Killed for memory: take a smaller --batch."
    )
