"""Which call answers which case of reference/r_reference.csv: one place for the tests and for docs/methods.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from mekeval import aggregate, build_panel, design_from_cohorts, make_design
from mekeval.design import Design
from mekeval.estimate import (
    Effects,
    bacon_decomposition,
    callaway_santanna,
    covariate_coefficients,
    extended_twfe,
    group_time_att,
    imputation,
    local_projection,
    sun_abraham,
    switchers,
    synthetic_did,
    twfe,
    two_stage,
)
from mekeval.panel import Panel

TOLERANCE = 1e-7  # the reference is rounded to 8 digits
R = Path(__file__).resolve().parents[1] / "reference" / "r_reference.csv"
Figures = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Figures of the reference that one estimator must repeat.

    Attributes
    ----------
    case : str
        Of the reference.
    data : str
        Which data set it is about; see `study`.
    estimator : str
        Name in the registry.
    call : str
        The call, as text.
    source : str
        What printed the figures.
    answer : callable
        From a panel and a design to quantity -> (estimate, standard error); None where the error is another one, and
        `why` says which.
    why : str
    """

    case: str
    data: str
    estimator: str
    call: str
    source: str
    answer: Callable[[Panel, Design], Figures]
    why: str = ""


def figures_of_r() -> pd.DataFrame:
    """The reference, indexed by case and quantity."""
    return pd.read_csv(R).set_index(["case", "quantity"])


@cache
def study(folder: Path, data: str) -> tuple[Panel, Design]:
    """A data set of the reference as a panel and a design."""
    if data == "prop99":
        packs = pd.read_csv(folder / "california_prop99.csv", sep=";")
        panel = build_panel(packs, unit="State", period="Year", outcome=["PacksPerCapita"])
        return panel, make_design(panel.units, [(1989, 2000, ["California"])])
    file, unit, outcomes = {
        "mpdta": ("mpdta.csv", "countyreal", ["lemp"]),
        "stagg": ("base_stagg.csv", "id", ["y", "x1"]),
        "castle": ("castle.csv", "state", ["l_homicide"]),
    }[data]
    frame = pd.read_csv(folder / file)
    if data == "castle":
        first = frame[frame["post"] == 1].groupby("state")["year"].min()
    else:
        column, never = {"mpdta": ("first.treat", 0), "stagg": ("year_treated", 10000)}[data]
        first = frame.groupby(unit)[column].first()
        first = first[first != never]
    cohorts = {str(name): int(year) for name, year in first.items()}
    panel = build_panel(frame, unit=unit, period="year", outcome=outcomes)
    last = int(frame["year"].max())
    return panel, design_from_cohorts(
        panel.units, [cohorts.get(name) for name in panel.units], last_period=last
    )


def _overall(effects: Effects, by: str) -> tuple[float | None, float | None]:
    one = aggregate(effects, by=by)  # type: ignore[arg-type]
    return one.overall, one.overall_se


def _events(effects: Effects) -> Figures:
    table = aggregate(effects, by="event_time").table
    return {f"es_{row.key}": (row.att, row.se) for row in table.itertuples()}


def _after_entry(effects: Effects) -> Figures:
    """Event times from entry on, estimates only."""
    return {name: (att, None) for name, (att, _) in _events(effects).items() if not name.startswith("es_-")}


def _of_did(effects: Effects) -> Figures:
    """All that the reference holds of R's did."""
    cells = {f"att_{row.cohort}_{row.period}": (row.att, row.se) for row in effects.tidy().itertuples()}
    overall = {
        "simple": "simple",
        "group_overall": "path",
        "calendar_overall": "calendar",
        "dynamic_overall": "event_time",
    }
    return {**cells, **{name: _overall(effects, by) for name, by in overall.items()}, **_events(effects)}


def _with_covariate(panel: Panel, design: Design) -> Figures:
    effects = sun_abraham(panel, design, outcome="y", covariates=["x1"])
    (row,) = covariate_coefficients(panel, design, outcome="y", covariates=["x1"]).table.itertuples()
    return {"x1": (row.estimate, row.se), **_events(effects), "att": _overall(effects, "simple")}


def _decomposition(panel: Panel, design: Design) -> Figures:
    parts = bacon_decomposition(panel, design, outcome="l_homicide")
    found: dict[str, tuple[float | None, float | None]] = {}
    for row in parts.by_type().itertuples():
        found[f"weight_{row.type}"], found[f"est_{row.type}"] = (row.weight, None), (row.estimate, None)
    return {**found, "sum": (float((parts.table["weight"] * parts.table["estimate"]).sum()), None)}


def _of_didimputation(effects: Effects) -> Figures:
    return {"att": _overall(effects, "simple"), **_events(effects)}


def _points(figures: Figures) -> Figures:
    return {name: (estimate, None) for name, (estimate, _) in figures.items()}


_DID, _FIXEST = "R did 2.5.1", "R fixest 0.12.2"
_DIDIMPUTATION = "R didimputation 0.5.0"

CASES: tuple[Case, ...] = (
    Case(
        case="mpdta_cs_never",
        data="mpdta",
        estimator="group_time",
        call='group_time_att(panel, design, outcome="lemp", base_period="varying")',
        source=_DID,
        answer=lambda *study: _of_did(group_time_att(*study, outcome="lemp", base_period="varying")),
    ),
    Case(
        case="prop99",
        data="prop99",
        estimator="group_time",
        call='group_time_att(panel, design, outcome="PacksPerCapita")',
        source="R synthdid 0.0.9",
        answer=lambda *study: {
            "did": (_overall(group_time_att(*study, outcome="PacksPerCapita"), "simple")[0], None)
        },
        why="one treated unit has no standard error",
    ),
    Case(
        case="mpdta_cs_never",
        data="mpdta",
        estimator="callaway_santanna",
        call='callaway_santanna(panel, design, outcome="lemp")',
        source=_DID,
        answer=lambda *study: _of_did(callaway_santanna(*study, outcome="lemp")),
    ),
    Case(
        case="mpdta_cs_notyet",
        data="mpdta",
        estimator="callaway_santanna",
        call='callaway_santanna(panel, design, outcome="lemp", comparison="not_yet_treated")',
        source=_DID,
        answer=lambda *study: _of_did(
            callaway_santanna(*study, outcome="lemp", comparison="not_yet_treated")
        ),
    ),
    Case(
        case="mpdta_twfe",
        data="mpdta",
        estimator="twfe",
        call='twfe(panel, design, outcome="lemp")',
        source=_FIXEST,
        answer=lambda *study: {"D": _overall(twfe(*study, outcome="lemp"), "simple")},
    ),
    Case(
        case="stagg_twfe",
        data="stagg",
        estimator="twfe",
        call='twfe(panel, design, outcome="y")',
        source=_FIXEST,
        answer=lambda *study: {"D": _overall(twfe(*study, outcome="y"), "simple")},
    ),
    Case(
        case="castle_twfe",
        data="castle",
        estimator="twfe",
        call='twfe(panel, design, outcome="l_homicide")',
        source=_FIXEST,
        answer=lambda *study: {"post": _overall(twfe(*study, outcome="l_homicide"), "simple")},
    ),
    Case(
        case="mpdta_sunab",
        data="mpdta",
        estimator="sun_abraham",
        call='sun_abraham(panel, design, outcome="lemp")',
        source=_FIXEST,
        answer=lambda *study: (
            _events(effects := sun_abraham(*study, outcome="lemp")) | {"att": _overall(effects, "simple")}
        ),
    ),
    Case(
        case="stagg_sunab_x1",
        data="stagg",
        estimator="sun_abraham",
        call='sun_abraham(panel, design, outcome="y", covariates=["x1"])',
        source=_FIXEST,
        answer=_with_covariate,
    ),
    Case(
        case="mpdta_imputation",
        data="mpdta",
        estimator="extended_twfe",
        call='extended_twfe(panel, design, outcome="lemp")',
        source=_DIDIMPUTATION,
        answer=lambda *study: _points(_of_didimputation(extended_twfe(*study, outcome="lemp"))),
        why="the estimates are those of imputation, the errors those of a regression",
    ),
    Case(
        case="mpdta_imputation",
        data="mpdta",
        estimator="imputation",
        call='imputation(panel, design, outcome="lemp")',
        source=_DIDIMPUTATION,
        answer=lambda *study: _of_didimputation(imputation(*study, outcome="lemp")),
    ),
    Case(
        case="mpdta_imputation",
        data="mpdta",
        estimator="two_stage",
        call='two_stage(panel, design, outcome="lemp")',
        source=_DIDIMPUTATION,
        answer=lambda *study: _points(_of_didimputation(two_stage(*study, outcome="lemp"))),
        why="the estimates are those of imputation, the errors those of two stages",
    ),
    Case(
        case="mpdta_cs_notyet",
        data="mpdta",
        estimator="switchers",
        call='switchers(panel, design, outcome="lemp")',
        source=_DID,
        answer=lambda *study: _after_entry(switchers(*study, outcome="lemp")),
        why="without exits the estimates are those against the not yet treated; errors have n / (n - 1)",
    ),
    Case(
        case="mpdta_sunab",
        data="mpdta",
        estimator="local_projection",
        call='local_projection(panel, design, outcome="lemp", window=(-1, 3), reweight=True, '
        'comparison="never_treated")',
        source=_FIXEST,
        answer=lambda *study: _after_entry(
            local_projection(
                *study, outcome="lemp", window=(-1, 3), reweight=True, comparison="never_treated"
            )
        ),
        why="entries count alike, so the estimates are those of the saturated regression; the errors are its own",
    ),
    Case(
        case="prop99",
        data="prop99",
        estimator="synthetic_did",
        call='synthetic_did(panel, design, outcome="PacksPerCapita")',
        source="R synthdid 0.0.9",
        answer=lambda *study: {
            "sdid": (_overall(synthetic_did(*study, outcome="PacksPerCapita"), "simple")[0], None)
        },
        why="errors come from placebos, `synthetic_placebos`",
    ),
    Case(
        case="castle_bacon",
        data="castle",
        estimator="bacon_decomposition",
        call='bacon_decomposition(panel, design, outcome="l_homicide")',
        source="R bacondecomp 0.1.3",
        answer=_decomposition,
        why="a decomposition has none",
    ),
)
