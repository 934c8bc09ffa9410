"""`mekeval clean`: a study's raw files -> one published set of tidy tables, logs and a report on their quality.

In: a study. Out: a folder that appears as a whole, or not at all; a second call on unchanged files does nothing.
Never: a table from files with a fault, a fault that hides another, or the loss of yesterday's set.

This module is light: it loads neither pandas nor the notebook tools until there is something to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dates import AsOf, as_date
from ..display import Shown
from .key import ask, published, standing

__all__ = ["Cleaned", "clean_study"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Cleaned(Shown):
    """What `clean_study` published, or found unchanged.

    Attributes
    ----------
    folder : Path
        The published set: indicators.csv, releases.csv, log.csv, failures.csv, files.csv, coverage.csv,
        manifest.json, where DuckDB is installed indicators.parquet, and for each language the report.
    reports : tuple of Path
        The pages of the report, one for each language; empty where none was asked for.
    changed : bool
        False where nothing had changed, so that nothing was done.
    files : tuple of str
        A line for each raw file: rows, cells, years, form; empty where nothing was done.
    warnings : mapping of str to int
        Number of warnings by rule.
    summary : str
        How much came out, in a line.
    """

    folder: Path
    reports: tuple[Path, ...]
    changed: bool
    files: tuple[str, ...]
    warnings: Mapping[str, int]
    summary: str


def clean_study(
    study: str | Path,
    *,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    out: str | Path = "clean",
    languages: Sequence[str] | None = None,
    report: bool = True,
    notebooks: str | Path | None = None,
) -> Cleaned:
    """Clean a study and publish what came out, with a report on its quality.

    Parameters
    ----------
    study : str or Path
        The folder of the study, or its `study.toml`.
    raw : str or Path, optional
        Folder of external raw data, as in `read_study`.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year.
    out : str or Path
        The set appears in ``out/<name of the study>``; as of a day, in ``out/<name of the study>@<day>``.
    languages : sequence of str, optional
        Of the report; the study's own by default.
    report : bool
        Whether to make the report.
    notebooks : str or Path, optional
        Folder with another `data_quality.ipynb`.

    Returns
    -------
    Cleaned

    Raises
    ------
    MekevalError
        All faults of the study and its files. Nothing was published, what was published before is as it was, and the
        faults stand as a table beside it, in ``<name of the set>.failures.csv``. A fault of what was asked for, such
        as a study that is not there, leaves no table.

    Examples
    --------
    >>> import tempfile
    >>> from mekeval import example_study
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = clean_study(example_study(), out=folder, report=False)
    ...     again = clean_study(example_study(), out=folder, report=False)
    >>> first.changed, again.changed
    (True, False)
    """
    question = ask(
        study,
        raw=raw,
        as_of=as_date(as_of, where="--as-of"),
        out=out,
        languages=languages or (),
        report=report,
        notebooks=notebooks,
    )
    manifest = standing(question)
    if manifest is None:
        from .make import make

        return make(question)
    with contextlib.suppress(OSError):
        question.refusals.unlink(missing_ok=True)  # what was refused in between stands no more
    folder, reports = published(question, manifest)
    return Cleaned(
        folder=folder,
        reports=reports,
        changed=False,
        files=(),
        warnings={},
        summary=f"Nothing has changed since {manifest['ended']}; nothing was done.",
    )
