"""Which part of Kinflow answers to which name. Adding a command is adding a line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mount:
    """`attribute` of `module` is a typer.Typer (a group of commands) or a plain function (one command).

    libraries: what importing `module` loads that not every processor runs, by its name in node/hardware/libraries.toml.
    """

    module: str
    attribute: str
    summary: str
    libraries: tuple[str, ...] = ()


VISION = ("numpy", "opencv", "onnxruntime")


MOUNTS = {
    "agent": Mount("agent.cli", "app", "Watch cameras and tell what the road does: `agent run`.", VISION),
    "edge": Mount("edge_server.cli", "app", "Gather, decide, steer and show: `edge run`."),
    "cloud": Mount("cloud.cli", "app", "The tier above edge servers: `cloud run`."),
    "city": Mount("sim_devices.cli", "app", "A simulated city with all of it in one process group: `city run`."),
    "join": Mount("node.trust.cli", "join", "Join an edge server by a one-time code."),
    "watch": Mount("agent.cli", "watch", "Measure one file or camera, and draw what is seen into a video.", VISION),
    "calibrate": Mount("agent.cli", "calibrate", "Click a road's four corners in the browser.", VISION),
    "site": Mount("node.site_cli", "app", "Judge a site file: `site check`."),
    "config": Mount("node.config.cli", "app", "Write, check and show the settings."),
    "ask": Mount("models.assistant.cli", "ask", "Ask one question about this site, in plain words."),
    "chat": Mount("models.assistant.cli", "chat", "Talk with the assistant; nothing need leave this machine."),
    "assistant": Mount("models.assistant.cli", "app", "The assistant's notes and corrections: list, delete, encrypt."),
    "mcp": Mount("models.assistant.cli", "mcp", "Serve the assistant's tools to programs that speak MCP."),
    "models": Mount("models.family.cli", "app", "Weights: list, pull, verify, split, quantize, card."),
    "tiers": Mount("models.escalation.cli", "app", "Text by a family's members: answer, escalate, serve a tier."),
    "serving": Mount("models.serving.cli", "app", "Serve weights to many: `serving run FILE.gguf`, `serving prefill`."),
    "firmware": Mount("firmware_configs.cli", "app", "Make boot files for boards that join by themselves."),
    "hardware": Mount("node.hardware.cli", "hardware", "Tell what this machine is, and what it can carry."),
    "update": Mount("node.update.cli", "app", "Look for a new version, install it, or go back."),
    "self-test": Mount(
        "node.update.self_test", "self_test", "Does this version work on this machine? Asked by updates."
    ),
    "time": Mount("node.time.cli", "app", "Tell who knows the time, and let the clock follow."),
    "doctor": Mount("node.doctor.cli", "doctor", "Check this installation, and say what to do."),
    "support-bundle": Mount("node.support_bundle", "support_bundle", "Gather what a helper needs, without secrets."),
    "bundle": Mount(
        "firmware_configs.bundle.cli", "bundle", "Gather all that one kind of machine needs, to carry there."
    ),
    "release": Mount("firmware_configs.release.cli", "app", "Sign and publish releases, for maintainers."),
    "sbom": Mount("firmware_configs.sbom.cli", "sbom", "List what Kinflow is made of, with licences, as CycloneDX."),
    "tune": Mount(
        "models.tuning.cli", "app", "Train a network on this machine: `tune plan`, `tune search`, `tune run`.", VISION
    ),
    "eval": Mount("benchmarks.eval.cli", "app", "Judge how good answers are, against labels.", VISION),
    "bench": Mount("benchmarks.cli", "app", "Measure speed and size; figures as JSON."),
}
