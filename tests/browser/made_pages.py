"""Every kind of page, made as a user makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mekeval import run_study
from mekeval.clean import clean_study
from mekeval.monitor import publish_monitoring
from mekeval.render import ReportPage, render_failure
from mekeval.shipped import shipped
from mekeval.text import LANGUAGES

from .hostile_study import hostile_study

DISTRICT = "Länsimäki"
YEAR = 2025
KINDS = (
    "district",
    "city",
    "changes",
    "map",
    "index",
    "error",
    "quality",
    "community_year",
    "community_quarter",
)
STUDY = "vantaa-mek"
RECORDS = "vantaa-community-developers"


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The folder that the pages lie in, and where each is."""

    root: Path

    def path(self, kind: str, language: str) -> Path:
        reports, community = self.root / "reports" / STUDY, self.root / "monitoring" / RECORDS
        match kind:
            case "index":
                return reports / ("index.html" if language == "fi" else f"index.{language}.html")
            case "city":
                return reports / str(YEAR) / f"city.{language}.html"
            case "changes":
                return reports / str(YEAR) / f"changes.{language}.html"
            case "map":
                return self.root / "mapped" / STUDY / str(YEAR) / f"city.{language}.html"
            case "district":
                return reports / str(YEAR) / f"09291-lansimaki.{language}.html"
            case "error":
                return self.root / f"error.{language}.html"
            case "quality":
                return reports / f"data_quality.{language}.html"
            case "community_year":
                return community / str(YEAR) / f"year.{language}.html"
            case "community_quarter":
                return community / f"{YEAR}-q1-0925" / f"0925-koivukyla.{language}.html"
        raise KeyError(kind)


def make_pages(root: Path, *, reports: Path, mapped: Path) -> None:
    """Beside the reports, with and without a map, which are there: community work, a failed job."""
    (root / "reports").symlink_to(reports, target_is_directory=True)
    (root / "mapped").symlink_to(mapped, target_is_directory=True)
    records = shipped("data") / RECORDS
    for quarter, areas in ((None, ()), (1, ("0925",))):
        publish_monitoring(
            records,
            year=YEAR,
            quarter=quarter,
            areas=areas,
            languages=LANGUAGES,
            out=root / "monitoring",
            jobs=2,
        )
    for language in LANGUAGES:
        page = ReportPage(
            title="Länsimäki 2025",
            language=language,
            description="Länsimäki 2025",
            synthetic=True,
            siblings=(),
            index_href="index.html",
            notebook_href="",
            programme="MEK",
        )
        html = render_failure(
            page=page,
            job=f"2025/09291-lansimaki.{language}",
            message="DataError: The well ran dry.\n  where: raw/tyolliset.csv, row 12\n\nin the cell:\nreport",
            parameters={"study": "vantaa-mek", "district": DISTRICT, "year": YEAR, "language": language},
        )
        (root / f"error.{language}.html").write_text(html, encoding="utf-8")


def make_hostile(root: Path) -> None:
    """The English pages of the hostile study."""
    study = hostile_study(root / "study" / STUDY)
    made = run_study(study, years=[YEAR], districts=["09291"], languages=["en"], out=root / "reports", jobs=2)
    assert not made.failed, made.errors
    clean_study(study, out=root / "clean", report=False)
