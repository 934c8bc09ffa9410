"""The page of `mekeval diff`: everything that differs between two sets.

In: a `Difference`. Out: HTML. Never: a page that skips the checks of reports.
"""

from __future__ import annotations

import nbformat

from ..changes import Difference
from ..report.changes import changes_page
from ..text import Texts
from . import ReportPage, render_report


def render_changes(found: Difference, texts: Texts) -> str:
    """A whole HTML document, by the same checks as any report.

    Parameters
    ----------
    found : Difference
    texts : Texts

    Returns
    -------
    str
    """
    title = found.title.get(texts.language, found.study)
    content = changes_page(found, texts)._repr_html_()
    output = {"output_type": "display_data", "data": {"text/html": content}, "metadata": {}}
    cell: dict[str, object] = {
        "cell_type": "code",
        "source": "",
        "metadata": {},
        "execution_count": None,
        "outputs": [output],
    }
    notebook = nbformat.from_dict({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4})  # type: ignore[no-untyped-call]
    page = ReportPage(
        title=texts("changes.title", title=title),
        language=texts.language,
        description=texts("changes.description", old=found.old, new=found.new),
        synthetic=found.synthetic,
        siblings=(),
        index_href="",
        notebook_href="",
        programme=title,
    )
    return render_report(notebook, page=page)
