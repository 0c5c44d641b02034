"""The shadow report as a person reads it on a terminal."""

from __future__ import annotations

from edge_server.signals.shadow.report import ShadowReport, ShadowReports


def text(found: ShadowReports) -> str:
    if not found.intersections:
        return "Nothing was shadowed: no intersection is in mode shadow or advise, or its controller was not heard."
    return "\n\n".join([_one(one) for one in found.intersections] + [found.model])


def _one(one: ShadowReport) -> str:
    lines = [
        f"{one.intersection}: {one.compared_s / 3600:.1f} h compared with {one.control}",
        f"  ours would have commanded the same in {_percent(one.agreement)} of the time",
        f"  the safety check overruled ours in {_percent(one.overruled_share)} of the time",
        f"  cameras saw {_percent(one.seen_share)} of the lanes; {one.arrived:.0f} vehicles came",
        f"  pre-emption and priority would have been granted {one.would_grant} times",
        "",
        f"  {'':<20}{'real':>10}{'ours':>10}",
        f"  {'cycle':<20}{_seconds(one.real.cycle_s):>10}{_seconds(one.ours.cycle_s):>10}",
        f"  {'delay of a vehicle':<20}{_seconds(one.real.delay_s):>10}{_seconds(one.ours.delay_s):>10}",
    ]
    for real, ours in zip(one.real.phases, one.ours.phases, strict=True):
        lines.append(
            f"  {f'green of phase {real.phase}':<20}{_percent(real.green_share):>10}{_percent(ours.green_share):>10}"
        )
    if one.model_ratio is not None:
        lines.append(f"  the modelled queue is {one.model_ratio:.2f} of what was seen to stand")
    lines += [f"  overruled {each.count} times: {each.reason}" for each in one.overruled[:5]]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"
