"""Raw files as they were published -> one long raw table.

In: a file and what the study says of it. Out: `RawTable`, one row for each area, item and year, each with its
place in the file and with every missing symbol kept apart. Never: a decision about what a value means; that is
`indicators`' part. A new format is one function in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..display import Shown
from ..errors import DataError, Fault, StudyError, closest
from ..study import SourceSpec
from .cells import STATUSES, Coded, Labelled, nearest
from .delimited import read_pxweb_csv, read_wide_csv
from .jsonstat import read_jsonstat, read_sotkanet_json
from .labels import group_of, label_key
from .px import read_px
from .records import read_dbf, read_geojson, read_rdata
from .table import read_csv, read_sotkanet_csv
from .workbook import read_parquet, read_rdata_table, read_xlsx

__all__ = ["READERS", "STATUSES", "RawTable", "Reader", "read_counts", "read_source"]

#: A reader takes the file, the study's words on it and the item labels wanted; it gives all labels that it saw
#: and the cells of the wanted ones.
Reader = Callable[[Path, SourceSpec, frozenset[str]], Labelled]

READERS: Mapping[str, Reader] = {
    "pxweb-csv": read_pxweb_csv,
    "paavo-wide": read_wide_csv,
    "paavo-geojson": read_geojson,
    "paavo-dbf": read_dbf,
    "paavo-rdata": read_rdata,
    "px": read_px,
    "json-stat": read_jsonstat,
    "sotkanet-csv": read_sotkanet_csv,
    "sotkanet-json": read_sotkanet_json,
    "csv": read_csv,
    "xlsx": read_xlsx,
    "parquet": read_parquet,
    "rdata": read_rdata_table,
}


_CUBE = {"item_column", "year_column", "take", "area_by", "area_digits", "symbols"}
_RECORDS = {"item_column", "year_column", "value_column", "take", "area_digits", "symbols"}
_TEXTS = _RECORDS | {"decimal", "thousands"}
_ROWS = _TEXTS | {"header_row", "header_rows", "footer_rows"}
#: Keys of a source that only these readers know; any other reader would pass over them in silence.
_KEYS: Mapping[str, set[str]] = {
    "pxweb-csv": {"symbols"},
    "paavo-wide": {"symbols"},
    "paavo-geojson": {"symbols"},
    "paavo-dbf": {"symbols"},
    "paavo-rdata": {"symbols"},
    "px": _CUBE,
    "json-stat": _CUBE,
    "sotkanet-csv": _ROWS,
    "sotkanet-json": _RECORDS,
    "csv": _ROWS,
    "xlsx": _ROWS,
    "parquet": _TEXTS,
    "rdata": _TEXTS,
}


@dataclass(frozen=True, kw_only=True, repr=False)
class RawTable(Shown):
    """What one file says.

    Attributes
    ----------
    cells : pandas.DataFrame
        Columns `area_label` (category of str), `item` (category of str), `year` (int), `value` (float, in the file's
        own unit; missing where `status` is not "ok"), `status` (category, one of `STATUSES`), `row` (int, line or
        record in the file, from 1) and `column` (category of str).
    file : str
        Name of the file as the study gives it.
    vintage : int
        Year of publication.
    notes : tuple of str
        What was found and not assumed: encoding and separator.
    """

    cells: pd.DataFrame = field(repr=False)  # as they stand in the file, small ones too
    file: str
    vintage: int
    notes: tuple[str, ...]


def read_source(path: Path, source: SourceSpec, labels: Mapping[str, Iterable[str]]) -> RawTable:
    """Read the items that a study wants from one raw file.

    Parameters
    ----------
    path : Path
        The file.
    source : SourceSpec
        Its reader, years and items.
    labels : mapping of str to iterable of str
        For each item all spellings that sources use.

    Raises
    ------
    StudyError
        The study names a reader that does not exist.
    DataError
        The file is not of the declared form, lacks columns that hold wanted items, or has text where numbers
        are due: all faults of the file at once, the first 1,000 with file, row and column.
    """
    if source.reader not in READERS:
        raise StudyError(
            "Unknown reader.",
            where=f"study.toml, source {source.file!r}",
            found=repr(source.reader),
            expected=closest(source.reader, READERS),
        )
    _refuse_idle_keys(source)
    item_of: dict[str, str] = {}
    for item in source.items:
        for label in labels[item]:
            if item_of.setdefault(label_key(label), item) != item:
                raise StudyError(
                    "Two items of one source have the same label.",
                    where=f"study.toml, source {source.file!r}",
                    found=f"{label!r} of {item_of[label_key(label)]!r} and of {item!r}",
                )
    try:
        found = READERS[source.reader](path, source, frozenset(item_of))
    except OSError as cause:
        raise DataError(
            "The file cannot be read.", where=source.file, found=cause.strerror or type(cause).__name__
        ) from None
    faults = [*found.faults, *_idle_years(source, found.labels)]
    seen = {item_of[key] for label in found.labels if (key := label_key(label)) in item_of}
    if found.labels:
        faults += [
            Fault(
                what=f"A column is not there: the item {item!r}.",
                where=source.file,
                found=", ".join(repr(label[:100]) for label in found.labels[:8])
                + (" …" if len(found.labels) > 8 else ""),
                expected="one of " + ", ".join(repr(label) for label in labels[item]),
                fix="Add the file's spelling to the item's labels in study.toml, or correct the source's items.",
            )
            for item in source.items
            if item not in seen
        ]
    if faults:
        raise (DataError if found.faults or len(seen) < len(source.items) else StudyError).of(faults)
    if found.cells.empty:
        raise DataError("The file holds no rows of data.", where=source.file)
    items = [item_of.get(label_key(label), "") for label in found.cells["item_label"].cat.categories]
    codes = found.cells["item_label"].cat.codes.to_numpy().astype("int32")
    cells = found.cells.drop(columns="item_label").assign(item=Coded(codes=codes, names=items).categorical)
    return RawTable(cells=cells, file=source.file, vintage=source.vintage, notes=found.notes)


def read_counts(path: Path, source: SourceSpec, spelling: str, *, year: int) -> pd.Series:
    """One item of one year, by area as the file calls it; areas without a number are left out.

    Parameters
    ----------
    path : Path
    source : SourceSpec
        With one item.
    spelling : str
        How the file spells it.
    year : int

    Returns
    -------
    pandas.Series
        Values in the file's own unit, indexed by the areas' labels or codes.

    Raises
    ------
    StudyError, DataError
        As `read_source`; the source has several items.
    """
    if len(source.items) != 1:
        raise StudyError(
            "One item is read here.", where=source.file, found=", ".join(source.items), expected="one item"
        )
    cells = read_source(path, source, {source.items[0]: [spelling]}).cells
    own = cells.loc[(cells["year"] == year) & (cells["status"] == "ok")]
    return pd.Series(own["value"].to_numpy(), index=own["area_label"].astype(str).to_numpy())


def _refuse_idle_keys(source: SourceSpec) -> None:
    """A key that the reader does not know would be passed over, and the study would mean something else."""
    fields = SourceSpec.model_fields
    known = _KEYS.get(source.reader, set())
    for key in sorted(_CUBE | _ROWS):
        if key not in known and getattr(source, key) != fields[key].default:
            raise StudyError(
                f"The reader does not know the key `{key}`.",
                where=f"study.toml, source {source.file!r}, reader {source.reader!r}",
                found=repr(getattr(source, key)),
                expected="a reader that knows it: "
                + ", ".join(repr(name) for name, keys in _KEYS.items() if key in keys),
            )


def _idle_years(source: SourceSpec, labels: Iterable[str]) -> list[Fault]:
    """A key of `years` that fits no column is a typing error, and the columns it meant would get another year."""
    if not source.years:
        return []
    known = {key: name for label in labels for name in (label, group_of(label)) if (key := label_key(name))}
    return [
        Fault(
            what="A key of `years` fits no column and no group of columns.",
            where=f"study.toml, source {source.file!r}",
            found=repr(key),
            expected=nearest(key, known.values()),
        )
        for key in source.years
        if label_key(key) not in known
    ]
