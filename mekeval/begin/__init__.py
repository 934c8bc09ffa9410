"""A folder to start from: the example, or a study of one's own municipality made from national data.

In: where, and of which municipality. Out: a folder with a study that runs, notebooks, and what a person must still
decide. Never: a programme that does not exist shown as one; areas that a rule proposes are called candidates.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..areas import fold
from ..definition import RAW_VARIABLE, definition_bytes, definition_tables
from ..design import Rule, Selection, apply_rule, rule_criteria
from ..display import Shown
from ..errors import MekevalError, RunError, StudyError
from ..indicators import Indicators, clean_indicators
from ..panel import build_panel
from ..shipped import example_study, shipped
from ..sources import read_source
from ..study import Catalogue, SourceSpec, Study, read_catalogue, read_study, terms
from .paavo import Municipality, municipality, state_of
from .written import REFERENCES, areas_csv, moved_areas, programme_toml, readme, study_toml

__all__ = ["NewStudy", "copy_example", "moved_areas", "new_study"]

_TEMPLATE = ("data", "finnish-area-statistics", "study.toml")
_INDICATORS = ("low_income_rate", "unemployment_rate", "basic_education", "median_income")
_CRITERIA = _INDICATORS[:3]
#: Adults behind the low-income rate; about 1,000 residents.
_SMALLEST = 800
_CHOOSE = 5
#: A programme that began so long before the last year of data has years before and after it.
_AGO = 4
#: How a notebook names its study, its year and its district.
_NAMED_STUDY = re.compile(r"\.\./data/([\w-]+)")
_YEAR = re.compile(r"(?<=year: int = )\d{4}")
_DISTRICT = re.compile(r'(?<=district: str = \\")[^"\\]+')


@dataclass(frozen=True, kw_only=True, repr=False)
class NewStudy(Shown):
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
        Raw files that are not there or are not the ones known.
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
    folder = Path("data") / "vantaa-mek"
    with _written(path) as scratch:
        leave = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(example_study(), scratch / folder, ignore=leave)
        # The lock is of the example's plan, not of what becomes of it here.
        (scratch / folder / "plan.lock").unlink(missing_ok=True)
        _copy_notebooks(scratch)
    return path / folder


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
        The municipality's Finnish or Swedish name, or its code of three digits ("853").
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
        The folder is not empty or cannot be written; the raw data or the municipality are not known; it has too few
        areas; there are no data before the first year, or none since.
    StudyError
        An area is not the municipality's.
    DataError
        A raw file that is there cannot be read.

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
    tables = _tables()
    about = municipality(root, municipality_of, {str(one["file"]): str(one["sha256"]) for one in tables})
    if len(about.table) < 2 * _CHOOSE + 2:
        raise RunError(
            "The municipality has too few postal areas for a comparison.",
            where="--municipality",
            found=f"{about.name}: {len(about.table)}",
            expected=f"at least {2 * _CHOOSE + 2}",
        )
    sources, left_out = _sources(root, tables, set(about.table["code"]))
    name = _slug(about.name)
    own = [{key: value for key, value in one.items() if key != "scope"} for one in sources]
    with tempfile.TemporaryDirectory() as temporary:  # without a programme yet, to see who is worst off
        draft = Path(temporary)
        (draft / "areas.csv").write_text(areas_csv(about), "utf-8")
        (draft / "study.toml").write_text(study_toml(about, _INDICATORS, own, name=name), "utf-8")
        study = read_study(draft, raw=root)
        known = _resolved(study, about, areas)
        indicators = clean_indicators(study)
    years = sorted(int(year) for year in set(indicators.table["year"]))
    start = years[-1] - _AGO if first is None else first
    rule = _rule(indicators, start, years[-1], choose=len(known) or _CHOOSE)
    candidates = _candidates(indicators, about, rule)
    files = [str(source["file"]) for source in sources]
    programme = programme_toml(
        about,
        rule,
        indicators=_INDICATORS,
        areas=known or candidates.chosen,
        first=start,
        last=years[-1],
        known=bool(known),
        files=files,
    )
    names = dict(zip(about.table["code"], about.table["name_fi"], strict=True))
    with _written(path) as scratch:
        place = scratch / "data" / name
        place.mkdir(parents=True)
        (place / "areas.csv").write_text(areas_csv(about), "utf-8")
        used = sources if REFERENCES in files else own  # without other areas no source is of them
        text = study_toml(about, _INDICATORS, used, name=name, programme=programme)
        (place / "study.toml").write_text(text, "utf-8")
        said = readme(about, candidates, name=name, areas=known, first=start, year=years[-1])
        (place / "README.md").write_text(said, "utf-8")
        _copy_notebooks(scratch, study=name, year=years[-1], district=names[(known or candidates.chosen)[0]])
        read_study(place, raw=root)
    folder = path / "data" / name
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
    try:
        names = sorted(one.name for one in path.iterdir()) if path.is_dir() else [path.name] * path.exists()
    except OSError as cause:
        raise RunError("The folder cannot be read.", where=str(path), found=str(cause)) from None
    if names:
        some = ", ".join(names[:3]) + (" and more" if len(names) > 3 else "")
        raise RunError("The folder is not empty.", where=str(path), found=some, fix="Choose another one.")


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A scratch folder, whose `notebooks` and `data` become those of `path` once all of them is there; or nothing does.

    The study is moved last, so that what is killed on the way leaves none.

    Raises
    ------
    RunError
        The folder is not empty, or cannot be written.
    """
    _refuse_full(path)
    there = path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path) as scratch:
            yield Path(scratch)
            for part in ("notebooks", "data"):
                (Path(scratch) / part).rename(path / part)
    except BaseException as cause:
        for part in ("data", "notebooks"):
            shutil.rmtree(path / part, ignore_errors=True)
        if not there:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(cause, OSError) and not isinstance(cause, MekevalError):
            raise RunError("The folder cannot be written.", where=str(path), found=str(cause)) from None
        raise


def _copy_notebooks(into: Path, *, study: str = "", year: int = 0, district: str = "") -> None:
    """The notebooks that need no study or have theirs in `into`, pointed at `study` where it is another one."""
    (into / "notebooks").mkdir()
    for notebook in sorted(shipped("notebooks").glob("*.ipynb")):
        text = notebook.read_text("utf-8")
        if study:
            text = _YEAR.sub(str(year), text.replace("../data/vantaa-mek\\", f"../data/{study}\\"))
            text = _DISTRICT.sub(lambda _: district, text)
        if all((into / "data" / one).is_dir() for one in _NAMED_STUDY.findall(text)):
            (into / "notebooks" / notebook.name).write_text(text, "utf-8")


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


def _tables() -> list[Mapping[str, object]]:
    """The files of Paavo that are known, as sources of a study."""
    tables = definition_tables(definition_bytes(shipped(*_TEMPLATE)), where="study.toml")["source"]
    return [one for one in tables if str(one["file"]).startswith("statfi-paavo/")]  # type: ignore[attr-defined]


def _sources(
    root: Path, tables: Sequence[Mapping[str, object]], codes: set[str]
) -> tuple[list[dict[str, object]], list[str]]:
    """The files that speak of the areas, with the items wanted of each; and those that are not there or others."""
    catalogue = read_catalogue("paavo")
    item_of = {item.name: item for item in catalogue.item}
    wanted = _items(catalogue)
    kept: list[dict[str, object]] = []
    left: list[str] = []
    for table in tables:
        items = [item for item in table["items"] if item in wanted]  # type: ignore[attr-defined]
        if not items:
            continue
        path = root / str(table["file"])
        if state_of(path, str(table["sha256"])):
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


def _resolved(study: Study, about: Municipality, areas: Sequence[str]) -> tuple[str, ...]:
    """The codes of areas that were named, each once."""
    known: dict[str, None] = {}
    faults = []
    for one in areas:
        try:
            known[study.areas.resolve(one)] = None
        except StudyError as error:
            faults += [replace(fault, where=f"--area, {about.name}") for fault in error.faults]
    if faults:
        raise StudyError.of(faults)
    return tuple(known)


def _rule(indicators: Indicators, first: int, last: int, *, choose: int) -> Rule:
    """The criteria, each in its last year with data before the programme."""
    good = indicators.table.loc[indicators.table["status"] == "ok"]
    years = {
        name: {int(year) for year in set(good.loc[good["indicator"] == name, "year"])} for name in _CRITERIA
    }
    empty = [name for name, own in years.items() if not own]
    if empty:
        raise RunError(
            "The raw files that are there say nothing of a criterion.", where="--raw", found=", ".join(empty)
        )
    earliest = max(map(min, years.values())) + 1
    if earliest > last:
        raise RunError(
            "The raw files that are there have too few years.",
            where="--raw",
            found=f"{last} and before",
            expected=f"a year from {earliest} on too",
        )
    if not earliest <= first <= last:
        raise RunError(
            "There are no data before the programme."
            if first < earliest
            else "There are no data since the programme.",
            where="--first",
            found=str(first),
            expected=f"a year from {earliest} to {last}",
        )
    criteria = {name: max(year for year in own if year < first) for name, own in years.items()}
    return Rule(criteria=criteria, choose=choose, minimum_population=_SMALLEST)


def _candidates(indicators: Indicators, about: Municipality, rule: Rule) -> Selection:
    panel = build_panel(indicators.table, units=tuple(about.table["code"]))
    year = panel.periods.index(rule.criteria["low_income_rate"])
    adults = panel.bases["low_income_rate"][:, year]
    return apply_rule(panel.units, rule_criteria(panel, rule), rule, population=np.nan_to_num(adults))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", fold(name)).strip("-") + "-areas"
