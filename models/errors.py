"""Errors 105 to 119, 330, 360 to 459 and 475 to 519: models and what they can't do."""

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


class EyesUnfit(KinflowError):
    number = 330
    cause = "{path} can't look at a picture here: {detail}."
    advice = "Use the mmproj file that comes with the model, of one that docs/engine.md names."


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
    advice = "Take the --loss that the network is for: classification, detection or language (docs/tuning.md)."


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
    advice = "Give a folder for each class, pictures with YOLO labels, or JSON lines: docs/tuning.md has each form."


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


class BudgetTooSmall(KinflowError):
    number = 376
    cause = "Nothing that was tried trains {network} within what is allowed: {least}."
    advice = "Allow more memory or time, or take a smaller --batch; what was tried is kept."


class EngineMissing(KinflowError):
    number = 390
    cause = "llama.cpp is not there: {detail}."
    advice = "Install what the family needs: pip install '.[family]' in the clone, or a bundle that holds llama.cpp."


class WeightsUnreadable(KinflowError):
    number = 391
    cause = "{path} is no GGUF file that can be used: {detail}."
    advice = "Compare its size and hash with those where it came from, and copy or download it again."


class WeightsQuarantined(KinflowError):
    number = 392
    cause = "{path} is not known here; its SHA-256 is {sha256}."
    advice = (
        "Compare the hash with the one that the file's maker publishes; if they agree, accept it: "
        "kinflow models verify {path} --accept {sha256}"
    )


class WeightsRefused(KinflowError):
    number = 393
    cause = "llama.cpp did not take {path}: {detail}."
    advice = "Use a model of an architecture that it knows; `kinflow models verify` tells what the file holds."


class ContextTooLong(KinflowError):
    number = 394
    cause = "The context has {tokens} tokens, {excess_tokens} more than the {limit_tokens} that fit."
    advice = "Shorten the text, keep only its newest part, or open the model with a longer context."


class PrimitiveImpossible(KinflowError):
    number = 395
    cause = "{primitive} is not possible with {what}: {detail}."
    advice = "docs/engine.md says which primitive holds for which kind of memory, and what stands in for it."


class StateForeign(KinflowError):
    number = 396
    cause = "A saved part of a context does not fit here: {detail}."
    advice = "Save and load with the same model file and the same settings, pieces in their order; else compute anew."


class SchemaRefused(KinflowError):
    number = 397
    cause = "The JSON schema can't be held to: {detail}."
    advice = "Use the keywords that docs/engine.md lists; none is ignored silently."


class EngineFull(KinflowError):
    number = 398
    cause = "The engine's memory for contexts is full: {detail}."
    advice = "Let a sequence end or forget one, or open the model with a longer context or fewer sequences."


class EngineFailed(KinflowError):
    number = 399
    cause = "llama.cpp could not compute: {detail}."
    advice = "The sequences that took part are gone; ask again. If it stays, run `kinflow models verify` on the file."


class EngineStopped(KinflowError):
    number = 400
    cause = "The computation was stopped on request."
    advice = "Nothing need be done; what the stopped step had begun is forgotten."


class SamplingInvalid(KinflowError):
    number = 401
    cause = "The sampling settings are wrong: {detail}."
    advice = "Correct the value; docs/engine.md gives the range of each."


class HiddenForeign(KinflowError):
    number = 402
    cause = "The hidden states handed over do not fit: {detail}."
    advice = "Both tiers must run members of one version of one family: `kinflow models list` on each tells."


class ManifestWrong(KinflowError):
    number = 403
    cause = "The family's manifest {path} is wrong: {detail}."
    advice = "Correct it, or take the family from its source again; docs/engine.md has the format."


class SplitImpossible(KinflowError):
    number = 404
    cause = "{path} can't be split: {detail}."
    advice = "Split Llama-type models (llama, qwen2, qwen3, qwen3moe), at block numbers that they have."


class QuantizeFailed(KinflowError):
    number = 405
    cause = "{path} could not be quantised: {detail}."
    advice = "Start from a file in F16, BF16, F32 or Q8_0, and look whether there is room on the disk."


class PullFailed(KinflowError):
    number = 406
    cause = "{source} could not be fetched: {detail}."
    advice = "Try again: what has come stays and is continued. Or bring the file by a USB stick and name its folder."


class PullForeign(KinflowError):
    number = 407
    cause = "What came from {source} is not what was asked for: {detail}."
    advice = "Nothing was kept. Compare the hash that you gave with the one that the file's maker publishes."


class PeerMissing(KinflowError):
    number = 408
    cause = "llama-bench, which the engine is compared with, is missing: {detail}."
    advice = "Install a C++ compiler and cmake, and run it again; our own figures hold without it."


class EyesMissing(KinflowError):
    number = 409
    cause = "What turns pictures into a model's input is not there: {detail}."
    advice = (
        "Build it beside llama.cpp, once: `python -m firmware_configs.bundle.llama eyes` in a clone (docs/engine.md)."
    )


class MiddleMute(KinflowError):
    number = 410
    status = 503
    cause = "The answer can't go on at a middle segment: {detail}; a segment has no exit, and chooses no words itself."
    advice = "Bring the tier above back. Members of a nested family (docs/engine.md) go on at each tier."


class FamilyDamaged(KinflowError):
    number = 480
    cause = "The family of weights that comes with Kinflow can't be used: {path}: {detail}."
    advice = "Free some disk space if that is what is said; else install Kinflow again, which brings its weights anew."


class AssistantUntrained(KinflowError):
    number = 486
    cause = "The assistant can't understand questions here: {detail}."
    advice = (
        "Its weights come with Kinflow's own family: compare `kinflow models list`. Notes, settings and the dashboard "
        "work without it."
    )


class QuestionUnfit(KinflowError):
    number = 487
    status = 422
    cause = "This is no question that can be taken: {detail}."
    advice = "Write it in plain words, in at most {limit} characters."


class NameUnknown(KinflowError):
    number = 488
    cause = "There is no {kind} called {name!r} here."
    advice = "{known}"


class FactsMissing(KinflowError):
    number = 489
    cause = "{what} can't be told here: {detail}."
    advice = (
        "Ask on the machine that knows, start what is missing there, or let a higher tier answer (--max-tier edge)."
    )


class SettingRefused(KinflowError):
    number = 490
    cause = "{name!r} of {device} can't be changed by the assistant: {detail}."
    advice = "Change it in that machine's kinflow.toml, by hand; docs/assistant.md lists what can be changed by a word."


class DiaryLocked(KinflowError):
    number = 491
    status = 409
    cause = "The notes in {path} are encrypted: {detail}."
    advice = "Give the passphrase: name a file with it as assistant.key_file, or type it where you are asked."


class DiaryDamaged(KinflowError):
    number = 492
    status = 503
    cause = "An entry of the diary {path} can't be read."
    advice = (
        "It was changed by something else than Kinflow; bring the file back from a copy, or delete it to begin anew."
    )


class TierUnreachable(KinflowError):
    number = 493
    cause = "The {tier} tier gave no answer: {detail}."
    advice = "Check the network and assistant.edge; this machine goes on answering what it knows itself."


class SkillFailed(KinflowError):
    number = 494
    cause = "{tool} failed: {detail}."
    advice = "Ask again; if it stays so, `kinflow support-bundle` gathers what a helper needs."


class ArgumentsUnfit(KinflowError):
    number = 495
    cause = "{tool} can't be done with this: {detail}."
    advice = "Name what it is about; docs/assistant.md lists what each tool takes."


class AssistantBusy(KinflowError):
    number = 496
    status = 503
    cause = "The assistant has {waiting} questions waiting."
    advice = "Ask again in a few seconds."


class NotInDiary(KinflowError):
    number = 497
    status = 404
    cause = "There is no {kind} {name!r} in the diary."
    advice = "List what is there: `kinflow assistant {kind}s`."


class NothingServed(KinflowError):
    number = 500
    status = 404
    cause = "No member is served here: {detail}."
    advice = "Name a family in [serving] of kinflow.toml and start again; `kinflow models list` shows what there is."


class RequestUnserved(KinflowError):
    number = 501
    status = 400
    cause = "The request can't be answered: {detail}."
    advice = "Change that part of the request (docs/tiers.md says what is taken)."


class QueueFull(KinflowError):
    number = 502
    status = 429
    cause = "{waiting} requests are waiting already."
    advice = "Ask again in {wait_s} seconds."


class TierForeign(KinflowError):
    number = 503
    status = 409
    cause = "The two tiers don't belong together: {detail}."
    advice = "Put the same version of the family on both (`kinflow models list`); a whole question needs no such match."


class SessionGone(KinflowError):
    number = 504
    status = 410
    cause = "The session of this answer can't go on: {detail}."
    advice = "Open another one and send the context anew; the device goes on by itself meanwhile."


class WayImpossible(KinflowError):
    number = 505
    status = 400
    cause = "The way {way!r} can't be taken: {detail}."
    advice = "Take another one of question, hidden and draft, or auto, which takes one that can."


class TierTokenMissing(KinflowError):
    number = 506
    status = 401
    cause = "This tier answers only to who brings its token."
    advice = "Send `Authorization: Bearer ...` with what stands in tier-token of the state folder it runs with."


class ResponseGone(KinflowError):
    number = 507
    status = 404
    cause = "The response {response!r} is not kept here, or not any more."
    advice = "Send the whole conversation as input. The newest responses are kept, in memory, unless store is false."


class ModelElsewhere(KinflowError):
    number = 508
    status = 404
    cause = "The model {model!r} is not served here; {here!r} is."
    advice = "Ask for that one, or leave the model out."


class EmbeddingImpossible(KinflowError):
    number = 509
    status = 400
    cause = "The member that is served here gives no embeddings: {detail}."
    advice = "Serve a whole member in [serving] of kinflow.toml, one that lies on this machine."


class KeysUnusable(KinflowError):
    number = 510
    status = 503
    cause = "The file of keys {path} can't be used: {detail}."
    advice = "Let its owner alone read it (chmod 600), or make it anew: `kinflow serving keys add NAME`."


class TenantBusy(KinflowError):
    number = 511
    status = 429
    cause = "This key's tenant has used what it may: {what}."
    advice = "Ask again in {wait_s} seconds, or have its limits raised."


class KeyTaken(KinflowError):
    number = 512
    cause = "There is a key named {name!r} already."
    advice = "Take another name, or revoke that one first: `kinflow serving keys revoke {name}`."


class KeyUnknown(KinflowError):
    number = 513
    cause = "There is no key named {name!r}."
    advice = "`kinflow serving keys list` shows those that there are."


class ServerLeaving(KinflowError):
    number = 514
    status = 503
    cause = "This server is stopping: it ends the answers that it has begun, and begins no others."
    advice = "Ask again in {wait_s} seconds, or another server."


class PrefixDiskRefuses(KinflowError):
    number = 520
    cause = "The prefix cache can't write into {folder}: {detail}."
    advice = "Make room there or lower serving.prefix_disk_mb; answers go on, and are computed anew where need be."


class PrefixFileDamaged(KinflowError):
    number = 521
    cause = "{path} is no block of the prefix cache: {detail}."
    advice = "It was dropped and will be computed anew; if it comes again, check that disk."


class PrefillForeign(KinflowError):
    number = 525
    status = 409
    cause = "The prefill worker and this machine don't belong together: {detail}."
    advice = "Put the same Kinflow, family and [serving] settings on both; prompts are computed here until then."


class PrefillUnproven(KinflowError):
    number = 526
    status = 401
    cause = "{where} did not prove that it knows the secret of the prefill worker."
    advice = "Copy prefill-secret from the worker's state folder to this machine, and name it in [serving]."


class PrefillLost(KinflowError):
    number = 527
    status = 503
    cause = "The prefill worker gave nothing: {detail}."
    advice = "Check that it runs and can be reached; prompts are computed here meanwhile."


class PrefillGarbled(KinflowError):
    number = 528
    status = 502
    cause = "What the prefill worker sent does not add up: {detail}."
    advice = "Update the older of the two sides; nothing of it was used."


class PrefillSecretMissing(KinflowError):
    number = 529
    cause = "The secret of the prefill worker in {path} can't be used: {detail}."
    advice = "Copy prefill-secret from the worker's state folder, for its owner alone (chmod 600)."
