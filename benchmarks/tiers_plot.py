"""Where which way of answering is the fastest: the cost model of models/escalation, with what a bench measured."""

from __future__ import annotations

from pathlib import Path

from benchmarks.tiers import Figures
from models.escalation.cost import Link, Rounds, Upper, Whole, choose

ACCEPTANCES, MBITS = (0.5, 0.7, 0.9), (0.25, 20.0)
PROMPT, SAID, WIDTH = 40, 64, 256
# Of a step: what each row more costs above, and what a hand-over leaves of it (kin's edge behind the device's exit).
ROW_SHARE, LEFT_SHARE = 0.05, 0.6
NAMES = ("question", "draft", "hidden")
LABELS = ("the whole question (edge-only)", "draft and verify", "hand-over with drafts")
COLOURS = ("#9aa7b5", "#1f5fbf", "#d9822b")


def fastest(rtt_s: float, step_s: float, mbit: float, acceptance: float, draft_s: float) -> tuple[int, float]:
    """Number of the fastest way that gives the edge's answer, and how much faster than the whole question."""
    link = Link(rtt_s, 8e-6 / mbit)
    upper, rest = Upper(step_s, ROW_SHARE * step_s), Upper(LEFT_SHARE * step_s, LEFT_SHARE * ROW_SHARE * step_s)
    whole = Whole(link, upper, 260 + 6 * PROMPT)
    ways = {
        "question": whole,
        "draft": Rounds(link, upper, draft_s, acceptance, row_bytes=5, round_bytes=380),
        "hidden": Rounds(link, rest, draft_s, acceptance, row_bytes=WIDTH + 9, round_bytes=380, row_s=draft_s),
    }
    chosen = choose(ways, PROMPT, SAID)  # type: ignore[arg-type]
    return NAMES.index(chosen.way), whole.seconds(PROMPT, SAID) / chosen.seconds


def draw(figures: Figures, path: Path) -> None:
    """Over round trip and the edge's step time; a column for each acceptance, a row for each bandwidth."""
    import matplotlib as mpl  # noqa: PLC0415 (only a plot needs it, and only the dev extra has it)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    from matplotlib.colors import ListedColormap  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    draft_s = figures.draft_s or 0.002
    rtts, steps = np.geomspace(1e-3, 0.5, 60), np.geomspace(1e-3, 0.5, 60)
    figure, axes = plt.subplots(2, 3, figsize=(9.6, 6.2), sharex=True, sharey=True, constrained_layout=True)
    for row, mbit in enumerate(MBITS):
        for column, acceptance in enumerate(ACCEPTANCES):
            found = [[fastest(r, s, mbit, acceptance, draft_s) for r in rtts] for s in steps]
            way, gain = (
                np.array([[one[0] for one in line] for line in found]),
                np.array([[one[1] for one in line] for line in found]),
            )
            axis = axes[row][column]
            axis.pcolormesh(rtts * 1e3, steps * 1e3, way, cmap=ListedColormap(COLOURS), vmin=-0.5, vmax=2.5)
            lines = axis.contour(rtts * 1e3, steps * 1e3, gain, levels=(1.5, 2, 3, 4), colors="white", linewidths=0.9)
            axis.clabel(lines, fmt=lambda level: f"x{level:g}", fontsize=7)
            axis.set(xscale="log", yscale="log", title=f"acceptance {acceptance:g}, {mbit:g} Mbit/s")
            axis.title.set_fontsize(9)
    for axis in axes[-1]:
        axis.set_xlabel("round trip, ms")
    for line in axes:
        line[0].set_ylabel("a step of the edge, ms")
    patches = [Patch(color=colour, label=label) for colour, label in zip(COLOURS, LABELS, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.suptitle(
        f"Fastest way to the edge's answer, by the cost model (a drafted token: {draft_s * 1e3:.1f} ms)", fontsize=10
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)
