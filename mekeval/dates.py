"""The day up to which releases count: given as a date, as its text, or as a year; and what it adds to a name.

In: a date, a year or its text. Out: a day, or none. Never: a day that was guessed.
"""

from __future__ import annotations

import datetime

from .errors import MekevalError

#: What `as_date` understands.
AsOf = datetime.date | int | str | None


def as_date(value: AsOf, *, where: str = "as_of") -> datetime.date | None:
    """Read a day; a year means its last day, nothing and an empty text mean no limit.

    Parameters
    ----------
    value : date, int, str or None
        A date, a year, or the text of either ("2024-06-30", "2024").
    where : str
        What the reader calls it, for the error.

    Returns
    -------
    datetime.date or None

    Raises
    ------
    MekevalError
        It is neither a date nor a year.

    Examples
    --------
    >>> as_date("2024-06-30"), as_date(2023), as_date("")
    (datetime.date(2024, 6, 30), datetime.date(2023, 12, 31), None)
    """
    if isinstance(value, datetime.datetime):
        value = value.date()
    if value is None or isinstance(value, datetime.date):
        return value
    text = str(value).strip()
    if not text:
        return None
    try:
        if len(text) == 4 and text.isascii() and text.isdigit():
            return datetime.date(int(text), 12, 31)
        if len(text) == 10:
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise MekevalError(
        "This is no day.", where=where, found=repr(value), expected="2024-06-30, or a year such as 2024"
    )


def dated(name: str, day: datetime.date | None) -> str:
    """The name of what was made as of a day, so that it does not take the place of what is known today.

    Examples
    --------
    >>> dated("vantaa-mek", datetime.date(2024, 6, 30)), dated("vantaa-mek", None)
    ('vantaa-mek@2024-06-30', 'vantaa-mek')
    """
    return f"{name}@{day.isoformat()}" if day else name
