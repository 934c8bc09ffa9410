"""A folder to start from: the example, or a study of one's own municipality made from national data.

In: where, and of which municipality. Out: a folder with a study that runs, notebooks, and what a person must still
decide. Never: a programme that does not exist shown as one; areas that a rule proposes are called candidates.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..areas import fold
from ..definition import RAW_VARIABLE, definition_bytes, definition_tables
from ..design import Rule, Selection, apply_rule, rule_criteria
from ..errors import MekevalError, RunError
from ..indicators import Indicators, clean_indicators
from ..panel import build_panel
from ..shipped import example_study, shipped
from ..sources import read_source
from ..study import Catalogue, SourceSpec, read_catalogue, read_study, terms
from ..study.files import checksum
from .paavo import Municipality, municipality
from .written import areas_csv, programme_toml, readme, study_toml

__all__ = ["NewStudy", "copy_example", "new_study"]

_TEMPLATE = ("data", "finnish-area-statistics", "study.toml")
_INDICATORS = ("low_income_rate", "unemployment_rate", "basic_education", "median_income")
_CRITERIA = _INDICATORS[:3]
#: Adults behind the low-income rate; about 1,000 residents.
_SMALLEST = 800
_CHOOSE = 5
#: A programme that began so long before the last year of data has years before and after it.
_AGO = 4


@dataclass(frozen=True, kw_only=True)
class NewStudy:
    """What was written.

    Attributes
    ----------
    folder : Path
        The study.
    municipality : Municipality
    candidates : Selection
        Who the rule would choose, with everybody's score.
    first, year : int
        The first year of the programme as it stands in the study, and the last year with data.
    files : tuple of str
        Raw files that the study uses.
    left_out : tuple of str
        Raw files that are not there, are not the ones known, or say nothing of the municipality.
    """

    folder: Path
    municipality: Municipality
    candidates: Selection
    first: int
    year: int
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def copy_example(path: Path) -> Path:
    """Copy the example study and the notebooks into a new folder; the study's folder.

    Raises
    ------
    RunError
        The folder is not empty, or cannot be written.
    """
    _refuse_full(path)
    leave = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    folder = path / "data" / "vantaa-mek"
    try:
        shutil.copytree(example_study(), folder, ignore=leave)
        # The lock is of the example's plan, not of what becomes of it here.
        (folder / "plan.lock").unlink(missing_ok=True)
        _copy_notebooks(path)
    except OSError as cause:
        raise RunError("The folder cannot be written.", where=str(path), found=str(cause)) from None
    return folder


def new_study(
    path: str | Path,
    *,
    municipality_of: str,
    raw: str | Path | None = None,
    areas: Sequence[str] = (),
    first: int | None = None,
) -> NewStudy:
    """Write a study of a Finnish municipality from Statistics Finland's Paavo, by postal area.

    The areas, their names, places and neighbours in size come from the data; the rule (the worst off by low income,
    unemployment and basic education) proposes the areas of the programme, unless they are given. The study runs as it
    is; until somebody names the real areas every report says that they are candidates and that nothing was done.

    Parameters
    ----------
    path : str or Path
        A new folder: `data/NAME` with the study and `notebooks` are made in it.
    municipality_of : str
        The municipality's Finnish name, or its code of three digits ("853").
    raw : str or Path, optional
        The folder that holds `statfi-paavo`; else the variable MEKEVAL_RAW.
    areas : sequence of str
        Codes or names of the programme's real areas, where they are known.
    first : int, optional
        First year of the programme; by default four years before the last year of data.

    Returns
    -------
    NewStudy

    Raises
    ------
    RunError
        The folder is not empty; the raw data or the municipality are not known; it has too few areas.
    StudyError, DataError
        A raw file that is there cannot be read; an area is not known.

    Examples
    --------
    >>> new_study("turku", municipality_of="Turku", raw="no/such/folder")
    Traceback (most recent call last):
    mekeval.errors.RunError: The folder of raw data is not there.
      where: --raw
      found: 'no/such/folder'
      expected: a folder that holds statfi-paavo/
    """
    path = Path(path)
    root = _raw(raw)
    _refuse_full(path)
    about = municipality(root, municipality_of)
    if len(about.table) < 2 * _CHOOSE + 2:
        raise RunError(
            "The municipality has too few postal areas for a comparison.",
            where="--municipality",
            found=f"{about.name}: {len(about.table)}",
            expected=f"at least {2 * _CHOOSE + 2}",
        )
    sources, left_out = _sources(root, set(about.table["code"]))
    name = _slug(about.name)
    own = [{key: value for key, value in one.items() if key != "scope"} for one in sources]
    with tempfile.TemporaryDirectory() as scratch:  # without a programme yet, to see who is worst off
        draft = Path(scratch)
        (draft / "areas.csv").write_text(areas_csv(about), "utf-8")
        (draft / "study.toml").write_text(study_toml(about, _INDICATORS, own, name=name), "utf-8")
        indicators = clean_indicators(read_study(draft, raw=root))
    years = sorted(int(year) for year in set(indicators.table["year"]))
    start = years[-1] - _AGO if first is None else first
    rule = _rule(indicators, start)
    candidates = _candidates(indicators, about, rule)
    files = [str(source["file"]) for source in sources]
    programme = programme_toml(
        about,
        rule,
        indicators=_INDICATORS,
        areas=areas or candidates.chosen,
        first=start,
        last=years[-1],
        known=bool(areas),
        files=files,
    )
    folder = path / "data" / name
    there = path.exists()
    try:
        folder.mkdir(parents=True)
        (folder / "areas.csv").write_text(areas_csv(about), "utf-8")
        text = study_toml(about, _INDICATORS, sources, name=name, programme=programme)
        (folder / "study.toml").write_text(text, "utf-8")
        said = readme(about, candidates, name=name, first=start, year=years[-1])
        (folder / "README.md").write_text(said, "utf-8")
        _copy_notebooks(path)
        read_study(folder, raw=root)
    except MekevalError:
        _undo(path, whole=not there)
        raise
    except OSError as cause:
        _undo(path, whole=not there)
        raise RunError("The folder cannot be written.", where=str(path), found=str(cause)) from None
    return NewStudy(
        folder=folder,
        municipality=about,
        candidates=candidates,
        first=start,
        year=years[-1],
        files=tuple(files),
        left_out=tuple(left_out),
    )


def _refuse_full(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError("The folder is not empty.", where=str(path), fix="Choose another one.")


def _undo(path: Path, *, whole: bool) -> None:
    """Take away what was written into a folder that was empty, and the folder where it was not there."""
    for part in ("data", "notebooks"):
        shutil.rmtree(path / part, ignore_errors=True)
    if whole:
        shutil.rmtree(path, ignore_errors=True)


def _copy_notebooks(path: Path) -> None:
    leave = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(shipped("notebooks"), path / "notebooks", ignore=leave)


def _raw(raw: str | Path | None) -> Path:
    given = raw if raw is not None else os.environ.get(RAW_VARIABLE)
    if given is None:
        raise RunError(
            "The folder of raw data is not known.",
            where="--raw",
            expected="a folder that holds statfi-paavo/",
            fix=f"Give --raw FOLDER, or set {RAW_VARIABLE}.",
        )
    if not Path(given).is_dir():
        raise RunError(
            "The folder of raw data is not there.",
            where="--raw",
            found=repr(str(given)),
            expected="a folder that holds statfi-paavo/",
        )
    return Path(given)


def _sources(root: Path, codes: set[str]) -> tuple[list[dict[str, object]], list[str]]:
    """The files of Paavo that are there and speak of the areas, with the items wanted of each; and the rest."""
    catalogue = read_catalogue("paavo")
    item_of = {item.name: item for item in catalogue.item}
    wanted = _items(catalogue)
    kept: list[dict[str, object]] = []
    left: list[str] = []
    tables = definition_tables(definition_bytes(shipped(*_TEMPLATE)), where="study.toml")["source"]
    for table in tables if isinstance(tables, list) else []:
        items = [item for item in table["items"] if item in wanted]
        if not items or not str(table["file"]).startswith("statfi-paavo/"):
            continue
        path = root / str(table["file"])
        if not path.is_file() or checksum(path) != table["sha256"]:
            left.append(str(table["file"]))
            continue
        trimmed = {key: value for key, value in table.items() if key != "level"} | {
            "items": items,
            "other_areas": "drop",
        }
        spec = SourceSpec.model_validate(_tuples({**trimmed, "items": items[:1]}))
        spellings = {item: item_of[item].spellings(spec.vintage) for item in items[:1]}
        known = read_source(path, _without_years(spec), spellings).cells["area_label"].cat.categories
        own = {label[:5] for label in known} & codes
        if len(own) < len(codes) / 2:
            left.append(str(table["file"]))
            continue
        kept.append({**trimmed, **({"scope": "both"} if len(known) > 2 * len(codes) + 200 else {})})
    if not kept:
        raise RunError(
            "No file of Paavo that mekeval knows is in the folder.",
            where="--raw",
            found=str(root),
            expected="files as data/finnish-area-statistics lists them, with the same checksums",
        )
    return kept, left


def _items(catalogue: Catalogue) -> set[str]:
    """The raw quantities behind the indicators of a new study."""
    found: set[str] = set()
    for one in catalogue.indicator:
        if one.name in _INDICATORS:
            for part in (one.numerator, one.denominator, one.value, one.base):
                found |= set(terms(part)) if part else set()
            if one.by_otherwise is not None:
                found |= {*terms(one.by_otherwise.numerator), *terms(one.by_otherwise.denominator)}
    return found


def _without_years(spec: SourceSpec) -> SourceSpec:
    """A source of which one item is read to see its areas: years of columns that are not read would be idle."""
    return spec.model_copy(update={"years": {}, "year": spec.year or spec.vintage}) if spec.years else spec


def _tuples(value: object) -> object:
    """Lists as the tuples that the schema holds."""
    if isinstance(value, Mapping):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _rule(indicators: Indicators, first: int) -> Rule:
    """The criteria, each in its last year with data before the programme."""
    good = indicators.table.loc[indicators.table["status"] == "ok"]
    criteria: dict[str, int] = {}
    for name in _CRITERIA:
        years = [int(year) for year in set(good.loc[good["indicator"] == name, "year"]) if year < first]
        if not years:
            raise RunError(
                "There are no data before the programme.", where="--first", found=f"{first}, {name}"
            )
        criteria[name] = max(years)
    return Rule(criteria=criteria, choose=_CHOOSE, minimum_population=_SMALLEST)


def _candidates(indicators: Indicators, about: Municipality, rule: Rule) -> Selection:
    panel = build_panel(indicators.table, units=tuple(about.table["code"]))
    year = panel.periods.index(rule.criteria["low_income_rate"])
    adults = panel.bases["low_income_rate"][:, year]
    return apply_rule(panel.units, rule_criteria(panel, rule), rule, population=np.nan_to_num(adults))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", fold(name)).strip("-") + "-areas"
