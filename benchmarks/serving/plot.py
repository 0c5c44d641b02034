"""A replay as a picture: when each first token came over the time of its sending, and how long the gaps were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving.answer import Answer
from benchmarks.serving.figures import Slo

COLOURS = ("#1f5fbf", "#d9822b", "#5b8c3a", "#8c4a8c", "#9aa7b5", "#b03a3a", "#3a8c8c", "#6b6b3a")
FAILED, LIMIT = "#b03a3a", "#444444"


def draw(runs: dict[str, Sequence[Answer]], slo: Slo | None, title: str, path: Path) -> None:
    """runs: by what stands in the legend."""
    import matplotlib as mpl  # noqa: PLC0415 (only a plot needs it, and only the dev extra has it)

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (over, gaps) = plt.subplots(1, 2, figsize=(10.5, 4.6), constrained_layout=True)
    figure.suptitle(title, fontsize=10)
    for (name, answers), colour in zip(runs.items(), COLOURS * len(runs), strict=False):
        began_s = min((one.intended_s for one in answers), default=0.0)
        firsts = [(one.intended_s - began_s, one.ttft_s) for one in answers if one.ttft_s is not None]
        failed = [one.intended_s - began_s for one in answers if one.failure]
        over.plot([x for x, _ in firsts], [max(1e-3, y) for _, y in firsts], ".", ms=4, color=colour, label=name)
        over.plot(failed, [over.get_ylim()[0] or 1e-3] * len(failed), "x", color=FAILED, clip_on=False)
        ordered = sorted(gap * 1e3 for one in answers for gap in one.gaps_s)
        beyond = [1 - place / len(ordered) for place in range(len(ordered))]
        gaps.plot([max(0.05, one) for one in ordered], beyond, drawstyle="steps-post", color=colour, label=name)
    if slo is not None:
        over.axhline(slo.ttft_s, color=LIMIT, lw=1, ls="--")
        gaps.axvline(slo.tbt_ms, color=LIMIT, lw=1, ls="--")
    over.set(xlabel="to be sent, s after the first", ylabel="first token, s after that", yscale="log")
    gaps.set(
        xlabel="gap between two pieces of text, ms", ylabel="share of gaps that are longer", xscale="log", yscale="log"
    )
    for axes in (over, gaps):
        axes.grid(alpha=0.25, which="both")
    figure.legend(*gaps.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
