"""`mekeval plan` and `new`: what stands at the beginning of a study.

In: what was typed. Out: `plan.lock`, or a folder with a study and notebooks. Never: a study written over another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import RunError, StudyError
from .common import PLACE, main, plainly

if TYPE_CHECKING:
    from ..study import PlanState


@main.group()
def plan() -> None:
    """Fix the plan of a study before its outcomes are seen, and see whether the study keeps to it."""


@plan.command()
@click.argument("study", type=PLACE)
@click.option("--again", is_flag=True, help="Replace the lock; the new one names the day of the old one.")
@plainly
def lock(study: Path, *, again: bool) -> None:
    """Write plan.lock beside the study.toml of STUDY; the raw files need not be there."""
    from ..study import LOCK, lock_plan, read_spec

    state = lock_plan(study, again=again)
    for line in _locked(state):
        click.echo(line)
    click.echo(str(read_spec(study)[0].parent / LOCK))


@plan.command()
@click.argument("study", type=PLACE)
@plainly
def show(study: Path) -> None:
    """Show what the plan of STUDY fixes, whether it is locked, and what differs from the lock."""
    from ..study import plan_state, planned, read_spec

    file, _, spec = read_spec(study)
    if spec.plan is None:
        raise StudyError("The study has no plan.", where=str(file), expected="a table [plan]")
    state = plan_state(file.parent, spec)
    for key, value in sorted(planned(file.parent, spec).items()):
        click.echo(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    for line in _locked(state):
        click.echo(line)
    for one in state.deviations:
        day = f"{one.date}: " if one.date else ""
        why = f"{day}{' '.join(one.reason.own.split())}" if one.reason else "no reason given"
        click.echo(f"differs: {one.key}: {one.locked or 'not there'} -> {one.now or 'not there'} ({why})")


def _locked(state: PlanState) -> Iterator[str]:
    """Whether and when a plan was locked, and whether the study keeps to it."""
    if state.date is None:
        yield "The plan is not locked."
        return
    commit = f"git commit {state.commit}" if state.commit else "no git commit"
    if state.dirty:
        commit += ", from which the study's folder differed"
    yield f"Locked on {state.date} by mekeval {state.version}, {commit}."
    if state.earlier:
        yield f"Locked before on {', '.join(map(str, state.earlier))}."
    yield {
        "kept": "The study keeps to it.",
        "explained": "The study differs from it; every difference has a reason.",
    }.get(state.state, f"The study differs from it without a reason: {', '.join(state.unexplained)}.")


@main.command()
@click.argument("path", type=PLACE)
@click.option("--from", "source", type=click.Choice(["paavo"]), help="National data to make a study of.")
@click.option("--municipality", default="", help="With --from: its Finnish name, or its code, such as 853.")
@click.option(
    "--area", "areas", multiple=True, help="With --from: an area of the real programme; may be repeated."
)
@click.option("--first", type=int, help="With --from: first year of the programme.")
@click.option("--raw", type=PLACE, help="With --from: folder that holds statfi-paavo.")
@plainly
def new(
    path: Path,
    source: str | None,
    municipality: str,
    areas: tuple[str, ...],
    first: int | None,
    raw: Path | None,
) -> None:
    """Write a study and the notebooks into a new folder PATH, to start from: the example, or one's own municipality."""
    from ..begin import copy_example, moved_areas, new_study

    if source is None:
        if municipality or areas or first or raw:
            raise RunError("These options make a study of national data.", fix="Add: --from paavo")
        folder = copy_example(path)
        click.echo(f"A study on synthetic example data: {folder}")
        click.echo(f"Notebooks: {path / 'notebooks'}")
        click.echo(f"Next: mekeval run {folder} --year 2025 --out {path / 'reports'}")
        return
    if not municipality:
        raise RunError("Which municipality?", fix="Add: --municipality NAME")
    made = new_study(path, municipality_of=municipality, raw=raw, areas=areas, first=first)
    names = dict(zip(made.municipality.table["code"], made.municipality.table["name_fi"], strict=True))
    click.echo(
        f"{made.municipality.name}: {len(names)} postal areas, {len(made.files)} raw files, last year {made.year}."
    )
    click.echo("The rule would choose: " + ", ".join(names[code] for code in made.candidates.chosen) + ".")
    for line in moved_areas(made.municipality):
        click.echo(f"Look at: {line}.")
    if made.left_out:
        click.echo("Raw files not there or not the ones known: " + ", ".join(made.left_out) + ".")
    click.echo(f"Study: {made.folder} (its README says what is assumed and what to fill in)")
    click.echo(f"Notebooks: {path / 'notebooks'}")
    given = f" --raw {raw}" if raw else ""
    click.echo(f"Next: mekeval run {made.folder}{given} --year {made.year} --out {path / 'reports'}")
