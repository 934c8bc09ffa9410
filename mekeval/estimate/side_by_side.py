"""One question put to several estimators.

In: a panel, a design, names of estimators. Out: a table of their averages. Never: an estimator that fell silently out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from ..design import Design
from ..errors import DesignError, MekevalError, closest
from ..panel import Panel
from .aggregate import aggregate
from .effects import Effects, errors_with_reasons, reasons_of


def side_by_side(
    panel: Panel,
    design: Design,
    *,
    outcome: str,
    estimators: Mapping[str, Callable[..., Effects]],
) -> pd.DataFrame:
    """What several estimators say of one outcome, on average over the years in the programme.

    Estimators that average differently answer different questions: a difference between two of them is no error, and
    says how much the answer depends on what is averaged and compared.

    Parameters
    ----------
    panel : Panel
    design : Design
    outcome : str
    estimators : mapping of str to callable
        By name, as `mekeval.ESTIMATORS`; with ``functools.partial`` for one with options.

    Returns
    -------
    pandas.DataFrame
        One row for each, in their order: `estimator`, `estimate` and `se` (in the outcome's unit; missing where
        `note` says why), `n_units`, `n_rows` (unit-periods, or differences), `base` and `note`.

    Raises
    ------
    DesignError
        There is no estimator to ask.

    Notes
    -----
    Each year in the programme counts by the treated units in it, for every estimator that has an effect for each.

    The standard errors are each estimator's own. With few treated units they are too small, all of them.

    Examples
    --------
    >>> from mekeval import ESTIMATORS, build_panel, make_design
    >>> frame = pd.DataFrame({
    ...     "area": sorted("abcdef" * 4), "year": [1, 2, 3, 4] * 6, "indicator": "y",
    ...     "value": [1.0, 2, 5, 6, 2, 3, 6, 7, 1, 2, 3, 5, 0, 1, 2, 3, 3, 4, 5, 6, 1, 3, 4, 5],
    ... })
    >>> design = make_design(list("abcdef"), [(3, 4, ["a", "b"])])
    >>> some = {name: ESTIMATORS[name] for name in ("group_time", "twfe")}
    >>> found = side_by_side(build_panel(frame), design, outcome="y", estimators=some)
    >>> [round(float(one), 2) for one in found["estimate"]]
    [1.75, 1.75]
    """
    if not estimators:
        raise DesignError("There is no estimator to ask.", expected="at least one of mekeval.ESTIMATORS")
    rows = []
    for name, estimator in estimators.items():
        try:
            rows.append({"estimator": name, **_average(estimator(panel, design, outcome=outcome))})
        except MekevalError as error:
            rows.append({"estimator": name, "note": error.faults[0].what})
    columns = ["estimator", "estimate", "se", "n_units", "n_rows", "base", "note"]
    table = pd.DataFrame(rows).reindex(columns=columns)
    kinds = {"estimate": "Float64", "se": "Float64", "n_units": "Int64", "n_rows": "Int64"}
    return table.astype(kinds).fillna({"base": "", "note": ""})


def known_estimators(
    names: Sequence[str], known: Mapping[str, Callable[..., Effects]], *, where: str
) -> dict[str, Callable[..., Effects]]:
    """Estimators by name.

    Raises
    ------
    DesignError
        A name is none of them.
    """
    for name in names:
        if name not in known:
            raise DesignError(
                "There is no such estimator.", where=where, found=repr(name), expected=closest(name, known)
            )
    return {name: known[name] for name in names}


def _average(effects: Effects) -> dict[str, object]:
    on = (effects.cells["phase"] == "on").to_numpy()
    if (
        len(effects.cells) == 1
    ):  # a regression with one coefficient, some of them with an error of their own kind
        cell = effects.tidy().iloc[0]
        estimate, se, note = cell["att"], cell["se"], cell["se_note"]
    elif effects.cells["cohort"].isna().all() and effects.influence is not None:
        # One path of all treated: `aggregate` would give an event time that few reached the weight of the others.
        weights = on * effects.cells["n_treated"].to_numpy(dtype=float) / effects.cells["n_treated"][on].sum()
        estimate = float(weights @ effects.cells["att"].to_numpy(dtype=float))
        lacking = next((reason for reason in reasons_of(effects)[on] if reason), "")
        errors, (note,) = errors_with_reasons(
            (effects.influence @ weights)[:, None], np.array([lacking], dtype=object), effects.scale
        )
        se = errors[0]
    else:
        average = aggregate(effects, by="simple")
        estimate, se, note = average.overall, average.overall_se, average.overall_se_note
    return {
        "estimate": estimate,
        "se": se,
        "n_units": effects.n_units,
        "n_rows": effects.n_rows,
        "base": effects.base_period,
        "note": note,
    }
