"""A site of two years without a run: its facts as a run writes them, every text put through a function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mekeval.render.record import read_facts
from mekeval.render.site import site_files
from mekeval.text import LANGUAGES

YEARS = (2024, 2025)
OUTCOMES = ("low_income_rate", "unemployment_rate", "median_income")
VERDICTS = ("improved", "worsened", "no_detectable_effect", "fragile", "not_identifiable")


def make_site(
    folder: Path, text: Callable[[str], str] = str, *, n_areas: int = 4, name: str = "vantaa-mek"
) -> Path:
    """Write the site of a city and its areas; in 2024 the last but one failed, and the last is that of last year."""

    def words(said: str) -> dict[str, str]:
        return {language: text(f"{said} {language}") for language in LANGUAGES}

    codes = [f"{at:05d}" for at in range(1, n_areas + 1)]
    names = {code: words(f"Area {code}") for code in codes}
    record = {
        "format": 1,
        "study": name,
        "synthetic": True,
        "hypothetical": False,
        "languages": list(LANGUAGES),
        "title": words("Programme"),
        "city": words("City"),
        "attribution": words("Source"),
        "outcomes": [
            {
                "name": outcome,
                "unit": "eur" if outcome == "median_income" else "percent",
                "decimals": 0 if outcome == "median_income" else 1,
                "label": words(f"Outcome {outcome}"),
            }
            for outcome in OUTCOMES
        ],
        "areas": [
            {"code": code, "name": names[code], "row": at // 25, "col": at % 25}
            for at, code in enumerate(codes)
        ],
        "order": codes,
    }
    reports, files = [], {"findings.json", "manifest.json", "findings.csv"}
    for year in YEARS:
        for code in ("all", *codes):
            failed = year == YEARS[0] and code in codes[-2:]
            stale = failed and code == codes[-1]
            for language in LANGUAGES:
                report = f"{year}/{'city' if code == 'all' else code}.{language}"
                area = record["city"] if code == "all" else names[code]
                reports.append(
                    {
                        "name": report,
                        "kind": "city" if code == "all" else "district",
                        "year": year,
                        "subject": code,
                        "area": area[language],  # type: ignore[index]
                        "language": language,
                        "failed": failed,
                        "stale": stale,
                        "error": "",
                    }
                )
                if failed:
                    files.add(f"{report}.error.html")
                if stale or not failed:
                    files |= {f"{report}.html", f"{report}.ipynb"}
    manifest = {
        "study": name,
        "as_of": "",
        "ended": "2026-11-22T10:00:00+00:00",
        "plan": {
            "state": "explained",
            "date": "2026-01-31",
            "deviations": [{"key": text("plan.alpha"), "reason": words("Reason")}],
        },
        "reports": reports,
    }
    findings = [
        {
            "year": year,
            "subject": code,
            "outcome": outcome,
            "verdict": VERDICTS[(at + row + year) % len(VERDICTS)],
            "role": "primary" if at < 2 else "secondary",
            "estimate": 0.5 * at - 1.0,
            "low": 0.5 * at - 2.0,
            "high": 0.5 * at,
            "alpha": 0.05,
        }
        for year in YEARS
        for row, code in enumerate(("all", *codes))
        for at, outcome in enumerate(OUTCOMES)
    ]
    facts = read_facts(record, manifest, findings, files=files, where=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in site_files(facts, name=name).items():
        (folder / file).write_text(content, encoding="utf-8")
    return folder
