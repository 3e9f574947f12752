"""The table of the bench, from the results of seeds."""

from statistics import median

import numpy as np
import rig_plants
from scipy.stats import chi2, norm

# Which component is to blame, by the names that findings use; a fault learned from cases has the fault's own name.
TRUTH = {"leak": "lower tank", "wear": "pump", "friction": "valve/position", "drift": "upper/level"}
VERDICTS = ("right", "among", "wrong", "silent")


def poisson_bound(count: int, days: float, confidence: float = 0.95) -> float:
    """Upper bound of a rate per day after `count` events in `days` (Garwood 1936)."""
    return float(chi2.ppf(confidence, 2 * count + 2)) / 2.0 / days


def wilson(hits: float, of: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a share (Wilson 1927)."""
    z, share = norm.ppf(0.5 + confidence / 2.0), hits / of
    middle = (share + z * z / (2.0 * of)) / (1.0 + z * z / of)
    half = z / (1.0 + z * z / of) * np.sqrt(share * (1.0 - share) / of + z * z / (4.0 * of * of))
    return float(middle - half), float(middle + half)


def verdict(fault: str, suspects: dict[str, float], components: dict[str, str]) -> str:
    """right: named alone; among: one of those it cannot tell apart; wrong: not named; silent: none named."""
    if not suspects:
        return "silent"
    blamed = {components.get(name, name) for name in suspects}
    if TRUTH[fault] not in blamed:
        return "wrong"
    return "right" if len(blamed) == 1 else "among"


def table(results: list[dict], name: str) -> str:
    """All of it as text."""
    lines = [f"{name}: {len(results)} rigs, seeds {results[0]['seed']} to {results[-1]['seed']}"]
    if all("faults" in r for r in results):
        lines += ["", *_detection(results), "", *_isolation(results)]
    if all("healthy" in r for r in results):
        lines += ["", *_alarms(results), "", *_bands(results)]
    spent = [r["fit_s"] for r in results]
    lines += ["", f"fit of a twin: {median(spent):.0f} s of processor time ({min(spent):.0f} to {max(spent):.0f})"]
    return "\n".join(lines)


def _detection(results: list[dict]) -> list[str]:
    lines = ["fault      size     found    delay s: median (10 % .. 90 %)   early   first by"]
    for k, (fault, size) in enumerate(rig_plants.CASES):
        rows = [r["faults"][k] for r in results]
        clean = [row for row in rows if not row["early"]]
        delays = [row["delay_s"] for row in clean if row["delay_s"] is not None]
        shown = "-"
        if delays:
            low, middle, high = np.quantile(delays, [0.1, 0.5, 0.9])
            shown = f"{middle:.0f} ({low:.0f} .. {high:.0f})"
        by = [row["by"] for row in clean if row["by"]]
        most = max(set(by), key=by.count) if by else ""
        early = sum(row["early"] for row in rows)
        found = f"{len(delays)}/{len(clean)}"
        lines.append(f"{fault:9} {size:6.4g}   {found:>7}   {shown:>32}   {early:5d}   {most}")
    return lines


def _isolation(results: list[dict]) -> list[str]:
    lines = []
    for when, title in (
        ("first", "isolation 30 s after the alert"),
        ("last", "isolation 300 s after the alert, or at the end"),
    ):
        lines += [f"{title}", f"fault      size     {'  '.join(f'{v:>6}' for v in VERDICTS)}   blamed alone or first"]
        for k, (fault, size) in enumerate(rig_plants.CASES):
            rows = [(r["faults"][k][when], r["components"]) for r in results if r["faults"][k][when] is not None]
            given = [verdict(fault, word[1], components) for word, components in rows]
            first = [components.get(max(w[1], key=w[1].get), "?") for w, components in rows if w[1]]
            counts = "  ".join(f"{given.count(v):6d}" for v in VERDICTS)
            blamed = ", ".join(f"{c} {first.count(c)}" for c in sorted(set(first), key=first.count, reverse=True))
            lines.append(f"{fault:9} {size:6.4g}   {counts}   {blamed}")
        lines.append("")
    return lines[:-1]


def _alarms(results: list[dict]) -> list[str]:
    """An alert within ten minutes of another of the same piece is the same false alarm."""
    days = sum(r["healthy"]["rows"] for r in results) / 86400.0
    judged = sum(r["healthy"]["judged_rows"] for r in results) / 86400.0
    count, seeds = 0, []
    for r in results:
        last = (-1, -1e9)
        own = 0
        for piece, row, _ in r["healthy"]["alerts"]:
            own += piece != last[0] or row - last[1] > 600
            last = (piece, row)
        count += own
        seeds.append(own)
    bound = poisson_bound(count, days)
    worst = max(seeds)
    return [
        f"healthy: {days:.1f} plant-days with mode changes ({judged:.1f} of them judged), {count} false alarms",
        f"         {30.0 * count / days:.2f} in 30 days; upper bound (Poisson, 95 %) {30.0 * bound:.2f} in 30 days",
        f"         rigs with any: {sum(s > 0 for s in seeds)} of {len(seeds)}, most on one rig: {worst}",
    ]


def _bands(results: list[dict]) -> list[str]:
    lines = ["bands of 90 %: rows inside, over rigs (lowest .. highest); one row in 300 s with the Wilson interval"]
    sparse = np.sum([r["healthy"]["inside_sparse"] for r in results], axis=0)
    rows = sum(r["healthy"]["sparse_rows"] for r in results)
    for j, tag in enumerate(results[0]["outputs"]):
        shares = [r["healthy"]["inside"][j] for r in results]
        low, high = wilson(sparse[j], rows)
        held = "holds" if low <= 0.9 <= high else "no"
        mean = float(np.mean(shares))
        lines.append(
            f"  {tag:20} {mean:.3f} ({min(shares):.3f} .. {max(shares):.3f})   "
            f"{sparse[j] / rows:.3f} [{low:.3f}, {high:.3f}] {held}"
        )
    return lines
