"""Shipped definitions of items and indicators: what published statistics call a thing, and what it is.

In: the TOML files in the folder `catalogue`. Out: `Catalogue`, tables for a researcher, and the definitions that a
study takes. Never: a label that no file and no documentation has, or a proxy without a word on how it differs from
what it stands for.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources

import pandas as pd
from pydantic import BaseModel, ConfigDict

from ..errors import Fault, StudyError, closest
from .schema import IndicatorSpec, Item, Name, StudySpec, Words

CATALOGUES = ("paavo", "aluesarjat", "sotkanet")


class Published(BaseModel):
    """How a published table is read: keys for a `[[source]]`, and the items that are then in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: Words
    keys: dict[str, str | int | dict[str, str]]
    items: tuple[Name, ...]


class Catalogue(BaseModel):
    """Definitions for the tables of one producer.

    Attributes
    ----------
    name : str
        What `use` of `[catalogue]` calls it.
    title, attribution, note : Words
        What it is, whose the statistics are, and what to know before using them.
    item : tuple of Item
        Raw quantities with all spellings seen.
    indicator : tuple of IndicatorSpec
    table : tuple of Published
        Tables whose items are told apart by more than their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: Words
    attribution: Words
    note: Words
    item: tuple[Item, ...]
    indicator: tuple[IndicatorSpec, ...]
    table: tuple[Published, ...] = ()


class Criterion(BaseModel):
    """A criterion by which a programme chose its areas: what it is, and what is not known of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    programme: str
    label: Words
    definition: Words


class _Criteria(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: tuple[Criterion, ...]


def read_catalogue(name: str) -> Catalogue:
    """A shipped catalogue.

    Parameters
    ----------
    name : str
        One of `CATALOGUES`.

    Returns
    -------
    Catalogue

    Raises
    ------
    StudyError
        There is no such catalogue; the message names the closest.

    Examples
    --------
    >>> [indicator.name for indicator in read_catalogue("sotkanet").indicator][0]
    'population_sotkanet'
    """
    if name not in CATALOGUES:
        raise StudyError("There is no such catalogue.", found=repr(name), expected=closest(name, CATALOGUES))
    return _catalogue(name)


@cache
def _catalogue(name: str) -> Catalogue:
    return Catalogue.model_validate(_toml(f"{name}.toml"))


@cache
def _criteria() -> tuple[Criterion, ...]:
    return _Criteria.model_validate(_toml("criteria.toml")).criterion


def _toml(file: str) -> dict[str, object]:
    source = resources.files(__package__).joinpath("catalogue", file)
    return tomllib.loads(source.read_text(encoding="utf-8"))


def catalogue_table(*names: str, language: str = "en") -> pd.DataFrame:
    """The indicators of the shipped catalogues, one row each.

    Parameters
    ----------
    *names : str
        Catalogues; all of them where none is named.
    language : str
        fi, sv or en.

    Returns
    -------
    pandas.DataFrame
        Columns `catalogue`, `indicator`, `label`, `formula`, `unit`, `higher_is`, `low` and `high` (the plausible
        range, in the unit; missing where there is none), `criterion`, `proxy_for`, `note`.

    Raises
    ------
    StudyError
        There is no such catalogue or language.

    Examples
    --------
    >>> table = catalogue_table("paavo")
    >>> table.set_index("indicator").loc["unemployment_rate", "formula"]
    'unemployed / (employed + unemployed)'
    """
    _known(language)
    rows = [
        {
            "catalogue": each.name,
            "indicator": indicator.name,
            "label": indicator.label.text(language),
            "formula": written(indicator),
            "unit": indicator.unit,
            "higher_is": indicator.higher_is,
            "low": indicator.plausible[0] if indicator.plausible else None,
            "high": indicator.plausible[1] if indicator.plausible else None,
            "criterion": indicator.criterion,
            "proxy_for": indicator.proxy_for,
            "note": indicator.note.text(language) if indicator.note else "",
        }
        for each in map(read_catalogue, names or CATALOGUES)
        for indicator in each.indicator
    ]
    table = pd.DataFrame(rows)
    return table.astype({"low": float, "high": float})


def criteria_table(language: str = "en") -> pd.DataFrame:
    """The criteria by which Vantaa chose the areas of its programme, and where each can be had or only a proxy.

    Parameters
    ----------
    language : str
        fi, sv or en.

    Returns
    -------
    pandas.DataFrame
        One row for each criterion and catalogue: `criterion`, `label`, `definition`, `catalogue`, `indicator` (empty
        where the catalogue has neither the criterion nor a proxy), `kind` ("criterion", "proxy" or "none") and
        `differs` (how a proxy differs from the criterion).

    Raises
    ------
    StudyError
        There is no such language.

    Examples
    --------
    >>> table = criteria_table()
    >>> table.loc[table["kind"] == "criterion", ["criterion", "catalogue"]].values.tolist()
    [['basic_education_25_44', 'aluesarjat'], ['unemployment_rate', 'paavo'], ['unemployment_rate', 'aluesarjat']]
    """
    _known(language)
    rows = []
    for criterion in _criteria():
        for each in map(_catalogue, CATALOGUES):
            fitting: list[tuple[IndicatorSpec | None, str]] = [
                (indicator, "criterion" if indicator.criterion == criterion.name else "proxy")
                for indicator in each.indicator
                if criterion.name in (indicator.criterion, indicator.proxy_for)
            ]
            for indicator, kind in fitting or [(None, "none")]:
                rows.append(
                    {
                        "criterion": criterion.name,
                        "label": criterion.label.text(language),
                        "definition": criterion.definition.text(language),
                        "catalogue": each.name,
                        "indicator": indicator.name if indicator is not None else "",
                        "kind": kind,
                        "differs": indicator.differs.text(language)
                        if indicator and indicator.differs
                        else "",
                    }
                )
    return pd.DataFrame(rows)


def written(indicator: IndicatorSpec) -> str:
    """The formula of an indicator in one line, with the base of a value in words.

    Examples
    --------
    >>> written(read_catalogue("paavo").indicator[0])
    'low_income_adults / (low_income_adults + middle_income_adults + high_income_adults)'
    """
    if indicator.otherwise:
        return f"{written(indicator.model_copy(update={'otherwise': ''}))}, otherwise {indicator.otherwise}"
    if indicator.value:
        return f"{indicator.value} (base: {indicator.base})"
    top, bottom = (
        f"({part})" if "+" in part or "-" in part else part
        for part in (indicator.numerator, indicator.denominator)
    )
    return f"{top} / {bottom}"


def offered_items(spec: StudySpec) -> list[str]:
    """Names of all items of the catalogues that a study uses."""
    used = spec.catalogue.use if spec.catalogue else ()
    return [item.name for name in used if name in CATALOGUES for item in _catalogue(name).item]


def with_catalogue(spec: StudySpec, where: str) -> StudySpec:
    """The study with the definitions that it takes from shipped catalogues.

    Raises
    ------
    StudyError
        All faults at once: a catalogue or an indicator that is not there, an indicator that the study has too.
    """
    if spec.catalogue is None:
        return spec
    place = f"{where}, catalogue"
    faults = [
        Fault(
            what="There is no such catalogue.",
            where=place,
            found=repr(name),
            expected=closest(name, CATALOGUES),
        )
        for name in spec.catalogue.use
        if name not in CATALOGUES
    ]
    used = [_catalogue(name) for name in dict.fromkeys(spec.catalogue.use) if name in CATALOGUES]
    offered = {indicator.name: indicator for each in used for indicator in each.indicator}
    own = {indicator.name for indicator in spec.indicator}
    for name in dict.fromkeys(spec.catalogue.indicators):
        if name not in offered and not faults:
            faults.append(
                Fault(
                    what="The catalogue has no such indicator.",
                    where=f"{place}.indicators",
                    found=repr(name),
                    expected=closest(name, offered),
                )
            )
        if spec.catalogue.indicators.count(name) > 1:
            faults.append(
                Fault(what="An indicator is taken twice.", where=f"{place}.indicators", found=repr(name))
            )
        if name in offered and name in own:
            faults.append(
                Fault(
                    what="An indicator is taken from the catalogue and defined in the study.",
                    where=f"{where}, indicator {name!r}",
                    fix="Take its name out of [catalogue] indicators, or give the study's own another name.",
                )
            )
    if faults:
        raise StudyError.of(faults)
    taken = tuple(offered[name] for name in spec.catalogue.indicators)
    indicators = (*taken, *spec.indicator)
    return spec.model_copy(update={"indicator": indicators, "item": _items(spec, used, indicators)})


def _items(
    spec: StudySpec, used: Iterable[Catalogue], indicators: Iterable[IndicatorSpec]
) -> tuple[Item, ...]:
    """The study's items, each with the catalogue's labels too, then the catalogue's that anything needs."""
    ways = [one for indicator in indicators for one in (indicator, indicator.by_otherwise) if one]
    needed = {name for one in ways for name in one.items}
    needed |= {name for source in spec.source for name in source.items}
    shipped = {item.name: item for each in used for item in each.item}
    own = []
    for item in spec.item:
        more = shipped[item.name].labels if item.name in shipped else ()
        own.append(item.model_copy(update={"labels": tuple(dict.fromkeys((*more, *item.labels)))}))
    named = {item.name for item in own}
    return (*own, *(item for name, item in shipped.items() if name in needed and name not in named))


def fingerprint(spec: StudySpec) -> bytes:
    """Bytes that change with any definition of a study that takes some from a catalogue; empty for another study."""
    if spec.catalogue is None:
        return b""
    definitions = spec.model_dump(mode="json", include={"item", "indicator"})
    return json.dumps(definitions, sort_keys=True, ensure_ascii=False).encode()


def _known(language: str) -> None:
    if language not in Words.model_fields:
        raise StudyError(
            "There are no texts in this language.",
            where="language",
            found=repr(language),
            expected=closest(language, Words.model_fields),
        )
