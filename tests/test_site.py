"""The site: numbers of findings.json, filters without server or script, valid feeds, and nothing lost to bad files."""

from __future__ import annotations

import base64
import csv
import datetime
import hashlib
import io
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import mekeval.render
from mekeval import MekevalError, Study
from mekeval.cli import main
from mekeval.render.policy import content_policy
from mekeval.render.record import VERDICTS, site_record
from mekeval.render.verdicts import SYMBOLS
from mekeval.run.keys import sealed
from mekeval.run.publish import canonical, hashes
from mekeval.run.site import build_site
from mekeval.text import LANGUAGES, Texts

TEMPLATES = Path(mekeval.render.__file__).parent / "template"
HOSTILE = "\"><script>alert('x')</script>&amp;{{ 7 * 7 }}=1+1"
AREAS = {"01": "Hakunila", "02": "Länsimäki", "03": "Mikkola"}
#: Hand-made findings: subject and outcome -> verdict, estimate, low, high, by year.
NUMBERS: dict[tuple[int, str, str], tuple[str, float, float, float]] = {
    (2025, "all", "unemployment"): ("improved", -2.6449, -3.1, -2.04),
    (2025, "all", "income"): ("worsened", -1234.4, -2000.0, -500.6),
    (2025, "01", "unemployment"): ("no_detectable_effect", 0.04, -0.96, 1.04),
    (2025, "01", "income"): ("fragile", 812.5, 10.2, 1614.8),
    (2025, "02", "unemployment"): ("not_identifiable", 7.77, 7.71, 7.79),
    (2024, "all", "unemployment"): ("improved", -1.5, -2.5, -0.5),
    (2024, "01", "unemployment"): ("fragile", -1.25, -2.25, -0.25),
}


def a_record(**changes: object) -> dict[str, object]:
    def said(word: str) -> dict[str, str]:
        return {language: f"{word} ({language})" for language in LANGUAGES}

    def an_outcome(name: str, unit: str, decimals: int) -> dict[str, object]:
        return {"name": name, "unit": unit, "decimals": decimals, "label": said(name)}

    facts: dict[str, object] = {
        "format": 1,
        "study": "mek",
        "synthetic": True,
        "hypothetical": False,
        "languages": list(LANGUAGES),
        "title": said("Programme"),
        "city": {"fi": "Vantaa", "sv": "Vanda", "en": "Vantaa"},
        "attribution": said("Somebody"),
        "outcomes": [an_outcome("unemployment", "percent", 1), an_outcome("income", "eur", 0)],
        "areas": [
            {"code": code, "name": dict.fromkeys(LANGUAGES, name), "row": at, "col": 2 * at}
            for at, (code, name) in enumerate(AREAS.items())
        ],
        "order": ["02", "01", "03"],
    }
    return facts | changes


def a_report(year: int, subject: str, language: str, **changes: object) -> dict[str, object]:
    facts: dict[str, object] = {
        "name": f"{year}/{'city' if subject == 'all' else subject}.{language}",
        "kind": "city" if subject == "all" else "district",
        "year": year,
        "subject": subject,
        "area": AREAS.get(subject, "Vantaa"),
        "language": language,
        "failed": False,
        "stale": False,
        "made": f"{year + 1}-03-0{1 + len(subject)}T12:00:00+00:00",
    }
    return facts | changes


def some_reports() -> list[dict[str, object]]:
    """Two years in three languages; Mikkola's report of 2025 failed, and that of Länsimäki 2024 is an older one."""
    reports = [
        a_report(year, subject, language)
        for year in (2024, 2025)
        for subject in ("all", *AREAS)
        for language in LANGUAGES
    ]
    for report in reports:
        if (report["year"], report["subject"]) == (2025, "03"):
            report |= {"failed": True}
        if (report["year"], report["subject"]) == (2024, "02"):
            report |= {"failed": True, "stale": True}
    return reports


def some_findings() -> list[dict[str, object]]:
    return [
        {
            "study": "mek",
            "year": year,
            "subject": subject,
            "area": AREAS.get(subject, "Vantaa"),
            "outcome": outcome,
            "unit": "percent" if outcome == "unemployment" else "eur",
            "role": "primary" if outcome == "unemployment" else "secondary",
            "verdict": verdict,
            "estimate": estimate,
            "low": low,
            "high": high,
            "alpha": 0.05,
            "checks": [{"name": "selection", "passed": True}],
            "exact": False,
            "n_sets": 24,
        }
        for (year, subject, outcome), (verdict, estimate, low, high) in NUMBERS.items()
    ]


def publish(
    folder: Path,
    *,
    record: object = None,
    reports: list[dict[str, object]] | None = None,
    findings: object = None,
    extra: dict[str, str] | None = None,
    **manifest: object,
) -> Path:
    """A set as a run would leave it, but for its pages."""
    folder.mkdir(parents=True)
    reports = some_reports() if reports is None else reports
    for report in reports:
        (folder / str(report["name"])).parent.mkdir(exist_ok=True)
        endings = [".error.html"] if report["failed"] else [".html"]
        endings += [".html"] if report["stale"] else []
        endings += [".ipynb"] if report["subject"] == "01" else []
        for ending in endings:
            (folder / f"{report['name']}{ending}").write_text(f"{report['name']}", encoding="utf-8")
    for name, text in (extra or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "site.json").write_text(canonical(a_record() if record is None else record), encoding="utf-8")
    findings = some_findings() if findings is None else findings
    (folder / "findings.json").write_text(json.dumps(findings), encoding="utf-8")
    content = {
        "study": "mek",
        "as_of": "",
        "begun": "2026-03-09T11:00:00+00:00",
        "ended": "2026-03-09T12:00:00+00:00",
        "plan": {"state": "kept", "date": "2024-02-01", "deviations": []},
        "reports": reports,
        "files": hashes(folder),
    }
    (folder / "manifest.json").write_text(canonical(sealed(content | manifest)), encoding="utf-8")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = publish(tmp_path_factory.mktemp("reports") / "mek", extra={"2025/01.fi.pdf": "a PDF"})
    built = build_site(folder)
    assert built.index == folder / "index.html"
    return folder


VOID = {"meta", "link", "input", "br", "img", "path", "rect"}


class Page(HTMLParser):
    """Elements with their attributes, and tables as rows of cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.headings: list[int] = []
        self.caption = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self.caption = ""
        if tag == "tr":
            self.tables.setdefault(self.caption, []).append([])
        if tag in ("td", "th"):
            self.tables[self.caption][-1].append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "caption" in self.open:
            self.caption += data
        elif "td" in self.open or "th" in self.open:
            self.tables[self.caption][-1][-1] += data + " "

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.found if name == tag]


def pages(folder: Path) -> Iterator[tuple[str, str, Page]]:
    for language in LANGUAGES:
        name = "index.html" if language == "fi" else f"index.{language}.html"
        text = (folder / name).read_text(encoding="utf-8")
        yield language, text, Page(text)


def cell(page: Page, year: int, area: str, column: int) -> str:
    """Text of a cell of the matrix of a year."""
    caption = next(one for one in page.tables if re.search(rf"\b{year}\b", one) and len(one) < 200)
    row = next(row for row in page.tables[caption] if area in row[0])
    return " ".join(row[column].split(" ")).strip()


def number(text: str) -> float:
    """A number as a page writes it, read back."""
    return float(re.sub(r"[\s,]", "", text.replace("\N{MINUS SIGN}", "-").replace("+", "")))


def test_numbers_are_those_of_the_findings(site: Path) -> None:
    page = Page((site / "index.en.html").read_text(encoding="utf-8"))
    for (year, subject, outcome), (verdict, estimate, low, high) in NUMBERS.items():
        column, step = (1, 0.05) if outcome == "unemployment" else (2, 0.5)
        text = cell(page, year, AREAS.get(subject, "Vantaa"), column)
        assert text.startswith(Texts("en")(f"verdict.{verdict}.word")), text
        said = re.findall(r"[+\N{MINUS SIGN}]?\d[\d,]*\.?\d*", text)
        if verdict == "not_identifiable":  # then there is no size to be told
            assert said == []
            continue
        assert len(said) == 3, text
        for shown, exact in zip(said, (estimate, low, high), strict=True):
            assert abs(number(shown) - exact) <= step + 1e-9, text


def test_numbers_have_the_form_of_the_language_and_words_stand_beside_signs(site: Path) -> None:
    shown = {
        language: " ".join(cell(page, 2025, "Van", 1).split()).replace("\N{NON-BREAKING HYPHEN}", "-")
        for language, _, page in pages(site)
    }
    assert shown == {
        "fi": "Parani \N{MINUS SIGN}2,6 %-yks. \N{MINUS SIGN}3,1 … \N{MINUS SIGN}2,0",
        "sv": "Förbättrades \N{MINUS SIGN}2,6 %-enh. \N{MINUS SIGN}3,1 till \N{MINUS SIGN}2,0",
        "en": "Improved \N{MINUS SIGN}2.6 pp \N{MINUS SIGN}3.1 to \N{MINUS SIGN}2.0",
    }


def test_rows_failed_and_stale_reports(site: Path) -> None:
    for language, _, page in pages(site):
        texts = Texts(language)
        rows = [row[0] for row in page.tables[next(one for one in page.tables if "2025" in one)]][1:]
        assert [re.sub(r"\d", "", row).split()[0] for row in rows] == [
            "Vanda" if language == "sv" else "Vantaa",
            "Länsimäki",
            "Hakunila",
            "Mikkola",
        ]
        assert texts("site.failed") in rows[3]
        old = next(
            row for row in page.tables[next(one for one in page.tables if "2024" in one)] if "Läns" in row[0]
        )
        assert texts("site.stale") in old[0]
        targets = {link["href"] for link in page.all("a")}
        assert f"2025/03.{language}.html" not in targets
        assert {f"2025/03.{language}.error.html", f"2024/02.{language}.error.html"} <= targets
        assert f"2024/02.{language}.html" in targets
        assert cell(page, 2025, "Mikkola", 1) == texts("site.no_verdict")


def test_every_link_leads_somewhere_inside(site: Path) -> None:
    for _, _, page in pages(site):
        ids = {attrs["id"] for _, attrs in page.found if "id" in attrs}
        for target in (link["href"] for tag in ("a", "link") for link in page.all(tag)):
            if target.startswith("#"):
                assert target[1:] in ids
            elif target != "data:,":
                assert (site / target.split("#")[0]).is_file(), target
    assert {"index.html", "feed.xml", "findings.csv"} <= set(tree(site))
    shown = {
        link["href"] for _, _, page in pages(site) for link in page.all("a") if link["href"].endswith("pdf")
    }
    assert shown == {"2025/01.fi.pdf"}


def test_a_cell_leads_to_the_place_in_the_report_where_there_is_one(tmp_path: Path) -> None:
    folder = publish(tmp_path / "mek")
    (folder / "2025/01.fi.html").write_text('<details id="outcome-income"></details>', encoding="utf-8")
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(canonical(sealed(content | {"files": hashes(folder)})))
    build_site(folder)
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    targets = [link["href"] for link in page.all("a") if link["href"].startswith("2025/01.fi.html")]
    assert targets == ["2025/01.fi.html", "2025/01.fi.html", "2025/01.fi.html#outcome-income"]


def test_filters_need_no_script(site: Path) -> None:
    for language, text, page in pages(site):
        bare = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
        radios = [attrs for attrs in page.all("input") if attrs["type"] == "radio"]
        assert len(radios) == len(page.all("input"))
        assert [(one["name"], one["value"]) for one in radios] == [
            ("year", "2025"),
            ("year", "2024"),
            ("year", "all"),
            ("outcome", "all"),
            ("outcome", "unemployment"),
            ("outcome", "income"),
        ]
        assert [one["value"] for one in radios if "checked" in one] == ["2025", "all"]
        assert text.count("<fieldset>") == text.count("<legend>") == 2
        for at, year in ((0, 2025), (1, 2024)):
            assert f"main:has(#year-{year}:checked) .year:not(#y{year}, :target) {{ display: none; }}" in bare
            assert f"main:has(#outcome-{at}:checked) .o:not(.o{at}) {{ display: none; }}" in bare
        years = [link["href"] for link in page.all("a") if link["href"].startswith("#y")]
        assert years == ["#y2025", "#y2024"]
        hidden = [attrs.get("id") for _, attrs in page.found if "hidden" in attrs]
        assert hidden == ["shown"]  # which only the script can fill
        columns = sum("o1" in attrs.get("class", "").split() for _, attrs in page.found)
        rows = sum(len(rows) for caption, rows in page.tables.items() if re.search(r"\b202[45]\b", caption))
        assert columns == rows + 2, language  # each cell of the matrices, one map and one history


def test_the_policy_lets_nothing_run_but_what_the_page_holds(site: Path) -> None:
    for _, text, page in pages(site):
        policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        (style,), (script,) = (
            re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL) for tag in ("style", "script")
        )
        for kind, inside in (("style", style), ("script", script)):
            digest = base64.b64encode(hashlib.sha256(inside.encode("utf-8")).digest()).decode()
            assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert rules["img-src"] == "data:"
        for tag, attrs in page.found:
            assert "style" not in attrs, tag
            assert not any(name.startswith("on") for name in attrs), tag
            assert not re.match(r"[a-z]+:(?!,)|//", attrs.get("href", attrs.get("src", ""))), attrs
        assert not re.search(r"url\(|@import|https?:", style + script)


def test_a_policy_covers_the_text_as_a_browser_reads_it() -> None:
    assert content_policy("a\r\nb\rc") == content_policy("a\nb\nc")
    assert "script-src" not in content_policy("a")
    for text in ("a</STYLE >", "<!-- a"):
        with pytest.raises(MekevalError, match="end its own element"):
            content_policy(text)
    with pytest.raises(MekevalError, match="end its own element"):
        content_policy("", "'</script>'")


def test_the_page_is_well_built(site: Path) -> None:
    for language, _text, page in pages(site):
        assert page.all("html") == [{"lang": language}]
        for once in ("title", "h1", "header", "main", "footer"):
            assert len(page.all(once)) == 1, once
        assert page.all("a")[0]["class"] == "skip"
        assert page.headings[0] == 1
        assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(page.headings))
        ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
        assert len(ids) == len(set(ids))
        assert len(page.all("table")) == len(page.all("caption")) == 4
        assert {header["scope"] for header in page.all("th")} == {"col", "row"}
        for attrs in (attrs for _, attrs in page.found if attrs.get("class") == "table-scroll"):
            assert (attrs["tabindex"], attrs["role"]) == ("0", "region")
            assert attrs["aria-label"]
        assert [attrs["role"] for _, attrs in page.found if attrs.get("id") == "shown"] == ["status"]
        alternates = {
            (link.get("hreflang", link.get("type")), link["href"])
            for link in page.all("link")
            if link["rel"] == "alternate"
        }
        others = {
            (one, "index.html" if one == "fi" else f"index.{one}.html")
            for one in LANGUAGES
            if one != language
        }
        feed = "feed.xml" if language == "fi" else f"feed.{language}.xml"
        assert alternates == others | {("application/atom+xml", feed)}


def test_tile_maps_say_in_words_what_they_show(site: Path) -> None:
    for language, _, page in pages(site):
        texts = Texts(language)
        said = [attrs["aria-label"] for attrs in page.all("svg")]
        assert len(said) == 3  # of 2024 only one outcome is known
        assert all(attrs["role"] == "img" for attrs in page.all("svg"))
        assert "2025" in said[0]
        assert f"{texts('verdict.no_detectable_effect.word')}: Hakunila." in said[0]
        assert f"{texts('verdict.not_identifiable.word')}: Länsimäki." in said[0]
    text = (site / "index.html").read_text(encoding="utf-8")
    # Länsimäki stands first in the order of the study and in row 1, column 2 of the list of areas.
    assert re.search(
        r'verdict-not_identifiable"><rect x="20" y="10" .*?>\?</text><text class="key"[^>]*>1</text>', text
    )


@pytest.mark.parametrize("fault", ["no place", "the same place"])
def test_without_a_place_for_each_area_there_is_no_map(tmp_path: Path, fault: str) -> None:
    record = a_record()
    place = {"row": None, "col": None} if fault == "no place" else {"row": 0, "col": 0}
    record["areas"] = [area | place for area in record["areas"]]  # type: ignore[union-attr, attr-defined]
    build_site(publish(tmp_path / "mek", record=record))
    page = Page((tmp_path / "mek" / "index.html").read_text(encoding="utf-8"))
    assert page.all("svg") == []
    assert cell(page, 2025, "Hakunila", 1)


def test_history_has_every_year_of_every_area(site: Path) -> None:
    page = Page((site / "index.en.html").read_text(encoding="utf-8"))
    rows = page.tables["unemployment (en): verdicts by area and year"]
    assert [head.strip() for head in rows[0]] == ["Area", "2024", "2025"]
    words = {
        row[0].strip(): [re.split(r"[+\N{MINUS SIGN}\d]", one)[0].strip() for one in row[1:]]
        for row in rows[1:]
    }
    assert words == {
        "Vantaa": ["Improved", "Improved"],
        "Länsimäki": ["Not assessed", "Cannot be assessed"],
        "Hakunila": ["Fragile", "No effect detected"],
    }


def test_signs_are_those_of_the_style_sheet() -> None:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    for code in VERDICTS:
        found = re.search(rf'^\.verdict-{code} .*--symbol: "(.+?)"', style, flags=re.MULTILINE)
        assert found
        sign = re.sub(r"\\([0-9A-F]{4})", lambda one: chr(int(one.group(1), 16)), found.group(1))
        assert SYMBOLS[code] == sign
    assert len(set(SYMBOLS.values())) == len(VERDICTS)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"state": "kept", "date": "2024-02-01"}, "Plan kept. The plan was locked on 1 February 2024"),
        ({"state": "unlocked", "date": ""}, "Plan not locked."),
        ({"state": "explained", "date": "2024-02-01"}, "Plan changed, with reasons."),
        ({"state": "changed", "date": "2024-02-01"}, "Plan not kept."),
        (None, "Plan not known."),
    ],
)
def test_the_page_says_whether_the_plan_was_kept(
    tmp_path: Path, plan: dict[str, object] | None, words: str
) -> None:
    reason = {"fi": "Syy.", "sv": "Skäl.", "en": "A <b>reason</b>."}
    departures = [{"key": "plan.primary", "reason": reason}, {"key": "plan.alpha", "reason": None}]
    shown = bool(plan) and plan["state"] in ("explained", "changed")  # type: ignore[index]
    record = plan and plan | {"deviations": departures if shown else []}
    build_site(publish(tmp_path / "mek", plan=record))
    text = (tmp_path / "mek" / "index.en.html").read_text(encoding="utf-8").replace("&nbsp;", " ")
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))
    assert words in plain
    assert ("plan.primary: A &lt;b&gt;reason&lt;/b&gt;." in plain) == shown
    assert ("plan.alpha: no reason given" in plain) == shown


ATOM = "{http://www.w3.org/2005/Atom}"


def test_feeds_have_what_atom_demands(site: Path) -> None:
    """RFC 4287: 4.1.1 and 4.1.2 (elements and how often), 3.3 (times), 4.2.6 (identifiers are IRIs and unique)."""
    seen: set[str] = set()
    for language in LANGUAGES:
        name = "feed.xml" if language == "fi" else f"feed.{language}.xml"
        text = (site / name).read_bytes()
        feed = ElementTree.fromstring(text)
        assert feed.tag == f"{ATOM}feed"
        assert feed.attrib["{http://www.w3.org/XML/1998/namespace}lang"] == language
        for once in ("id", "title", "updated", "author"):
            assert len(feed.findall(f"{ATOM}{once}")) == 1, once
        assert feed.findtext(f"{ATOM}author/{ATOM}name")
        relations = [link.attrib["rel"] for link in feed.findall(f"{ATOM}link")]
        assert relations == ["self", "alternate"]
        entries = feed.findall(f"{ATOM}entry")
        assert len(entries) == 7  # eight reports but the one that failed
        for entry in entries:
            for once in ("id", "title", "updated", "summary"):
                assert len(entry.findall(f"{ATOM}{once}")) == 1, once
            (link,) = entry.findall(f"{ATOM}link")
            assert link.attrib["rel"] == "alternate"
            assert link.attrib["hreflang"] == language
            assert (site / link.attrib["href"]).is_file()
        times = [str(entry.findtext(f"{ATOM}updated")) for entry in entries]
        assert times == sorted(times, reverse=True)
        assert feed.findtext(f"{ATOM}updated") == times[0] == "2026-03-04T12:00:00Z"
        for time in times:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
            datetime.datetime.fromisoformat(time)
        ids = [str(one.findtext(f"{ATOM}id")) for one in (feed, *entries)]
        assert all(re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids)
        assert len(set(ids)) == len(ids)
        assert not seen & set(ids)
        seen |= set(ids)
    summary = next(e for e in entries if e.findtext(f"{ATOM}title") == "Vantaa 2025").findtext(
        f"{ATOM}summary"
    )
    assert summary == "unemployment (en): Improved; income (en) (secondary): Worsened"


def test_an_address_makes_links_whole_and_leaves_identifiers(site: Path, tmp_path: Path) -> None:
    def read(path: Path) -> tuple[set[str | None], set[str]]:
        feed = ElementTree.fromstring(path.read_bytes())
        ids = {one.findtext(f"{ATOM}id") for one in (feed, *feed.findall(f"{ATOM}entry"))}
        return ids, {link.attrib["href"] for link in feed.iter(f"{ATOM}link")}

    build_site(site, out=tmp_path / "www", base="https://example.org/r/")
    (before, near), (after, far) = read(site / "feed.xml"), read(tmp_path / "www" / "mek" / "feed.xml")
    assert before == after
    assert far == {f"https://example.org/r/mek/{one}" for one in near}
    assert tree(tmp_path / "www" / "mek").keys() == tree(site).keys()
    for wrong in ("example.org/", "https://example.org", "javascript:alert(1)/", 'https://a"b/'):
        with pytest.raises(MekevalError, match="address of a folder"):
            build_site(site, base=wrong)


def test_the_table_of_findings_holds_numbers_and_no_formulas(tmp_path: Path) -> None:
    signs = ("=", "+", "-", "@", "\t", "\r")
    names = [f"{sign}cmd|' /C calc'!A0" for sign in signs]
    record = a_record(outcomes=[])
    record["areas"] = [
        {"code": f"{at:02}", "name": dict.fromkeys(LANGUAGES, name), "row": None, "col": None}
        for at, name in enumerate(names)
    ]
    findings = [
        one | {"subject": f"{at:02}", "area": name, "outcome": name, "verdict": "fragile", "low": None}
        for at, (name, one) in enumerate(zip(names, some_findings(), strict=False))
    ]
    build_site(publish(tmp_path / "mek", record=record, findings=findings, reports=[]))
    text = (tmp_path / "mek" / "findings.csv").read_bytes().decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(findings)
    for row, one in zip(rows, findings, strict=True):
        assert float(row["estimate"]) == one["estimate"]  # to the last digit, and signs of numbers stay
        assert row["low"] == ""
        assert float(row["high"]) == one["high"]
        for column, value in row.items():
            if value.startswith(signs):
                assert column in ("estimate", "high"), (column, value)
                assert re.fullmatch(r"-\d+(\.\d+)?", value)
        assert row["area"][1:].replace(" ", "") == str(one["area"]).replace("\r", "").replace(" ", "")
        assert row["exact"] == "false"
    assert "checks" not in rows[0]


def test_hostile_names_add_no_element(tmp_path: Path) -> None:
    def built(name: str, word: str) -> Path:
        record = a_record(title=dict.fromkeys(LANGUAGES, word), attribution=dict.fromkeys(LANGUAGES, word))
        record["areas"] = [area | {"name": dict.fromkeys(LANGUAGES, word)} for area in record["areas"]]  # type: ignore[union-attr, attr-defined]
        record["outcomes"] = [one | {"label": dict.fromkeys(LANGUAGES, word)} for one in record["outcomes"]]  # type: ignore[union-attr, attr-defined]
        reports = [report | {"area": word} for report in some_reports()]
        plan = {
            "state": "changed",
            "date": "2024-02-01",
            "deviations": [{"key": word, "reason": dict.fromkeys(LANGUAGES, word)}],
        }
        folder = publish(tmp_path / name / "mek", record=record, reports=reports, plan=plan)
        build_site(folder)
        return folder

    tame, wild = built("tame", "x"), built("wild", HOSTILE)
    for (_, text, page), (_, _, other) in zip(pages(wild), pages(tame), strict=True):
        assert [tag for tag, _ in page.found] == [tag for tag, _ in other.found]
        assert "49=1+1" not in text
        assert len(page.all("script")) == 1
    for name in ("feed.xml", "feed.sv.xml"):
        ours, theirs = (ElementTree.fromstring((folder / name).read_bytes()) for folder in (wild, tame))
        assert [one.tag for one in ours.iter()] == [one.tag for one in theirs.iter()]
        assert HOSTILE in str(ours.findtext(f"{ATOM}title"))


def test_controls_that_xml_cannot_hold_are_shown_or_replaced(tmp_path: Path) -> None:
    word = "a\x00b\x0b\ufffe\u202ec"
    build_site(publish(tmp_path / "mek", record=a_record(title=dict.fromkeys(LANGUAGES, word))))
    feed = ElementTree.fromstring((tmp_path / "mek" / "feed.xml").read_bytes())
    assert "a\\u0000b\\u000b\N{REPLACEMENT CHARACTER}\\u202ec" in str(feed.findtext(f"{ATOM}title"))


def test_the_same_set_gives_the_same_bytes_in_whatever_order(site: Path, tmp_path: Path) -> None:
    before = tree(site)
    build_site(site)
    assert tree(site) == before
    shuffled = publish(
        tmp_path / "mek",
        reports=some_reports()[::-1],
        findings=some_findings()[::-1],
        extra={"2025/01.fi.pdf": "a PDF"},
    )
    build_site(shuffled)
    names = [name for name in before if re.match(r"index|feed", name)]
    assert len(names) == 6
    assert {name: before[name] for name in names} == {name: tree(shuffled)[name] for name in names}


def test_a_report_that_is_there_in_another_language_only_is_linked_with_its_language(tmp_path: Path) -> None:
    reports = [report for report in some_reports() if report["language"] == "sv" or report["year"] == 2024]
    build_site(publish(tmp_path / "mek", reports=reports))
    page = Page((tmp_path / "mek" / "index.en.html").read_text(encoding="utf-8"))
    assert {"href": "2025/01.sv.html", "hreflang": "sv"} in page.all("a")
    assert "Svenska" in cell(page, 2025, "Hakunila", 0)
    feed = ElementTree.fromstring((tmp_path / "mek" / "feed.en.xml").read_bytes())
    assert len(feed.findall(f"{ATOM}entry")) == 4


def test_the_report_on_the_data_is_linked(tmp_path: Path) -> None:
    quality = [
        a_report(0, "all", language, name=f"data_quality.{language}", kind="quality")
        for language in LANGUAGES
    ]
    folder = publish(
        tmp_path / "mek", extra={f"data_quality.{one}.html": "x" for one in LANGUAGES}, quality=quality
    )
    build_site(folder)
    for language, _, page in pages(folder):
        assert {"href": f"data_quality.{language}.html"} in page.all("a")
        assert not any(" 0" in caption for caption in page.tables)


def test_many_districts_and_years_stay_light(tmp_path: Path) -> None:
    codes = [f"{at:03}" for at in range(60)]
    record = a_record(order=codes)
    record["areas"] = [
        {"code": code, "name": dict.fromkeys(LANGUAGES, f"Area {code}"), "row": at // 10, "col": at % 10}
        for at, code in enumerate(codes)
    ]
    reports = [a_report(year, code, "fi", area=code) for year in range(2022, 2026) for code in codes]
    first = some_findings()[0]
    findings = [
        first | {"year": year, "subject": code, "outcome": outcome}
        for year in range(2022, 2026)
        for code in codes
        for outcome in ("unemployment", "income")
    ]
    build_site(publish(tmp_path / "mek", record=record, reports=reports, findings=findings))
    text = (tmp_path / "mek" / "index.html").read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert len(Page(text).all("svg")) == 8


def test_no_reports_and_no_findings_make_a_page_that_says_so(tmp_path: Path) -> None:
    build_site(publish(tmp_path / "mek", reports=[], findings=[]))
    for language, text, page in pages(tmp_path / "mek"):
        assert Texts(language)("site.empty") in text
        assert page.all("script") == []
        assert page.all("input") == []
    feed = ElementTree.fromstring((tmp_path / "mek" / "feed.xml").read_bytes())
    assert feed.findtext(f"{ATOM}updated") == "2026-03-09T12:00:00Z"
    rows = list(csv.reader(io.StringIO((tmp_path / "mek" / "findings.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 1
    build_site(publish(tmp_path / "other" / "mek", findings=[]))
    page = Page((tmp_path / "other" / "mek" / "index.en.html").read_text(encoding="utf-8"))
    assert cell(page, 2025, "Hakunila", 1) == "Not assessed"


def test_several_studies_get_a_page_that_joins_them(tmp_path: Path) -> None:
    publish(tmp_path / "mek")
    publish(tmp_path / "mek@2025-06-30", as_of="2025-06-30")
    publish(
        tmp_path / "other",
        record=a_record(study="other", languages=["en"], synthetic=False, title={"en": "Other <b>"}),
        reports=[],
        findings=[],
        study="other",
    )
    (tmp_path / "not a study").mkdir()
    built = build_site(tmp_path)
    assert built.index == tmp_path / "index.html"
    assert [path.name for path in built.sets] == ["mek", "mek@2025-06-30", "other"]
    for language, text, page in pages(tmp_path):
        assert page.all("html") == [{"lang": language}]
        targets = {link["href"] for link in page.all("a")}
        assert {
            "mek/index.html",
            "mek/index.sv.html",
            "mek@2025-06-30/index.en.html",
            "other/index.html",
        } <= targets
        for target in targets - {"#content"}:
            assert (tmp_path / target).is_file(), target
        assert "Other &lt;b&gt;" in text
        assert 'role="note"' not in text  # not all of them are synthetic
    assert "As known on 30" in (tmp_path / "index.en.html").read_text(encoding="utf-8")
    assert "As known on 30" in (tmp_path / "mek@2025-06-30" / "index.en.html").read_text(encoding="utf-8")


def _manifest(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    content |= {"files": hashes(folder)}
    (folder / "manifest.json").write_text(canonical(sealed(content | changes)), encoding="utf-8")


def _rewrite(name: str, change: Callable[[object], object]) -> Callable[[Path], None]:
    """A file of the set with other content, published like that."""

    def act(folder: Path) -> None:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(change(content)), encoding="utf-8")
        _manifest(folder)

    return act


def _first(**changes: object) -> Callable[[object], object]:
    def change(content: object) -> object:
        assert isinstance(content, list)
        return [content[0] | changes, *content[1:]]

    return change


BAD: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), ["no reports here", "mekeval run"]),
    "no texts": (lambda f: (f / "site.json").unlink(), ["site.json", "missing"]),
    "broken manifest": (lambda f: (f / "manifest.json").write_text("{"), ["no JSON", "manifest.json"]),
    "changed manifest": (
        lambda f: (f / "manifest.json").write_text((f / "manifest.json").read_text().replace("mek", "kem")),
        ["not as it was published"],
    ),
    "missing report": (lambda f: (f / "2025/01.fi.html").unlink(), ["missing", "2025/01.fi.html"]),
    "changed report": (lambda f: (f / "2025/01.fi.html").write_text("x"), ["changed", "2025/01.fi.html"]),
    "unlisted report": (
        lambda f: _manifest(f, reports=[a_report(2023, "01", "fi")]),
        ["not there", "2023/01.fi.html"],
    ),
    "report twice": (
        lambda f: _manifest(f, reports=[a_report(2025, "01", "fi")] * 2),
        ["stands twice", "2025/01.fi"],
    ),
    "path outside": (
        lambda f: _manifest(f, reports=[a_report(2025, "01", "fi", name="../secret")]),
        ["reports[0].name", "../secret"],
    ),
    "unknown verdict": (
        _rewrite("findings.json", _first(verdict="improvd")),
        ["no such verdict", "improvd", "'improved'"],
    ),
    "number in words": (_rewrite("findings.json", _first(estimate="much")), ["found[0].estimate", "much"]),
    "no number": (_rewrite("findings.json", _first(low=float("nan"))), ["found[0].low", "finite"]),
    "finding twice": (_rewrite("findings.json", lambda one: [*one, one[0]]), ["finding stands twice"]),  # type: ignore[misc, index]
    "no findings": (_rewrite("findings.json", lambda one: {}), ["findings.json", "does not hold"]),
    "unknown unit": (
        _rewrite("site.json", lambda one: one | {"outcomes": [one["outcomes"][0] | {"unit": "furlong"}]}),  # type: ignore[operator, index]
        ["no such unit", "furlong"],
    ),
    "no Swedish": (
        _rewrite("site.json", lambda one: one | {"title": {"fi": "a", "en": "b"}}),  # type: ignore[operator]
        ["missing in a language", "title", "sv"],
    ),
    "another format": (_rewrite("site.json", lambda one: one | {"format": 9}), ["format", "mekeval run"]),  # type: ignore[operator]
    "time without a zone": (lambda f: _manifest(f, ended="2026-03-09T12:00:00"), ["ended", "timezone"]),
    "nested": (lambda f: (f / "manifest.json").write_text("[" * 100_000), ["no JSON"]),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_set_is_refused_in_words_and_nothing_is_lost(tmp_path: Path, fault: str) -> None:
    act, words = BAD[fault]
    folder = publish(tmp_path / "reports" / "mek")
    build_site(folder)
    good = publish(tmp_path / "reports" / "other", record=a_record(study="other"), study="other")
    act(folder)
    before = tree(tmp_path / "reports")
    targets = [folder] if fault == "no manifest" else [folder, tmp_path / "reports"]
    for target in targets:
        result = CliRunner().invoke(main, ["site", str(target)])
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        for word in words:
            assert word in result.output, result.output
        assert tree(tmp_path / "reports") == before
    assert not (good / "index.html").exists()


def test_a_folder_under_another_name_needs_a_place_to_go(tmp_path: Path) -> None:
    folder = publish(tmp_path / "copy")
    with pytest.raises(MekevalError, match="another name") as caught:
        build_site(folder)
    assert "mek" in str(caught.value)
    assert build_site(folder, out=tmp_path / "www").index == tmp_path / "www" / "mek" / "index.html"
    publish(tmp_path / "two" / "mek")
    shutil.copytree(folder, tmp_path / "two" / "copy")
    with pytest.raises(MekevalError, match="of one study"):
        build_site(tmp_path / "two", out=tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_pages_that_are_missing_or_stray_are_mended(tmp_path: Path) -> None:
    folder = publish(tmp_path / "mek")
    build_site(folder)
    whole = tree(folder)
    for name in ("index.html", "findings.csv"):
        (folder / name).unlink()
    (folder / "feed.xml").write_text("old")
    (folder / "stray.txt").write_text("not part of the set")
    build_site(folder)
    assert tree(folder) == whole


def test_the_command_says_where_the_pages_are(tmp_path: Path) -> None:
    folder = publish(tmp_path / "mek")
    result = CliRunner().invoke(main, ["site", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [str(folder), str(folder / "index.html")]


def test_a_study_hands_over_texts_and_no_statistics(example: Study) -> None:
    record = site_record(example)
    outcomes = {one["name"]: one for one in record["outcomes"]}  # type: ignore[union-attr, attr-defined]
    assert outcomes["unemployment_rate"] == {
        "name": "unemployment_rate",
        "unit": "percent",
        "decimals": 1,
        "label": {"fi": "Työttömyysaste", "sv": "Arbetslöshetsgrad", "en": "Unemployment rate"},
    }
    assert record["city"] == {"fi": "Vantaa", "sv": "Vanda", "en": "Vantaa"}
    areas = {one["code"]: one for one in record["areas"]}  # type: ignore[union-attr, attr-defined]
    assert areas["09210"] == {
        "code": "09210",
        "name": {"fi": "Linnainen", "sv": "Linnais", "en": "Linnainen"},
        "row": 8,
        "col": 0,
    }
    assert {key for area in areas.values() for key in area} == {"code", "name", "row", "col"}  # no population
    assert canonical(record) == canonical(site_record(example))


@pytest.mark.parametrize(("locked", "late"), [("2025-12-31", False), ("2026-01-01", True)])
def test_a_lock_after_the_years_of_the_reports_is_no_proof_of_foresight(
    tmp_path: Path, locked: str, late: bool
) -> None:
    build_site(publish(tmp_path / "mek", plan={"state": "kept", "date": locked, "deviations": []}))
    page = (tmp_path / "mek" / "index.en.html").read_text(encoding="utf-8")
    assert ("chosen without knowing the figures" in page) == late
