"""DuckDB, kept on a short lead: no network, no files but those asked for, no text of its own in an error.

In: SQL with our names. Out: rows, or a `DataError` that names the kind of trouble. Never: DuckDB's own message,
which quotes the line of a file, that is, a person.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ..errors import DataError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


_SPILLED = "mekeval-register."
_FRESH = 60.0  # seconds in which a new folder may still be without its lock


@contextlib.contextmanager
def engine(*, memory_mb: int, threads: int, spill: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection in memory; without `spill` nothing is ever written to a disk."""
    try:
        import duckdb
    except ImportError:
        raise DataError(
            "Register data need another package.", fix='Install it with: pip install "mekeval[register]"'
        ) from None
    folder, used = None, None
    if spill is not None:
        try:
            _sweep(spill)
            folder = tempfile.mkdtemp(prefix=_SPILLED, dir=spill)
            used = FileLock(Path(folder, "lock"))
            used.acquire(timeout=0)
        except (OSError, Timeout) as cause:
            raise DataError(
                "The folder to spill to cannot be written.",
                where=str(spill),
                found=getattr(cause, "strerror", "") or "",
            ) from None
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        "threads": threads,
        "temp_directory": folder or "",
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(":memory:", config=config) as con:
            # Older ones lack these. Without the second, newer ones write no encrypted file unless an extension is
            # fetched from the network; the keys are then weaker than they could be, and still not on the disk.
            for setting in (
                "enable_external_file_cache = false",
                "force_mbedtls_unsafe = true",
                "temp_file_encryption = true",
            ):
                with contextlib.suppress(duckdb.CatalogException):
                    con.execute(f"SET {setting}")
            con.execute("SET enable_progress_bar = false")
            con.execute("SET lock_configuration = true")
            yield con
    finally:
        if folder is not None and used is not None:
            used.release()
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(spill: Path) -> None:
    """Remove what killed calls left: they hold rows of persons, and nobody holds their lock any more."""
    for left in spill.glob(f"{_SPILLED}*"):
        if left.is_symlink() or not left.is_dir():
            continue
        with contextlib.suppress(OSError, Timeout):  # it is in use, or another's
            if time.time() - left.stat().st_mtime < _FRESH:
                continue
            held = FileLock(left / "lock")
            held.acquire(timeout=0)
            held.release()
            shutil.rmtree(left, ignore_errors=True)


def run(con: duckdb.DuckDBPyConnection, query: str, *, where: str) -> pd.DataFrame:
    """All rows of a query.

    Raises
    ------
    DataError
        Whatever DuckDB refuses. It is raised outside the handler, so that not even `__context__` holds DuckDB's
        message.
    """
    import duckdb

    line = ""
    try:
        return con.execute(query).df()
    except duckdb.InterruptException:
        interrupted, kind = True, ""
    except duckdb.OutOfMemoryException:
        interrupted, kind = False, "memory"
    except duckdb.Error as cause:
        interrupted, kind = False, type(cause).__name__
        number = re.search(r"\bLine:? (\d{1,12})\b", str(cause))
        line = f", line {number[1]}" if number and "CSV" in str(cause) else ""
    if interrupted:
        raise KeyboardInterrupt
    if kind == "memory":
        raise DataError(
            "The register needs more memory than it may use.",
            where=where,
            fix="Raise `memory_mb`, lower `threads`, or name a protected folder in `spill`.",
        )
    raise DataError(
        "The file cannot be read: it is damaged, cut, or not of the declared form.",
        where=where + line,
        found=f"{kind}; its words are not shown, they may quote a person",
    )
