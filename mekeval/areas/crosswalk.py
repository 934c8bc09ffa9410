"""A tidy table carried from one list of areas to another by weights.

In: a tidy table and the share of each area that goes to each other area. Out: the table for the other areas: counts
are shared, rates computed again from shared numerators and denominators. Never: a mean of rates, a part that is
missing unseen, or people who get lost between two maps.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
import pandas as pd

from ..errors import DataError, Fault, closest
from .tables import refuse
from .weights import complete_weights, refuse_columns, weight_key

TIDY = ("area", "year", "indicator", "value", "numerator", "denominator", "status", "source", "vintage")
#: Nobody lives there, or the quantity does not exist there: such a part adds nothing.
_NOBODY = ("not_applicable", "empty_area")
#: What a target is when one of its parts is without a number, the gravest first; any other reason comes after these.
_REASONS = ("suppressed", "confidential", "overflow", "implausible", "missing")


def crosswalk(
    table: pd.DataFrame,
    weights: pd.DataFrame,
    *,
    counts: Collection[str] = (),
    plain: Literal["refuse", "carry"] = "refuse",
    main_part: float = 0.9,
    tiny: float = 0.0,
    unlisted: Literal["refuse", "keep"] = "refuse",
    remainder: str | None = None,
    minimum_base: float = 0.0,
) -> pd.DataFrame:
    r"""Carry a tidy table to other areas.

    For a rate, with :math:`w_{ij}` the share of area *i* that goes to area *j*,

    .. math:: y_j = 100 \frac{\sum_i w_{ij} n_i}{\sum_i w_{ij} d_i},

    for a count :math:`y_j = \sum_i w_{ij} y_i`.

    Parameters
    ----------
    table : pandas.DataFrame
        The columns of `TIDY`, a row for each area, year and indicator, as `clean_indicators` gives it. It is not
        changed.
    weights : pandas.DataFrame
        `from_code`, `to_code`, `weight` (share of the first that goes to the second, 0 to 1) and, where they hold
        for the data of one year only, `year`; `share_of_target` (share of the second that this part makes up, 0 to 1)
        for `tiny`; `begins`, whether the area may not be there yet (see `change_weights`). From `overlaps`,
        `change_weights` or `read_weights`.
    counts : collection of str
        Indicators whose `value` is a number of persons or things, to be shared by weight.
    plain : {"refuse", "carry"}
        What to do with values that are neither rates nor counts, such as medians, which cannot be computed for other
        areas: refuse them, or carry the value of the area that makes up most of the target by its base. A carried
        value has the status "carried", which no evaluation takes for a value.
    main_part : float
        The least share of a target's base that an area must make up for its plain value to be carried; else the
        status is "not_shared".
    tiny : float
        Parts without a number whose weight and `share_of_target` are at most this are left out, and `source` names
        them; any other makes the whole target have no number, with the reason of the part. More than 0 only with
        weights that have `share_of_target`: a small part of one area may be nearly all of another.
    unlisted : {"refuse", "keep"}
        What to do with areas of the table that the weights do not name: refuse them, or keep them as they are.
    remainder : str, optional
        Where the weights of an area sum to less than 1, the code to which the rest goes, such as "elsewhere";
        without it a shortfall is refused. Sums within `ROUNDING` of 1 are scaled to 1.
    minimum_base : float
        Targets with fewer people than this in the denominator become "confidential".

    Returns
    -------
    pandas.DataFrame
        The columns of `TIDY`, in the order of area, indicator and year. `vintage` is the newest of the parts,
        `source` names all of them, joined by "; ", and after them the parts that `tiny` left out.

    Raises
    ------
    DataError
        All faults at once: a missing column, a row or a pair twice, a weight outside 0 to 1, a sum of weights that
        is not 1, an area without weights, a plain value, a rate whose value is not 100 times its numerator over its
        denominator.

    Notes
    -----
    Weights by area take people to live evenly; `by` in the weights says what they are shares of. A part that is not
    in the table at all makes its target "missing", but for an area that `begins` after that year and has no row in
    any such year. Numbers of persons are not rounded.

    Examples
    --------
    >>> rows = [("A", 2020, "rate", 10.0, 10, 100), ("B", 2020, "rate", 30.0, 90, 300)]
    >>> table = pd.DataFrame(rows, columns=list(TIDY[:6])).assign(status="ok", source="f.csv", vintage=2021)
    >>> weights = pd.DataFrame({"from_code": ["A", "B"], "to_code": ["C", "C"], "weight": [1.0, 1.0]})
    >>> crosswalk(table, weights)[["area", "value", "numerator", "denominator"]].values.tolist()
    [['C', 25.0, 100.0, 400.0]]
    """
    _refuse_options(plain=plain, unlisted=unlisted, tiny=tiny, main_part=main_part)
    if tiny > 0 and "share_of_target" not in weights:
        raise DataError(
            "Whether a part is tiny cannot be told: the weights do not say how much of its target it makes up.",
            where="weights",
            found=", ".join(map(str, weights.columns)),
            expected="'share_of_target'",
            fix="Add the share of each target that the part makes up, or leave tiny at 0.",
        )
    kinds = _kinds(table, frozenset(counts), plain)
    weights = complete_weights(weights, remainder)
    # Merging and grouping is faster on numbers than on text; the numbers have the order of the texts.
    codes = {
        *table["area"].astype(str).unique(),
        *weights["from_code"].unique(),
        *weights["to_code"].unique(),
    }
    areas, indicators = pd.Index(sorted(codes)), pd.Index(sorted(table["indicator"].unique()))
    rows = table.loc[:, list(TIDY)].assign(
        area=areas.get_indexer(table["area"].astype(str)),
        indicator=indicators.get_indexer(table["indicator"]),
    )
    weights = weights.assign(
        from_code=areas.get_indexer(weights["from_code"]), to_code=areas.get_indexer(weights["to_code"])
    )
    kind = kinds.reindex(indicators).to_numpy(object)
    parts = _parts(rows, weights, areas, unlisted)
    out = _joined(rows, parts, kind, areas, tiny=tiny, main_part=main_part, minimum_base=minimum_base)
    return out.assign(area=areas[out["area"]].astype(str), indicator=indicators[out["indicator"]])


def _refuse_options(*, plain: str, unlisted: str, tiny: float, main_part: float) -> None:
    faults = [
        Fault(
            what="There is no such choice.",
            where=name,
            found=repr(value),
            expected=" or ".join(map(repr, known)),
        )
        for name, value, known in (
            ("plain", plain, ("refuse", "carry")),
            ("unlisted", unlisted, ("refuse", "keep")),
        )
        if value not in known
    ]
    faults += [
        Fault(what="A share must lie between 0 and 1.", where=name, found=repr(value))
        for name, value in (("tiny", tiny), ("main_part", main_part))
        if not 0 <= value <= 1
    ]
    refuse(faults, DataError)


def _kinds(table: pd.DataFrame, counts: frozenset[str], plain: str) -> pd.Series[str]:
    """Of each indicator, by its name: "rate", "count" or "plain"; the table is checked on the way."""
    refuse_columns(table, TIDY, "table")
    key = ["area", "year", "indicator"]
    twice = table.loc[table.duplicated(key), key].head(20)
    faults = [
        Fault(what="A row stands twice.", where="table", found=", ".join(map(str, row)))
        for row in twice.itertuples(index=False, name=None)
    ]
    ok = table.loc[table["status"] == "ok", [*key, "value", "numerator", "denominator"]]
    known = set(table["indicator"].unique())
    faults += [
        Fault(
            what="There is no such indicator.",
            where="counts",
            found=repr(name),
            expected=closest(name, map(str, known)),
        )
        for name in sorted(counts - known)
    ]
    has_parts = ok["numerator"].notna() & ok["denominator"].notna()
    rated = set(ok.loc[ok["numerator"].notna(), "indicator"].unique()) - counts
    there = set(ok["indicator"].unique())
    kinds = {name: "count" if name in counts else "rate" if name in rated else "plain" for name in known}
    kind = ok["indicator"].map(kinds)
    lacking = ((kind == "rate") & ~has_parts) | ((kind != "rate") & ok["value"].isna())
    for row in ok.loc[lacking, key].head(20).itertuples(index=False, name=None):
        what = "A value that is said to be there has no number behind it, or no numerator and denominator."
        faults.append(Fault(what=what, where="table", found=", ".join(map(str, row))))
    with np.errstate(divide="ignore", invalid="ignore"):
        again = 100 * ok["numerator"].to_numpy(float) / ok["denominator"].to_numpy(float)
    off = (kind == "rate") & has_parts & ~(np.abs(ok["value"] - again) <= 0.05 + 1e-6 * np.abs(again))
    for row in ok.loc[off].head(20).to_dict("records"):
        faults.append(
            Fault(
                what="A rate is not 100 times its numerator over its denominator.",
                where=f"table, {row['area']}, {row['year']}, {row['indicator']}",
                found=f"{row['value']:g}",
                expected=f"100 x {row['numerator']:g} / {row['denominator']:g}",
            )
        )
    if plain == "refuse":
        faults += [
            Fault(
                what="A plain value cannot be computed for other areas.",
                where=f"table, indicator {name!r}",
                expected="a rate with numerator and denominator, or a count",
                fix='Name it in counts if it is one, leave it out, or carry it as it is: plain="carry".',
            )
            for name in sorted(name for name, of in kinds.items() if of == "plain" and name in there)
        ]
    refuse(faults, DataError)
    return pd.Series(kinds, dtype=object)


def _parts(table: pd.DataFrame, weights: pd.DataFrame, areas: pd.Index[str], unlisted: str) -> pd.DataFrame:
    """Which part of which area goes where, for every area and year of the table; areas are positions in `areas`."""
    pairs = table[["area", "year"]].drop_duplicates()
    parts = pairs.assign(from_code=pairs["area"]).merge(weights, on=weight_key(weights), how="left")
    parts = parts.drop(columns="from_code")
    lone = parts["to_code"].isna()
    if lone.any() and unlisted == "refuse":
        codes = [str(code) for code in areas[parts.loc[lone, "area"].unique()]]
        raise DataError(
            "The weights do not name areas of the table.",
            where="weights",
            found=", ".join(codes[:12]) + (f" and {len(codes) - 12} more" if len(codes) > 12 else ""),
            expected="a weight for each area that has data",
            fix='Add their weights, leave the areas out, or keep them as they are: unlisted="keep".',
        )
    parts["weight"] = parts["weight"].where(~lone, 1.0)
    parts["to_code"] = parts["to_code"].where(~lone, parts["area"]).astype(int)
    # Areas that have weights but no row in a year are parts all the same: without them the target is not whole.
    years = pd.DataFrame({"year": np.unique(table["year"].to_numpy())})
    full = weights if "year" in weights else weights.merge(years, how="cross")
    full = full.rename(columns={"from_code": "area"})
    gone = full.merge(pairs, on=["area", "year"], how="left", indicator=True)
    gone = gone.loc[(gone["_merge"] == "left_only") & gone["year"].isin(years["year"])].drop(columns="_merge")
    if "begins" in weights:
        # An area with data of a year in which it might not have begun was there all the time, and lacks a year.
        there = set(parts.loc[parts["begins"].eq(True), "area"])
        gone = gone.loc[~gone["begins"] | gone["area"].isin(there)]
    return pd.concat([parts, gone], ignore_index=True)


def _joined(
    rows: pd.DataFrame,
    parts: pd.DataFrame,
    kinds: np.ndarray,
    areas: pd.Index[str],
    *,
    tiny: float,
    main_part: float,
    minimum_base: float,
) -> pd.DataFrame:
    # Every target is asked for every indicator and year that any of its parts has.
    cells = rows.merge(parts[["area", "year", "to_code"]], on=["area", "year"])
    cells = cells[["to_code", "year", "indicator"]].drop_duplicates()
    long = cells.merge(parts, on=["to_code", "year"]).merge(
        rows, on=["area", "year", "indicator"], how="left"
    )
    long["status"] = long["status"].fillna("missing")
    long["kind"] = kinds[long["indicator"].to_numpy()]
    weight = long["weight"].to_numpy(float)
    small = weight <= tiny
    if "share_of_target" in long:
        small &= long["share_of_target"].fillna(1.0).to_numpy(float) <= tiny
    ok = (long["status"] == "ok").to_numpy()
    lacking = ~ok & ~long["status"].isin(_NOBODY).to_numpy()
    blocking = lacking & ~small
    long["left_out"] = lacking & small
    long["rank"] = np.where(
        blocking,
        long["status"].map({name: at for at, name in enumerate(_REASONS)}).fillna(len(_REASONS)),
        np.inf,
    )
    rate = (long["kind"] == "rate").to_numpy()
    for name in ("value", "numerator", "denominator"):
        long[f"w_{name}"] = np.where(ok, weight * long[name].to_numpy(float), 0.0)
    long["ok"], long["no_base"] = ok, ok & long["denominator"].isna().to_numpy()
    long.loc[long["no_base"], "w_denominator"] = 0.0
    long.loc[~rate, "w_numerator"] = 0.0
    key = ["to_code", "indicator", "year"]
    out = long.groupby(key, sort=True, as_index=False).agg(
        value=("w_value", "sum"),
        numerator=("w_numerator", "sum"),
        denominator=("w_denominator", "sum"),
        rank=("rank", "min"),
        any_ok=("ok", "any"),
        no_base=("no_base", "any"),
        kind=("kind", "first"),
        vintage=("vintage", "max"),
    )
    blocked = long.loc[np.isfinite(long["rank"])].sort_values("rank", kind="stable").drop_duplicates(key)
    others = long.loc[~ok].drop_duplicates(key)  # nobody there, in all of the parts
    reason = out.merge(blocked[[*key, "status"]], on=key, how="left")["status"]
    empty = out.merge(others[[*key, "status"]], on=key, how="left")["status"]
    status = reason.where(reason.notna(), empty.where(~out["any_ok"], "ok")).fillna("ok").astype(object)
    is_rate = (out["kind"] == "rate").to_numpy()
    status[is_rate & (status == "ok").to_numpy() & (out["denominator"] <= 0).to_numpy()] = "empty_area"
    base_known = ~out["no_base"].to_numpy()
    few = (out["denominator"] < minimum_base).to_numpy() & base_known
    status[few & (status == "ok").to_numpy()] = "confidential"
    value = out["value"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(is_rate, 100 * out["numerator"] / out["denominator"], value)
    is_plain = (out["kind"] == "plain").to_numpy()
    good = (status == "ok").to_numpy()
    if is_plain.any():
        carried = _carried(long.loc[(long["kind"] == "plain") & ok], out[key], key, main_part)
        value = np.where(is_plain, carried, value)
        status[is_plain & good] = np.where(np.isnan(carried[is_plain & good]), "not_shared", "carried")
    shown = status.isin(["ok", "carried"]).to_numpy()
    return pd.DataFrame(
        {
            "area": out["to_code"],
            "year": out["year"].astype(int),
            "indicator": out["indicator"],
            "value": np.where(shown, value, np.nan),
            "numerator": np.where(shown & is_rate, out["numerator"], np.nan),
            "denominator": np.where(shown & base_known, out["denominator"], np.nan),
            "status": status.to_numpy(),
            "source": _sources(long, out[key], key, areas),
            "vintage": out["vintage"].astype("Int64")
            if out["vintage"].isna().any()
            else out["vintage"].astype(int),
        }
    )


def _carried(plain: pd.DataFrame, targets: pd.DataFrame, key: list[str], main_part: float) -> np.ndarray:
    """For each target the plain value of the part that makes up most of it; NaN where none makes up enough."""
    total = plain.groupby(key, sort=False)["w_denominator"].transform("sum").to_numpy(float)
    only = plain.groupby(key, sort=False)["area"].transform("size").to_numpy() == 1
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(only, 1.0, plain["w_denominator"].to_numpy(float) / total)
    share = np.where(
        plain.groupby(key, sort=False)["no_base"].transform("any").to_numpy() & ~only, 0.0, share
    )
    main = (
        plain.assign(share=share).loc[share >= main_part].sort_values("share", ascending=False, kind="stable")
    )
    main = main.drop_duplicates(key)
    return targets.merge(main[[*key, "value"]], on=key, how="left")["value"].to_numpy(float)


def _sources(long: pd.DataFrame, targets: pd.DataFrame, key: list[str], areas: pd.Index[str]) -> np.ndarray:
    """Names of the files behind each target; few targets have more than one."""
    named = long.dropna(subset=["source"])[[*key, "source"]].drop_duplicates().sort_values([*key, "source"])
    several = named.duplicated(key, keep=False)
    joined = named.loc[several].groupby(key, as_index=False)["source"].agg("; ".join)
    table = pd.concat([named.loc[~several], joined])
    found = targets.merge(table, on=key, how="left")["source"].fillna("").to_numpy(object)
    if long["left_out"].any():
        parts = long.loc[long["left_out"]].sort_values([*key, "area"])
        parts = parts.assign(said=areas[parts["area"]].astype(str) + " (" + parts["status"].astype(str) + ")")
        said = parts.groupby(key, as_index=False)["said"].agg(", ".join)
        left = targets.merge(said, on=key, how="left")["said"].to_numpy(object)
        found = np.array(
            [
                of if pd.isna(out) else "; ".join([*([of] if of else []), f"left out: {out}"])
                for of, out in zip(found, left, strict=True)
            ],
            dtype=object,
        )
    return found
