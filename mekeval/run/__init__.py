"""The matrix of districts, years and languages through papermill: refused before it starts, or run to the end.

In: a study and the years wanted. Out: a published set of reports, an index, `findings.json` and `manifest.json`.
Never: a report of the default district under another name, a half-written set, or one failure that stops the rest.

This module is light: it loads neither pandas nor the notebook tools until there is something to do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..dates import AsOf
from ..display import Shown
from ..errors import RunError
from .asked import Asked, Value, ask, entries_named, standing
from .keys import study_languages
from .limits import USUAL_SECONDS, limits_of
from .publish import tidy
from .status import JobState, write_run

if TYPE_CHECKING:
    from ..store import Store
    from .matrix import plan_jobs, typed_parameters

__all__ = ["JobState", "RunResult", "plan_jobs", "run_study", "typed_parameters"]


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult(Shown):
    """What a run did.

    Attributes
    ----------
    index : Path
        The page that joins the reports.
    done, failed : tuple of str
        Names of the jobs whose report is as it should be, and of those that failed.
    errors : mapping of str to str
        Message of each failed job.
    states : tuple of JobState
        What became of each job, and of reports that left the set.
    seconds : float
    """

    index: Path
    done: tuple[str, ...]
    failed: tuple[str, ...]
    errors: Mapping[str, str]
    states: tuple[JobState, ...]
    seconds: float


def run_study(
    study: str | Path,
    *,
    years: Sequence[int] = (),
    districts: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    raw: str | Path | None = None,
    as_of: AsOf = None,
    out: str | Path = "reports",
    jobs: int | None = None,
    notebooks: str | Path | None = None,
    parameters: Mapping[str, Value] | None = None,
    executor: Executor | None = None,
    scheduler: str | None = None,
    memory: float = 0.0,
    time_limit: float = USUAL_SECONDS,
    only_failed: bool = False,
    dry_run: bool = False,
    specs: str | Path | None = None,
    pdf: bool = False,
    progress: bool = False,
) -> RunResult:
    """Make the reports of a study for some years: those that are not there yet, or were made from something else.

    Parameters
    ----------
    study : str or Path
        Folder of the study.
    years : sequence of int
        Years of the reports; needed unless only what failed is asked for.
    districts : sequence of str, optional
        Codes or names; all areas treated so far by default. The city's report is always made.
    languages : sequence of str, optional
        The study's own by default.
    kinds : sequence of str, optional
        Of "city", "district", "changes", what changed since the year before, and "quality", the report on the data; all
        by default.
    raw : str or Path, optional
        Folder of external raw data.
    as_of : date, int or str, optional
        Only what was published by this day, or by the end of this year, as in `evaluate`.
    out : str or Path
        Folder for the reports; they appear in ``out/<name of the study>``; as of a day, in
        ``out/<name of the study>@<day>``. Beside them stand ``<...>.run.json``, what became of each job, and
        ``<...>.log.jsonl``, the same as it happened.
    jobs : int, optional
        Processes; the number of processors by default.
    notebooks : str or Path, optional
        Folder with other `district_report.ipynb`, `city_report.ipynb`, `changes_report.ipynb` or `data_quality.ipynb`;
        those that are not in it are the shipped ones.
    parameters : mapping, optional
        Further parameters; a notebook is given those that it has.
    executor : concurrent.futures.Executor, optional
        Where to run the jobs instead of own processes.
    scheduler : str, optional
        Address of a Dask scheduler, ``tcp://host:port``, on whose workers the jobs run; needs the extra `cluster`. The
        workers see the study and the raw data under the same path, and have the same versions of everything.
    memory : float
        Gigabytes (10^9 bytes) of data that the kernel of a job may have; 0 for no limit. Held on Linux.
    time_limit : float
        Seconds that the notebook of a job may take, by the clock; 0 for no limit. One that takes longer is ended, and
        its job fails with that reason and the cell.
    only_failed : bool
        Whether to make only those reports again that failed in the last run.
    dry_run : bool
        Whether to say only what would be run, and why; nothing is written but `specs`.
    specs : str or Path, optional
        With `dry_run`: folder for a file of each job that would run, for `mekeval run-one`.
    pdf : bool
        Whether to make each page as PDF too; needs the extra `pdf`.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    RunResult

    Raises
    ------
    MekevalError
        Nothing was run: a wrong district, year, language, parameter, notebook, raw file or output folder.
    PublicationError
        The run was begun and not published, and what was published before is as it was: a full disk, a folder that is
        gone, a file that changed meanwhile, a scheduler that was lost. What was finished is kept, and the next run does
        not make it again.

    Notes
    -----
    The key of a job is a hash of its notebook, its parameters, the raw data, the study's definition, the plan's lock,
    mekeval's code, the versions of packages and the page around the report. A report whose key is unchanged, and whose
    files are as they were published, is taken from the published set.

    Examples
    --------
    >>> from mekeval import example_study, run_study
    >>> result = run_study(example_study(), years=[2025], out="reports")  # doctest: +SKIP
    """
    started = time.monotonic()
    limits = limits_of(memory=memory, time_limit=time_limit)
    asked = ask(
        study,
        years=years,
        districts=districts,
        languages=languages,
        kinds=kinds,
        raw=raw,
        as_of=as_of,
        out=out,
        notebooks=notebooks,
        parameters=parameters,
        pdf=pdf,
    )
    if specs is not None and not dry_run:
        raise RunError(
            "Specifications of jobs are written by a dry run.", where="--specs", fix="Add: --dry-run"
        )
    if scheduler is not None and (executor is not None or jobs is not None):
        raise RunError(
            "Where do the jobs run? A scheduler has workers of its own.",
            where="--scheduler",
            fix="Leave --jobs out." if executor is None else "Give a scheduler or an executor.",
        )
    # With `specs` files of an earlier dry run must go, even where nothing is to be made.
    result = None if only_failed or specs is not None else _unchanged(asked, started, look=dry_run)
    if result is None and dry_run:
        from .one import rehearsed

        return rehearsed(
            asked,
            only_failed=only_failed,
            limits=limits,
            specs=Path(specs) if specs else None,
            started=started,
        )
    if result is None:
        from ..store import filling
        from .going import make

        with _own_store() as store, filling(store):  # what is cleaned here need not be cleaned again
            result = make(
                asked,
                jobs=jobs,
                executor=executor,
                scheduler=scheduler,
                limits=limits,
                progress=progress,
                only_failed=only_failed,
            )
    if not dry_run:
        write_run(
            asked.set,
            {
                "study": asked.name,
                "asked": asked.wanted(),
                "only_failed": only_failed,
                "seconds": round(result.seconds, 3),
            },
            result.states,
        )
    return result


@contextmanager
def _own_store() -> Iterator[Store]:
    """The store of a run; one that finds no room for it says so before anything is run."""
    from ..store import run_store

    with ExitStack() as held:
        try:
            store = held.enter_context(run_store())
        except OSError as cause:
            raise RunError(
                "There is no room for temporary files.",
                where="the folder for temporary files",
                found=cause.strerror or str(cause),
                fix="Make room, or set TMPDIR to a folder that has some.",
            ) from None
        yield store


def _unchanged(asked: Asked, started: float, *, look: bool) -> RunResult | None:
    """The result of a run that has nothing to do, or only to tidy up; None where there is something."""
    manifest = standing(asked)
    if manifest is None:
        return None
    if not look:
        basis, entries = manifest["made_from"], (manifest["reports"], manifest["quality"])
        keys = {str(one["key"]) for part in entries if isinstance(part, list) for one in part}
        tidy(asked.out, asked.name, basis if isinstance(basis, dict) else {}, keys)
    names = entries_named(manifest, asked)
    states = tuple(JobState(name=name, state="unchanged", why="", seconds=0) for name in names)
    first, *_ = study_languages(asked.outline)
    language = asked.languages[0]
    return RunResult(
        index=asked.set / ("index.html" if language == first else f"index.{language}.html"),
        done=names,
        failed=(),
        errors={},
        states=states,
        seconds=time.monotonic() - started,
    )


def __getattr__(name: str) -> object:
    if name in ("plan_jobs", "typed_parameters"):
        return getattr(import_module(f"{__name__}.matrix"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
