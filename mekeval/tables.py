"""Tables of finished text: as accessible HTML, as LaTeX for a paper, and as CSV that no spreadsheet obeys.

In: a caption, columns and cells that are already written in the reader's language. Out: `Table`. Never: a
number to be formatted, or a name from a file as markup, as a LaTeX command or as a formula.
"""

from __future__ import annotations

import base64
import csv
import io
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from .errors import MekevalError

if TYPE_CHECKING:
    import pandas as pd

#: What makes a spreadsheet read a cell as a formula, its full-width forms, and what such a sign may hide behind.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
#: A number and, at most, the words of its unit: nothing that could be calculated with.
_NUMBER = re.compile(r"[+\-\N{MINUS SIGN}]?\d[\d\s.,]*(?:%(?:-yks\.)?|€|[^\W\d_]+(?: [^\W\d_]+)*)?")


#: A label that a LaTeX document can refer to.
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]*")
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedblright{}",  # \textquotedbl is not there in the encoding that LaTeX begins with
        # A bracket or a star at the start of a row would be read as an argument of the line break before it.
        "[": "{[}",
        "*": "{*}",
        "\N{MINUS SIGN}": "$-$",
        "\N{EN DASH}": "--",
        "\N{EM DASH}": "---",
        "\N{NO-BREAK SPACE}": "~",
    }
)


#: Between these LaTeX would see one sign: a dash, a quotation mark, a Spanish exclamation mark.
_LIGATURE = re.compile(
    "(?<=[-\N{EN DASH}\N{EM DASH}`'])(?=[-\N{EN DASH}\N{EM DASH}`'])|(?<=[?!])(?=`)|(?<=,)(?=,)"
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    label : str
        Its heading.
    numeric : bool
        Whether it holds numbers, which stand to the right.
    """

    label: str
    numeric: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table for readers; in a notebook it shows itself.

    Attributes
    ----------
    caption : str
        What the table holds; also its name for a screen reader.
    columns : tuple of Column
        n_columns of them.
    rows : tuple of tuple of str
        Cells as shown, n_columns in each row; the first names the row.
    note : str
        A line under the table; left out when empty.
    highlight : int or None
        Index of the row that the report is about.

    Raises
    ------
    MekevalError
        There is no column, a row has more or fewer cells than there are columns, or no row is at `highlight`.

    Examples
    --------
    >>> columns = (Column(label="Area"), Column(label="%", numeric=True))
    >>> table = Table(caption="Rates", columns=columns, rows=(("A", "1"),))
    >>> '<th scope="row">A</th><td class="num">1</td>' in table._repr_html_()
    True
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    highlight: int | None = None

    def __post_init__(self) -> None:
        width = len(self.columns)
        wrong = [number for number, row in enumerate(self.rows, start=1) if len(row) != width]
        if width == 0 or wrong:
            raise MekevalError(
                "A table is not rectangular.",
                where=f"table {self.caption!r}" + (f", row {wrong[0]}" if wrong else ""),
                found=f"{len(self.rows[wrong[0] - 1])} cells" if wrong else "no columns",
                expected=f"{width} cells" if wrong else "at least one column",
            )
        if self.highlight is not None and not 0 <= self.highlight < len(self.rows):
            raise MekevalError(
                "The row to highlight is not there.",
                where=f"table {self.caption!r}",
                found=str(self.highlight),
                expected=f"0 to {len(self.rows) - 1}",
            )

    def _repr_html_(self) -> str:
        heads = "".join(
            f'<th scope="col"{_NUM if column.numeric else ""}>{escape(column.label)}</th>'
            for column in self.columns
        )
        body = "\n".join(self._row_html(index, row) for index, row in enumerate(self.rows))
        caption = escape(self.caption)
        note = f'\n<p class="note">{escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="table-scroll" tabindex="0" role="region" aria-label="{caption}">\n'
            f"<table>\n<caption>{caption}</caption>\n"
            f"<thead>\n<tr>{heads}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>{note}"
        )

    def _row_html(self, index: int, row: tuple[str, ...]) -> str:
        cells = [f'<th scope="row"{_NUM if self.columns[0].numeric else ""}>{escape(row[0])}</th>']
        cells += [
            f"<td{_NUM if column.numeric else ''}>{escape(cell)}</td>"
            for column, cell in zip(self.columns[1:], row[1:], strict=True)
        ]
        css = ' class="highlight"' if index == self.highlight else ""
        return f"<tr{css}>{''.join(cells)}</tr>"


def table_csv(table: Table) -> str:
    r"""Write a table as CSV that is safe to open in a spreadsheet.

    A cell that starts like a formula (= + - @, a tab or a line break) gets a leading apostrophe, so that it stays
    text. Only a cell that reads as a number, in a column of numbers, keeps its sign.

    Parameters
    ----------
    table : Table

    Returns
    -------
    str
        A row of headings and the rows of the table, separated by commas, lines ended by CR LF. Caption and note
        are not in it.

    Examples
    --------
    >>> columns = (Column(label="Area"), Column(label="Change", numeric=True))
    >>> table_csv(Table(caption="", columns=columns, rows=(("=1+1", "-2.5"),)))
    "Area,Change\r\n'=1+1,-2.5\r\n"
    """
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([_harmless(column.label, numeric=False) for column in table.columns])
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        writer.writerow([_harmless(cell, numeric=column.numeric) for column, cell in cells])
    return stream.getvalue()


def csv_link(table: Table, *, label: str, name: str) -> str:
    """A link in HTML that holds a table as CSV, for a reader to save; nothing is fetched.

    Parameters
    ----------
    table : Table
        Written as by `table_csv`, with a byte order mark, by which spreadsheets know the letters.
    label : str
        What the link says.
    name : str
        From it the name of the file is made: letters without marks, digits and hyphens, at most 80, and ".csv".

    Examples
    --------
    >>> table = Table(caption="", columns=(Column(label="Area"),), rows=(("A",),))
    >>> csv_link(table, label="Save", name="Länsimäki: rate, 2025")
    '<a href="data:text/csv;charset=utf-8;base64,77u/QXJlYQ0KQQ0K" download="lansimaki-rate-2025.csv">Save</a>'
    """
    content = base64.b64encode(table_csv(table).encode("utf-8-sig")).decode("ascii")
    bare = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii").lower()
    file = "-".join(re.findall("[a-z0-9]+", bare))[:80].strip("-") or "table"
    return f'<a href="data:text/csv;charset=utf-8;base64,{content}" download="{file}.csv">{escape(label)}</a>'


def frame_csv(frame: pd.DataFrame) -> str:
    r"""Write a data frame as CSV that is safe to open in a spreadsheet.

    Numbers are written in full; a text that starts like a formula gets a leading apostrophe, as in `table_csv`. A
    carriage return in a text becomes a space.

    Parameters
    ----------
    frame : pandas.DataFrame
        It is not changed; its index is left out.

    Returns
    -------
    str
        A row of headings and the rows of the frame, separated by commas, lines ended by LF; what is missing is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> frame_csv(pd.DataFrame({"area": ["=1+1", None], "value": [-2.5, 1.0]}))
    "area,value\n'=1+1,-2.5\n,1.0\n"
    """
    alone = frame.shape[1] == 1
    heads = [_quoted(_harmless(str(name), numeric=False), alone=alone) for name in frame.columns]
    columns = [_csv_column(frame.iloc[:, number], alone=alone) for number in range(frame.shape[1])]
    return "\n".join([",".join(heads), *map(",".join, zip(*columns, strict=True)), ""])


def table_latex(table: Table, *, label: str = "", rules_before: Collection[int] = ()) -> str:
    r"""Write a table as LaTeX; the document needs the package booktabs and nothing else.

    Parameters
    ----------
    table : Table
        Its note stands under the table, its highlighted row in bold.
    label : str
        What ``\ref`` calls it; none when empty.
    rules_before : collection of int
        Indices of rows that a rule sets apart from those above them.

    Returns
    -------
    str
        A ``table`` environment. Every text is escaped: a name from a file stays a name.

    Raises
    ------
    MekevalError
        The label has characters other than letters, digits and ``:._-``.

    Examples
    --------
    >>> columns = (Column(label="Area"), Column(label="Share, %", numeric=True))
    >>> print(table_latex(Table(caption="Rates", columns=columns, rows=(("A_1 & B", "2.5"),)), label="tab:rates"))
    \begin{table}[htbp]
    \centering
    \caption{Rates}
    \label{tab:rates}
    \begin{tabular}{lr}
    \toprule
    Area & Share, \% \\
    \midrule
    A\_1 \& B & 2.5 \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    if label and not _LABEL.fullmatch(label):
        raise MekevalError(
            "A label of a table has characters that LaTeX cannot refer to.",
            where="label",
            found=repr(label),
            expected="letters, digits and any of : . _ -",
        )
    lines = [r"\begin{table}[htbp]", r"\centering", rf"\caption{{{latex_text(table.caption)}}}"]
    if label:
        lines.append(rf"\label{{{label}}}")
    align = "".join("r" if column.numeric else "l" for column in table.columns)
    lines += [rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
    lines += [_latex_row([column.label for column in table.columns]), r"\midrule"]
    for index, row in enumerate(table.rows):
        if index in rules_before:
            lines.append(r"\midrule")
        lines.append(_latex_row(row, bold=index == table.highlight))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.note:
        lines += [
            "",
            r"\smallskip",
            r"\begin{minipage}{0.95\linewidth}",
            rf"\footnotesize\textit{{Notes:}} {latex_text(table.note)}",
            r"\end{minipage}",
        ]
    return "\n".join([*lines, r"\end{table}"])


def latex_text(text: str) -> str:
    r"""A text that LaTeX prints as it is: no command, no argument, no line break.

    Examples
    --------
    >>> print(latex_text(r"50 % of \input{x} & [y]"))
    50 \% of \textbackslash{}input\{x\} \& {[}y]
    >>> print(latex_text("a--b, ''c'"))  # two hyphens stay two
    a-{}-b, '{}'c'
    """
    printable = "".join(one if one.isprintable() or one == "\N{NO-BREAK SPACE}" else " " for one in text)
    return "{}".join(part.translate(_LATEX) for part in _LIGATURE.split(printable))


def _latex_row(cells: Sequence[str], *, bold: bool = False) -> str:
    texts = [latex_text(cell) for cell in cells]
    if bold:
        texts = [rf"\textbf{{{text}}}" if text else "" for text in texts]
    return " & ".join(texts) + r" \\"


def _csv_column(column: pd.Series, *, alone: bool) -> list[str]:
    """The cells of a column as they stand in a CSV file; each value that occurs is written once and then looked up."""
    import pandas as pd

    missing = _quoted("", alone=alone)
    if str(column.dtype) == "category":
        known = _csv_column(column.cat.categories.to_series(), alone=alone)
        return [known[code] if code >= 0 else missing for code in column.cat.codes.tolist()]
    if column.dtype.kind in "biufM" or str(column.dtype) in ("Int64", "Float64", "boolean"):
        if column.dtype in ("float64", "float32"):
            numbers = column.to_numpy(copy=True)  # told apart by their bits, so that -0.0 stays what it is
            codes, bits = pd.factorize(numbers.view(f"int{8 * numbers.itemsize}"))
            values = pd.Series(bits.view(numbers.dtype))
        else:
            codes, unique = pd.factorize(column)
            values = pd.Series(unique)
        written = values.to_csv(index=False, header=False, lineterminator="\n").splitlines()
        known = [missing if one == '""' else one for one in written]
        return [known[code] if code >= 0 else missing for code in codes.tolist()]
    # A bare carriage return would end a row for some readers, and what follows it would start one.
    texts = {
        one: _quoted(_harmless(one.replace("\r", " "), numeric=False), alone=alone)
        for one in column.unique()
        if isinstance(one, str)
    }
    return [
        texts[one] if isinstance(one, str) else missing if gone else _quoted(str(one), alone=alone)
        for one, gone in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def _quoted(text: str, *, alone: bool) -> str:
    """A cell between quotation marks where it needs them; `alone` in its row, an empty one does too."""
    if any(sign in text for sign in ',"\n\r') or (alone and not text):
        return '"' + text.replace('"', '""') + '"'
    return text


_NUM = ' class="num"'


def _harmless(cell: str, *, numeric: bool) -> str:
    if numeric and _NUMBER.fullmatch(cell):
        return cell
    return "'" + cell if _FORMULA.match(cell.lstrip(" \N{NO-BREAK SPACE}")) else cell
