"""One job: a notebook, its parameters, and what comes out of it.

In: a `Job`, and limits of time and memory. Out: an `Outcome`, texts and findings, or what went wrong. Never: a file
outside of a temporary folder, an exception for a notebook that failed, or a report by a notebook that was not planned.
"""

from __future__ import annotations

import ast
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat

from ..errors import MekevalError, RunError, closest
from ..render import ReportPage, render_failure, render_report
from ..store import SHARED_VARIABLE, Store
from ..study import RAW_VARIABLE
from .leaks import refuse_secret
from .limits import NO_LIMITS, Limits

Value = str | int | float | bool
_TYPES: Mapping[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One report to make.

    Attributes
    ----------
    name : str
        Path of the page without its ending, for example "2025/09294-hakunila.fi".
    kind : str
        "city", "district", "changes" or "quality".
    year : int
    subject : str
        Code of the area, or "all".
    area : str
        Its name in the report's language.
    language : str
    notebook : Path
        The notebook to execute.
    parameters : mapping of str to value
    folder : Path
        Where the kernel runs: the folder that holds the study's folder.
    raw : str
        Folder of external raw data, or nothing.
    page : ReportPage
        The page around the report; title and description come from the notebook.
    notebook_sha256 : str
        Of the notebook when the job was planned; a notebook that is another one by then fails. Empty: not looked at.
    pdf : bool
        Whether the page is wanted as PDF too.
    """

    name: str
    kind: str
    year: int
    subject: str
    area: str
    language: str
    notebook: Path
    parameters: Mapping[str, Value]
    folder: Path
    raw: str
    page: ReportPage
    notebook_sha256: str = ""
    pdf: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job.

    Attributes
    ----------
    job : Job
    html, notebook : str
        The page and the executed notebook; of a failed job its error page and nothing.
    findings : tuple of mappings
    error : str
        Empty when all went well.
    pdf : bytes
        The page as PDF; empty where none was asked for.
    seconds : float
        Time that it took.
    """

    job: Job
    html: str
    notebook: str
    findings: tuple[Mapping[str, object], ...]
    error: str
    pdf: bytes = b""
    seconds: float = 0.0

    @property
    def files(self) -> Mapping[str, bytes]:
        """What is published, by its ending: html; of a job that went well ipynb, and pdf where it was asked for."""
        texts = {"html": self.html.encode(), "ipynb": self.notebook.encode(), "pdf": self.pdf}
        return {ending: content for ending, content in texts.items() if content}


def notebook_parameters(path: Path) -> dict[str, tuple[type, Value]]:
    """Names, types and defaults in the `parameters` cell of a notebook.

    Raises
    ------
    RunError
        The notebook cannot be read, has no cell tagged "parameters" or several, or the cell holds something
        else than assignments of plain values.
    """
    try:
        content: nbformat.NotebookNode = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, AttributeError, TypeError, nbformat.ValidationError) as cause:
        raise RunError(
            "The notebook cannot be read.", where=path.name, found=str(cause).split("\n", maxsplit=1)[0][:200]
        ) from None
    tagged = [cell for cell in content.cells if "parameters" in cell.get("metadata", {}).get("tags", [])]
    if len(tagged) != 1:
        raise RunError(
            "A notebook must have one cell tagged 'parameters'; without it every run shows the default district.",
            where=path.name,
            found=f"{len(tagged)} such cells",
            expected="1",
            fix="Add the tag to the cell that sets the parameters.",
        )
    found: dict[str, tuple[type, Value]] = {}
    try:
        statements = ast.parse(tagged[0].source).body
    except SyntaxError as cause:
        raise RunError(
            "The parameters cell may only assign plain values.",
            where=f"{path.name}, line {cause.lineno} of the parameters cell",
            found=(cause.text or str(cause)).strip(),
            expected="for example: year: int = 2025",
        ) from None
    for statement in statements:
        target, value = _assignment(statement)
        if target is None or not isinstance(value, (str, int, float, bool)):
            raise RunError(
                "The parameters cell may only assign plain values.",
                where=f"{path.name}, line {statement.lineno} of the parameters cell",
                found=ast.unparse(statement),
                expected="for example: year: int = 2025",
            )
        refuse_secret(target, where=f"{path.name}, line {statement.lineno} of the parameters cell")
        annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
        kind = _TYPES.get(ast.unparse(annotation), type(value)) if annotation else type(value)
        found[target] = (kind, value)
    return found


def check_parameters(path: Path, parameters: Mapping[str, Value]) -> None:
    """Refuse a parameter that the notebook does not have, or of another type.

    papermill only warns about the first and never notices the second.
    """
    known = notebook_parameters(path)
    faults = []
    for name, value in parameters.items():
        if name not in known:
            faults.append(
                RunError(
                    "The notebook has no such parameter.",
                    where=path.name,
                    found=repr(name),
                    expected=closest(name, known),
                ).faults[0]
            )
        elif type(value) is not known[name][0]:
            faults.append(
                RunError(
                    "A parameter has the wrong type.",
                    where=f"{path.name}, {name}",
                    found=f"{value!r} ({type(value).__name__})",
                    expected=known[name][0].__name__,
                ).faults[0]
            )
    if faults:
        raise RunError.of(faults)


def typed(path: Path, name: str, text: str) -> Value:
    """Read a parameter given as text by the type that the notebook declares."""
    known = notebook_parameters(path)
    if name not in known:
        raise RunError(
            "The notebook has no such parameter.",
            where=path.name,
            found=repr(name),
            expected=closest(name, known),
        )
    kind = known[name][0]
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)  # type: ignore[no-any-return]
    except (ValueError, KeyError):
        raise RunError(
            "A parameter has the wrong type.",
            where=f"{path.name}, {name}",
            found=repr(text),
            expected=kind.__name__,
        ) from None


def execute(job: Job, *, limits: Limits = NO_LIMITS, store: Store | None = None) -> Outcome:
    """Run a job. A failure of the notebook or its page is an outcome, not an exception."""
    begun = time.perf_counter()
    outcome = _outcome(job, limits, store)
    return replace(outcome, seconds=time.perf_counter() - begun)


def _outcome(job: Job, limits: Limits, store: Store | None) -> Outcome:
    # Here, and what else only a job needs in its own function: a run that has its jobs done elsewhere loads none of it.
    from papermill.exceptions import PapermillExecutionError

    try:
        _refuse_edited(job)
        executed = _executed(job, limits, store)
        _refuse_edited(job)
        bundle = _findings_of(executed, job)
        page = _page(job, title=str(bundle["title"]), description=str(bundle["description"]))
        html = render_report(executed, page=page)
        pdf = _pdf(html, job.name) if job.pdf else b""
        findings = bundle["findings"]
    except PapermillExecutionError as cause:
        message = (
            cause.evalue
            if cause.ename.endswith("Error") and "\n  " in cause.evalue
            else f"{cause.ename}: {cause.evalue}"
        )
        return failed(job, f"{message}\n\nin the cell:\n{cause.source}")
    except MekevalError as cause:
        return failed(job, str(cause))
    except Exception as cause:  # a dead kernel, a full disk: one job fails, the others go on
        return failed(job, f"{type(cause).__name__}: {cause}")
    return Outcome(
        job=job,
        html=html,
        notebook=str(nbformat.writes(executed)) + "\n",  # type: ignore[no-untyped-call]
        findings=tuple(findings) if isinstance(findings, list) else (),
        error="",
        pdf=pdf,
    )


def _refuse_edited(job: Job) -> None:
    """A report says which notebook made it, so it must be the one that was planned."""
    if job.notebook_sha256:
        found = hashlib.sha256(job.notebook.read_bytes()).hexdigest()
        if found != job.notebook_sha256:
            raise RunError(
                "The notebook was changed during the run.",
                where=job.notebook.name,
                found=f"sha256 {found[:12]}…",
                expected=f"sha256 {job.notebook_sha256[:12]}…, as planned",
                fix="Run again; only this job is made.",
            )


def _pdf(html: str, name: str) -> bytes:
    from ..render.pdf import render_pdf  # WeasyPrint is an extra

    made: bytes = render_pdf(html, name=name)
    return made


def _executed(job: Job, limits: Limits, store: Store | None) -> nbformat.NotebookNode:
    """The executed notebook; its kernel may read what the run has computed for several notebooks."""
    from .kernels import run_notebook

    environment = {RAW_VARIABLE: job.raw} if job.raw else {}
    if store is not None:
        environment[SHARED_VARIABLE] = store.text()
    return run_notebook(
        job.notebook,
        parameters=job.parameters,
        folder=job.folder,
        environment=environment,
        limits=limits,
    )


def _findings_of(executed: nbformat.NotebookNode, job: Job) -> Mapping[str, object]:
    from ..report import FINDINGS_TYPE

    for cell in executed.cells:
        for output in cell.get("outputs", []):
            content = output.get("data", {}).get(FINDINGS_TYPE)
            if content is not None:
                return json.loads(content) if isinstance(content, str) else dict(content)
    raise RunError(
        "The notebook shows no findings.",
        where=job.notebook.name,
        expected="a cell that ends with `report.findings`",
    )


def _page(job: Job, *, title: str, description: str) -> ReportPage:
    return ReportPage(
        title=title,
        language=job.page.language,
        description=description,
        synthetic=job.page.synthetic,
        siblings=job.page.siblings,
        index_href=job.page.index_href,
        notebook_href=job.page.notebook_href,
        programme=job.page.programme,
    )


def failed(job: Job, message: str) -> Outcome:
    """The outcome of a job that came to nothing: its error page, which links to nothing that may not be there."""
    page = replace(job.page, notebook_href="", siblings=())
    html = render_failure(page=page, job=job.name, message=message, parameters=job.parameters)
    return Outcome(job=job, html=html, notebook="", findings=(), error=message)


def _assignment(statement: ast.stmt) -> tuple[str | None, object]:
    """Name and plain value of an assignment, or None."""
    if isinstance(statement, ast.AnnAssign):
        targets: list[ast.expr] = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = list(statement.targets)
    else:
        return None, None
    value = statement.value
    if len(targets) != 1 or not isinstance(targets[0], ast.Name) or value is None:
        return None, None
    try:
        return targets[0].id, ast.literal_eval(value)
    except ValueError:
        return None, None
