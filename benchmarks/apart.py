"""Indices of segregation: speed with intervals, and what the correction for small areas achieves.

Coverage and bias: 40 areas whose shares are drawn once from a beta distribution (mean 0.25) stay the same for so many
years; each year persons are drawn anew. The truth is the index of the shares. Bias left is a share of the plain bias.
The peer computes one index of one year at a time and has no intervals of the kind, so it is asked for the six indices
of 13 years without any draw.
"""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pandas as pd
from rows import Row, arguments, row, seconds, show

from mekeval.segregation import segregation_indices
from mekeval.segregation.indices import INDICES, two_group

MEASURED = ("dissimilarity", "gini", "entropy", "gap")


def pysal(group: np.ndarray, total: np.ndarray) -> float | None:
    """Seconds that PySAL's `segregation` needs for six indices of each year; None where it is not installed."""
    if importlib.util.find_spec("segregation") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from segregation import singlegroup as one

        kinds = (one.Dissim, one.Gini, one.Entropy, one.CorrelationR, one.Isolation, one.Interaction)
        frames = [pd.DataFrame({"g": own, "t": people}) for own, people in zip(group.T, total.T, strict=True)]

        def work() -> None:
            for frame in frames:
                for kind in kinds:
                    kind(frame, group_pop_var="g", total_pop_var="t")

        return seconds(work, repeat=3)


def corrected(people: int, *, years: int) -> list[Row]:
    """Coverage of 95 % intervals in per cent, and the bias that the correction leaves."""
    rng = np.random.default_rng(7)
    share = rng.beta(3, 9, size=40)
    total = np.full((40, years), people)
    truth = two_group(share * people, total[:, 0])
    found = segregation_indices(rng.binomial(total, share[:, None]), total, draws=200, seed=1)
    rows = []
    for name in MEASURED:
        table, true = found.series(name), truth[INDICES.index(name)]
        inside = (table["low"] <= true) & (true <= table["high"])
        left = (table["corrected"].mean() - true) / (table["value"].mean() - true)
        size = f"40 areas of {people:,}, {years:,} years"
        rows.append(row(f"{name}: coverage of 95 % intervals", size, 100 * float(inside.mean()), "%"))
        rows.append(row(f"{name}: bias left by the correction", size, 100 * float(abs(left)), "%"))
    return rows


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__ or "")
    rng = np.random.default_rng(1)
    total = rng.integers(300, 8000, size=(60, 13))
    group = rng.binomial(total, rng.beta(4, 16, size=(60, 1)))
    ours = seconds(lambda: segregation_indices(group, total), repeat=3)
    size = "60 areas, 13 years, 10 indices, 1,000 draws"
    rows = [row("indices with intervals", size, ours, "s", at_most=1.0)]
    theirs = pysal(group, total)
    if theirs is not None:
        plain = seconds(lambda: two_group(group.T, total.T), repeat=5)
        size = "60 areas, 13 years, 6 indices, no draws"
        rows.append(
            row("indices alone", size, plain, "s", peer="PySAL", peer_value=theirs, ratio_at_most=1.0)
        )
    for people in (30, 60, 200, 1000):
        rows += corrected(people, years=200 if asked.quick else 2000)
    show(rows, as_json=asked.json)


if __name__ == "__main__":
    main()
