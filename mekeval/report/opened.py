"""What every report begins with: its study and the texts of its language.

In: a study or its folder, and a language. Out: both, read. Never: a report in a language that the study does not speak.
"""

from __future__ import annotations

from pathlib import Path

from ..study import Study, read_study, require_language
from ..text import Texts


def opened(study: str | Path | Study, language: str, raw: str | Path | None) -> tuple[Study, Texts]:
    """The study and the texts; raises as `Texts` and `read_study`, and where the language is none of the study's."""
    texts = Texts(language)
    known = study if isinstance(study, Study) else read_study(study, raw=raw)
    require_language(known.spec, language, "language")
    return known, texts
