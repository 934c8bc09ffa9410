"""The tables that a study published before.

In: a study. Out: the rows with numbers, as a tidy table. Never: a file that was not understood passed over.
"""

from __future__ import annotations

import pandas as pd

from ..errors import DataError, Fault
from ..study import Study

COLUMNS = ("area", "year", "indicator", "value", "numerator", "denominator", "status")


def earlier_table(study: Study) -> pd.DataFrame:
    """The values that the files of `study.earlier` show; areas and indicators that are no more are left out.

    Parameters
    ----------
    study : Study

    Returns
    -------
    pandas.DataFrame
        `area`, `year`, `indicator`, `value`, `numerator`, `denominator` and `status`, "ok" everywhere.

    Raises
    ------
    DataError
        A file cannot be read, lacks a column, or has text where a number belongs; all of them at once.

    Examples
    --------
    >>> from mekeval import example_study, read_study
    >>> len(earlier_table(read_study(example_study())))
    0
    """
    faults, frames = [], []
    for file in study.spec.study.earlier:
        try:
            frame = pd.read_csv(
                study.folder / file,
                dtype={"area": str, "indicator": str, "status": str},
                keep_default_na=False,
                na_values={name: [""] for name in ("value", "numerator", "denominator")},
            )
            lacking = [name for name in COLUMNS if name not in frame]
            if lacking:
                raise ValueError(f"no column {', '.join(lacking)}")
            shown = frame.loc[frame["status"] == "ok", list(COLUMNS)]
            numbers = {name: pd.to_numeric(shown[name]) for name in ("value", "numerator", "denominator")}
            frames.append(shown.assign(year=pd.to_numeric(shown["year"]).astype("int64"), **numbers))
        except (OSError, ValueError, pd.errors.ParserError) as cause:
            faults.append(
                Fault(
                    what="A table that was published before cannot be read.",
                    where=f"study.toml, study.earlier, {file!r}",
                    found=str(cause)[:120],
                    expected=f"a CSV with the columns {', '.join(COLUMNS)}",
                    fix="Copy indicators.csv of the earlier cleaned set into the study's folder.",
                )
            )
    if faults:
        raise DataError.of(faults)
    names = [one.name for one in study.spec.indicator]
    if not frames:
        return pd.DataFrame(columns=list(COLUMNS))
    whole = pd.concat(frames, ignore_index=True).drop_duplicates()
    return whole.loc[whole["indicator"].isin(names)].reset_index(drop=True)
