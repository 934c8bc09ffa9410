"""How results show themselves: as small accessible tables in a notebook, as text when printed, short in a list.

In: a result, a frozen dataclass that has `Shown` among its bases. Out: tables, text, one line. Never: markup from a
name, more rows than a reader looks at, or a number that is not an attribute of the result.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from .tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd

#: A notebook or a terminal shows no more rows of one table than this; the attribute has all of them.
MOST_ROWS = 60
_MOST_ITEMS = 8
_MOST_LETTERS = 300
_SHORT = 40
_NOTHING = "none"
_T = TypeVar("_T")


class Shown:
    """What shows itself: ``_repr_html_`` in a notebook, ``str`` as text, ``repr`` in one short line.

    A result says what it shows by `_shown`; without it, plain attributes make one table and each data frame another.
    The dataclass takes ``repr=False``, so that the short line stays.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, kw_only=True, repr=False)
    ... class Rate(Shown):
    ...     '''A share of people.'''
    ...     value: float
    ...     area: str
    >>> rate = Rate(value=0.25, area="A & B")
    >>> print(rate)
    Rate: a share of people
    Attribute  Value
    ---------  -----
    value      0.25
    area       A & B
    >>> rate
    Rate(value=0.25, area='A & B')
    >>> "<td>A &amp; B</td>" in rate._repr_html_()
    True
    """

    __slots__ = ()

    def _shown(self) -> Sequence[Table]:
        """The tables that show the result; never none."""
        return attribute_tables(self)

    def _repr_html_(self) -> str:
        return "\n".join(shortened(table)._repr_html_() for table in self._shown())

    def __str__(self) -> str:
        return "\n\n".join(table_text(shortened(table)) for table in self._shown())

    def __repr__(self) -> str:
        said = ", ".join(f"{one.name}={_brief(getattr(self, one.name))}" for one in _fields(self) if one.repr)
        return f"{type(self).__name__}({said})"


def attribute_tables(result: object, *, caption: str = "", only: Collection[str] = ()) -> list[Table]:
    """The attributes of a dataclass: one table of the plain ones, and one of each data frame that has rows.

    Parameters
    ----------
    result : dataclass
    caption : str
        By default the name of the class and the first line of its documentation.
    only : collection of str
        Attributes to show, in the order of the class; all of them by default.
    """
    plain: list[tuple[str, object]] = []
    frames: list[tuple[str, pd.DataFrame]] = []
    for one in _fields(result):
        value = getattr(result, one.name)
        if only and one.name not in only:
            continue
        if not one.repr:  # what a class keeps out of messages, such as answers of people
            plain.append((one.name, _size(value) if _is_frame(value) else "not shown"))
        elif _is_frame(value) and len(value):
            frames.append((one.name, value))
        else:
            plain.append((one.name, value))
    called = type(result).__name__
    caption = caption or _title(result)
    tables = [facts_table(plain, caption=caption)] if plain else []
    for name, frame in frames:
        tables.append(frame_table(frame, caption=f"{called}.{name}" if tables else caption))
    return tables


def facts_table(facts: Iterable[tuple[str, object]], *, caption: str, note: str = "") -> Table:
    """A row for each name and its value, written as `written` does."""
    rows = tuple((name, written(value)) for name, value in facts)
    columns = (Column(label="Attribute"), Column(label="Value"))
    return Table(caption=caption, columns=columns, rows=rows, note=note)


def rows_table(
    heads: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    caption: str,
    note: str = "",
    numeric: Collection[str] = (),
) -> Table:
    """Rows of values, each written as `written` does; columns in `numeric` stand to the right."""
    return Table(
        caption=caption,
        columns=tuple(Column(label=head, numeric=head in numeric) for head in heads),
        rows=tuple(tuple(map(written, row)) for row in rows),
        note=note,
    )


def frame_table(frame: pd.DataFrame, *, caption: str, note: str = "") -> Table:
    """The first rows of a data frame, its columns by their names; an index that has a name comes first.

    Parameters
    ----------
    frame : pandas.DataFrame
        With at least one column; it is not changed.
    caption, note : str
    """
    first = frame.iloc[:MOST_ROWS]
    heads = [str(name) for name in frame.columns]
    columns = [first.iloc[:, at].tolist() for at in range(len(heads))]
    numeric = {head for head, dtype in zip(heads, frame.dtypes, strict=True) if dtype.kind in "iufc"}
    if frame.index.name is not None:
        heads, columns = [str(frame.index.name), *heads], [first.index.tolist(), *columns]
    note = _and_more(note, len(frame) - len(first))
    return rows_table(heads, zip(*columns, strict=True), caption=caption, note=note, numeric=numeric)


def shortened(table: Table, most: int = MOST_ROWS) -> Table:
    """The first rows of a table that is too long, with a note that says how many more there are.

    Examples
    --------
    >>> shortened(Table(caption="", columns=(Column(label="A"),), rows=(("1",), ("2",), ("3",))), most=1).note
    'And 2 more.'
    """
    left = len(table.rows) - most
    if left <= 0:
        return table
    highlight = table.highlight if table.highlight is not None and table.highlight < most else None
    return Table(
        caption=table.caption,
        columns=table.columns,
        rows=table.rows[:most],
        note=_and_more(table.note, left),
        highlight=highlight,
    )


def table_text(table: Table) -> str:
    """A table as lines of text: caption, headings, rows and note; numbers stand to the right."""
    heads = [_one_line(column.label) for column in table.columns]
    rows = [[_one_line(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    right = [column.numeric for column in table.columns]
    lines = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [heads, ["-" * width for width in widths], *rows]
    ]
    return "\n".join([_one_line(table.caption), *lines, *([_one_line(table.note)] if table.note else [])])


def written(value: object) -> str:
    """A value as text: numbers with four digits that count, many values by the first ones and their number.

    Examples
    --------
    >>> [written(one) for one in (-0.03456, 1234567.8, 2024, 12000, True, None, float("nan"), 2.0, 1e-7)]
    ['−0.03456', '1,234,568', '2024', '12,000', 'yes', 'none', 'none', '2', '1e−07']
    >>> written(tuple(range(12))), written({"a": 1, "b": 0.5}), written(())
    ('0, 1, 2, 3, 4, 5, 6, 7 and 4 more', 'a: 1, b: 0.5', 'none')
    """
    text = _written(value)
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def _written(value: object) -> str:
    item = getattr(value, "item", None)
    if getattr(value, "shape", None) == () and callable(item):  # a numpy scalar
        value = item()
    if value is None or value is _na():
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _minus(f"{value:,}" if abs(value) >= 10_000 else str(value))
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str):
        return value or _NOTHING
    if isinstance(value, Mapping):
        return _listed([f"{_written(key)}: {_within(one)}" for key, one in _first(value.items())], len(value))
    shape = getattr(value, "shape", None)
    if _is_frame(value):
        return _size(value)
    if shape is not None and (len(shape) != 1 or shape[0] > _MOST_ITEMS):
        return f"{' x '.join(map(str, shape))} values"
    if shape is not None:
        value = list(value)  # type: ignore[call-overload]
    if isinstance(value, Collection):
        return _listed([_within(one) for one in _first(value)], len(value))
    if type(value).__module__.partition(".")[0] not in ("datetime", "pathlib", "pandas"):
        return _named(value)
    text = str(value)
    return _NOTHING if text == "NaT" else text


def _number(value: float) -> str:
    if math.isnan(value):
        return _NOTHING
    if math.isinf(value):
        return _minus(str(value))
    text = f"{value:,.0f}" if abs(value) >= 9_999.5 else f"{value:.4g}"
    return _minus(text if any(digit in text for digit in "123456789") else "0")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _within(value: object) -> str:
    """An element of a list: what is a list itself stands in brackets, a result is named."""
    if isinstance(value, (str, int, float)) or value is None:
        return _written(value)
    if isinstance(value, (tuple, list)):
        return f"({_written(value)})"
    return _named(value) if is_dataclass(value) else _written(value)


def _named(value: object) -> str:
    """A result by its class and by what it is called, where it is called something."""
    for name in ("name", "label", "outcome"):
        called = getattr(value, name, None)
        if isinstance(called, str) and called:
            return f"{type(value).__name__} {called!r}"
    return type(value).__name__


def _brief(value: object) -> str:
    """A value in one short line of a repr."""
    item = getattr(value, "item", None)
    if getattr(value, "shape", None) == () and callable(item):
        value = item()
    if isinstance(value, (str, int, float, type(None))) and len(repr(value)) <= _SHORT:
        return repr(value)
    if isinstance(value, str):
        return repr(value[: _SHORT - 1] + "…")
    shape = getattr(value, "shape", None)
    if _is_frame(value):
        return f"<{_size(value)}>"
    if shape is not None and shape != ():
        return f"<{' x '.join(map(str, shape))} values>"
    if isinstance(value, Collection):
        plain = all(isinstance(one, (str, int, float, type(None))) for one in value)
        text = repr(value) if plain and not isinstance(value, Mapping) else ""
        return text if text and len(text) <= _SHORT else f"<{len(value)} items>"
    if is_dataclass(value) or isinstance(value, Shown):
        return f"<{_named(value)}>"
    text = repr(value)
    return text if len(text) <= _SHORT else f"<{type(value).__name__}>"


def _size(frame: object) -> str:
    n_rows, n_columns = getattr(frame, "shape", (0, 0))
    return f"{n_rows:,} rows, {n_columns} columns" if n_rows else "no rows"


def _first(values: Iterable[_T]) -> list[_T]:
    return list(islice(values, _MOST_ITEMS))


def _listed(items: Sequence[str], total: int) -> str:
    left = total - len(items)
    return (", ".join(items) + (f" and {left:,} more" if left else "")) or _NOTHING


def _and_more(note: str, left: int) -> str:
    return f"{note} And {left:,} more.".strip() if left > 0 else note


def _one_line(text: str) -> str:
    """Text for a terminal: what is no letter or sign, such as an escape sequence, is a blank."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _fields(result: object) -> list[Field[Any]]:
    return list(fields(result)) if is_dataclass(result) else []


def _title(result: object) -> str:
    kind = type(result)
    said = (kind.__doc__ or "").strip().split("\n")[0].removesuffix(".")
    said = said.removesuffix("; in a notebook it shows itself")
    return f"{kind.__name__}: {said[:1].lower()}{said[1:]}" if said else kind.__name__


def _is_frame(value: object) -> bool:
    return type(value).__name__ == "DataFrame"


def _na() -> object:
    import pandas as pd

    return pd.NA
