"""Errors 105 to 119: models and what they can't do."""

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
