"""In which languages a study speaks: it says everything in each of them, or is refused.

In: what `study.toml` says, a language. Out: faults. Never: a text in another language than the one asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from ..errors import Fault, StudyError
from .schema import StudySpec, Words

#: What the languages are called in messages.
_CALLED = {"fi": "Finnish", "sv": "Swedish", "en": "English"}


def require_language(spec: StudySpec, language: str, where: str) -> None:
    """Refuse a language that the study does not list.

    Raises
    ------
    StudyError
        The language is not one of `[study] languages`.
    """
    listed = spec.study.languages
    if language not in listed:
        raise StudyError(
            f"The study has no reports in {_CALLED.get(language, repr(language))}.",
            where=where,
            found=f"language {language!r}",
            expected=" or ".join(f"{one!r}" for one in listed),
            fix=f'Add "{language}" to languages in [study], and a text in it wherever the study has one '
            f"(title.{language}, label.{language} and so on): those that are missing are then named.",
        )


def language_faults(
    spec: BaseModel, languages: Sequence[str], where: str, *, table: str = "study"
) -> Iterator[Fault]:
    """One fault for each language in which texts are missing; it names them all. `table` is where languages stand."""
    texts = list(_texts(spec, ""))
    for language in dict.fromkeys(languages):
        missing = [f"{place}.{language}" for place, words in texts if not words.has(language)]
        if missing:
            yield Fault(
                what=f"Reports are wanted in {_CALLED[language]}, and texts are missing in it.",
                where=where,
                found=f"{len(missing)} missing: {', '.join(missing)}",
                fix=f'Write them, or take "{language}" out of languages in [{table}].',
            )


def _texts(node: object, place: str) -> Iterator[tuple[str, Words]]:
    """Every text of the study that has languages, with its place as a reader of study.toml would name it."""
    if isinstance(node, Words):
        yield place, node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from _texts(getattr(node, name), f"{place}.{name}".lstrip("."))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for number, one in enumerate(node, start=1):
            called = getattr(one, "name", None)
            yield from _texts(one, f"{place}[{repr(called) if isinstance(called, str) else number}]")
    elif isinstance(node, dict):
        for name, one in node.items():
            yield from _texts(one, f"{place}.{name}")
