"""`mekeval diff`: what changed between two published sets, and why.

In: two published sets. Out: what differs, on the terminal or as a page. Never: a change of either set.

Exit codes, as those of `diff`: 0 nothing differs, 1 something does, 2 refused.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import MekevalError, RunError
from .common import PLACE, main, plainly

_ENDINGS = (".html", ".json", ".csv")


@main.command("diff")
@click.argument("old", type=PLACE)
@click.argument("new", type=PLACE)
@click.option("--old-year", type=int, help="Year of the old findings; with --new-year.")
@click.option("--new-year", type=int, help="Year of the new findings; with --old-year.")
@click.option(
    "--study",
    type=PLACE,
    help="The study of NEW, with its data: says why estimates changed.",
)
@click.option(
    "--old-study",
    type=PLACE,
    help="With --study: the study as it was for OLD, with its data.",
)
@click.option("--raw", type=PLACE, help="With --study: folder of external raw data.")
@click.option("--language", default="en", show_default=True, help="fi, sv or en.")
@click.option("--out", type=PLACE, help="Write a page (.html), all (.json) or a table (.csv).")
@plainly
def diff(
    old: Path,
    new: Path,
    old_year: int | None,
    new_year: int | None,
    study: Path | None,
    old_study: Path | None,
    raw: Path | None,
    language: str,
    out: Path | None,
) -> None:
    """What changed from the published set OLD to NEW, and why? Ends with 0: nothing; 1: something; 2: refused."""
    from ..changes import changes_between
    from ..text import Texts

    texts = Texts(language)
    if (old_year is None) != (new_year is None):
        raise RunError("One year alone compares nothing.", where="--old-year, --new-year", fix="Give both.")
    if study is None and (old_study or raw):
        raise RunError("These options say where the data of a study are.", fix="Add: --study STUDY")
    if out is not None and out.suffix not in _ENDINGS:
        raise RunError(
            "What is to be written?",
            where="--out",
            found=out.name,
            expected="a name that ends with " + ", ".join(_ENDINGS),
        )
    years = None if old_year is None or new_year is None else (old_year, new_year)
    found = changes_between(old, new, years=years, study=study, old_study=old_study, raw=raw)
    if out is None:
        from ..report.changes import changes_lines

        for line in changes_lines(found, texts):
            click.echo(line)
    else:
        if out.suffix == ".html":
            from ..render.changes import render_changes

            content = render_changes(found, texts)
        elif out.suffix == ".json":
            content = found.to_json()
        else:
            from ..tables import frame_csv

            content = frame_csv(found.to_frame())
        _write(out, content)
        click.echo(str(out))
    if found.differs:
        sys.exit(1)


def _write(out: Path, content: str) -> None:
    """Write a file as a whole; one that is there is replaced only by a whole one."""
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_text(content, encoding="utf-8", newline="\n")
        part.replace(out)
    except OSError as cause:
        part.unlink(missing_ok=True)
        raise MekevalError(
            "The file cannot be written.", where=str(out), found=cause.strerror or ""
        ) from None
