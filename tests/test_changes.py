"""What changed between two sets and why: parts that add up, a number that is named, nothing that one side hides."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import mekeval as mk
from mekeval.changes import FindingChange, Part, Told, changes_between, earlier_evaluation
from mekeval.changes.attribution import Behind, attributed, steps_of
from mekeval.changes.compared import definitions, revised_values
from mekeval.changes.sides import side_of_evaluation, told_of
from mekeval.changes.states import State, estimates_at, state_behind
from mekeval.cli import main
from mekeval.render.changes import render_changes
from mekeval.report.changes import changes_page, changes_part, printed_parts
from mekeval.text import LANGUAGES

RATE, JOBS = "low_income_rate", "unemployment_rate"
HAKUNILA = "09294"
HOSTILE = "<script>alert(1)</script>"


def record(
    year: int, subject: str, outcome: str, estimate: float | None, **more: object
) -> dict[str, object]:
    """A finding as a run publishes it; without an estimate its data have a gap."""
    numbers: dict[str, object] = {"because": "data", "reason": "gap", "verdict": "not_identifiable"}
    if estimate is not None:
        numbers = {
            "because": "p_value",
            "reason": "beyond_chance",
            "verdict": "improved",
            "method": "permutation",
        }
        numbers |= {
            "estimate": estimate,
            "low": estimate - 1,
            "high": estimate + 1,
            "p_value": 0.01,
            "alpha": 0.05,
        }
        numbers |= {"n_treated": 1, "n_comparison": 30, "n_sets": 31}
    about = {"year": year, "subject": subject, "outcome": outcome, "certainty": "moderate", "role": "primary"}
    return {**about, "unit": "percent", **numbers, **more}


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """A published set of given findings; further words go into its manifest."""

    def published(name: str, findings: object, *, site: object = None, **words: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        label = {"fi": "Osuus", "sv": "Andel", "en": "Share"}
        manifest = {
            "kind": "run",
            "study": "town",
            "as_of": "",
            "ended": "2026-01-01T00:00:00+00:00",
            "mekeval": "0.1.0",
            "definition_sha256": "a",
            "made_from": {
                "inputs": {"raw:a.csv": "1"},
                "code": "c",
                "packages": {"numpy": "2.0"},
            },
            "planned": {"plan.alpha": 0.05},
            "reports": [{"language": "en"}],
            **words,
        }
        facts = {
            "format": 1,
            "languages": list(LANGUAGES),
            "title": label,
            "city": label,
            "outcomes": [{"name": one, "unit": "percent", "label": label} for one in (RATE, JOBS)],
            "areas": [{"code": HAKUNILA, "name": dict.fromkeys(LANGUAGES, HOSTILE)}],
        }
        for file, content in (("manifest", manifest), ("findings", findings), ("site", site or facts)):
            if content is not None:
                (folder / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    return published


FINDINGS = [
    record(2025, "all", RATE, -1.5),
    record(2025, HAKUNILA, RATE, -2.25),
    record(2025, "all", JOBS, 0.5),
]


@pytest.fixture(scope="module")
def district(example: mk.Study, evaluated: Callable[..., mk.Evaluation]) -> dict[int, mk.Evaluation]:
    return {2020: mk.evaluate(example, year=2020, district=HAKUNILA), 2021: evaluated(2021, HAKUNILA)}


def test_one_number_that_was_altered_is_found_and_named(publish: Callable[..., Path]) -> None:
    moved = [dict(one) for one in FINDINGS]
    moved[1]["estimate"] = -2.75
    found = changes_between(publish("old", FINDINGS), publish("new", moved))
    (change,) = found.changed
    assert (change.outcome, change.subject, change.what) == (RATE, HAKUNILA, ("estimate",))
    assert change.change == Decimal("-0.5")  # -2.75 - (-2.25)
    assert (change.parts, change.unattributed) == ((), "raw_data")
    assert found.differs
    assert "-0.5" in found.to_json()


def test_a_set_beside_itself_does_not_differ_and_the_json_is_canonical(publish: Callable[..., Path]) -> None:
    folder = publish("same", FINDINGS)
    found = changes_between(folder, folder)
    assert not found.differs
    assert len(found.findings) == 3
    text = found.to_json()
    assert text == changes_between(folder, folder).to_json()
    assert text == json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, indent=2) + "\n"


def test_each_shared_year_and_the_last_years_stand_beside_each_other(publish: Callable[..., Path]) -> None:
    old = publish("old", [record(2023, "all", RATE, 1.0), record(2024, "all", RATE, 2.0)])
    new = publish("new", [record(2024, "all", RATE, 2.0), record(2025, "all", RATE, 4.0)])
    found = changes_between(old, new)
    assert found.years == ((2024, 2024), (2024, 2025))
    assert [one.change for one in found.findings] == [Decimal(0), Decimal(2)]
    assert changes_between(old, new, years=(2023, 2025)).findings[0].change == Decimal(3)
    assert "reversed" not in found.notes
    assert "reversed" in changes_between(new, old).notes
    with pytest.raises(mk.RunError, match="2020"):
        changes_between(old, new, years=(2020, 2025))


@pytest.mark.parametrize("hiding", ["old", "new"])
def test_what_one_set_hides_the_comparison_hides(publish: Callable[..., Path], hiding: str) -> None:
    shown, gap = [record(2025, "all", RATE, -1.2345)], [record(2025, "all", RATE, None)]
    sides = (gap, shown) if hiding == "old" else (shown, gap)
    found = changes_between(publish("old", sides[0]), publish("new", sides[1]))
    (change,) = found.changed
    assert change.hidden
    assert change.change is None
    page = render_changes(found, mk.Texts("en"))
    for text in (found.to_json(), str(found), found._repr_html_(), page, str(found.to_frame().to_csv())):
        assert "1.23" not in text
        assert "0.2345" not in text  # the upper end of the interval, -0.2345
        assert "2.2345" not in text


def test_names_are_text_in_every_language(publish: Callable[..., Path]) -> None:
    moved = [dict(one) for one in FINDINGS]
    moved[1] |= {"verdict": "fragile", "n_comparison": 29}
    found = changes_between(publish("old", FINDINGS), publish("new", moved))
    for language in LANGUAGES:
        page = render_changes(found, mk.Texts(language))
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page
        assert f'lang="{language}"' in page


def test_data_definitions_and_versions_that_differ_are_named(publish: Callable[..., Path]) -> None:
    made = {"inputs": {"raw:a.csv": "2", "raw:b.csv": "3"}, "code": "d", "packages": {"numpy": "2.1"}}
    new = publish("new", FINDINGS, made_from=made, planned={"plan.alpha": 0.1}, definition_sha256="b")
    found = changes_between(publish("old", FINDINGS), new)
    named = {(one.kind, one.name): (one.old, one.new) for one in found.made_from}
    assert named == {
        ("source", "a.csv"): ("1", "2"),
        ("source", "b.csv"): ("", "3"),
        ("definition", "plan.alpha"): ("0.05", "0.1"),
        ("package", "numpy"): ("2.0", "2.1"),
        ("code", "mekeval"): ("c", "d"),
    }
    assert not found.changed
    assert found.differs
    assert "the data are not at hand" in changes_page(found, mk.Texts("en")).html


def test_a_new_release_is_no_other_definition() -> None:
    old = {"source.a.csv": [{"items": ["x"]}], "item.x.labels": ["x"], "plan.alpha": 0.05}
    new = {**old, "source.b.csv": [{"items": ["x"]}], "item.x.labels": ["x", "X"], "plan.alpha": 0.01}
    assert list(definitions(old, new)) == [("plan.alpha", "0.05", "0.01")]


def test_samples_that_differ_are_named_and_a_new_year_alone_is_none(publish: Callable[..., Path]) -> None:
    def judged(year: int, post: list[int], **more: object) -> list[dict[str, object]]:
        placebo = {"pre": [2018, 2019], "post": post, "dropped": {"small": 2}, **more}
        return [record(year, "all", RATE, -1.0, rule_placebo=placebo)]

    old = publish("old", judged(2024, [2023, 2024]))
    assert changes_between(old, publish("a", judged(2025, [2023, 2024, 2025]))).findings[0].what == ()
    assert changes_between(old, publish("b", judged(2025, [2023, 2025]))).findings[0].what == ("years",)
    fewer = publish("c", judged(2025, [2023, 2024, 2025], dropped={"small": 3}))
    assert changes_between(old, fewer).findings[0].what == ("dropped",)


def test_the_notes_say_what_a_reader_must_know(publish: Callable[..., Path]) -> None:
    old = publish("old", FINDINGS, files={"findings.json": "0" * 64}, planned=None)
    new = publish("new", FINDINGS[:2], reports=[{"language": "fi"}], definition_sha256="b")
    found = changes_between(old, new)
    assert set(found.notes) == {"languages", "old_altered", "outcomes", "definition_unknown"}
    (gone,) = found.changed
    assert (gone.outcome, gone.what) == (JOBS, ("gone",))


def test_what_cannot_be_compared_is_refused_with_its_place(
    publish: Callable[..., Path], tmp_path: Path
) -> None:
    good = publish("good", FINDINGS)
    bad = {
        "two different studies": publish("other", FINDINGS, study="village"),
        "has no findings": publish("empty", []),
        "A file of the set is missing": publish("lacking", None),
        "another version": publish("newer", FINDINGS, site={"format": 2}),
        "Only sets of reports": publish("cleaned", FINDINGS, kind="clean"),
        "stands twice": publish("twice", FINDINGS[:1] * 2),
        "no such verdict": publish("word", [{**FINDINGS[0], "verdict": "improvd"}]),
        "does not hold what a run writes": publish("text", [{**FINDINGS[0], "estimate": "low"}]),
        "no published set": tmp_path / "nowhere",
    }
    for said, folder in bad.items():
        for pair in ((good, folder), (folder, good)):
            with pytest.raises(mk.MekevalError, match=said):
                changes_between(*pair)
    (good / "findings.json").write_text('[{"estimate": NaN', encoding="utf-8")
    with pytest.raises(mk.RunError, match="no JSON"):
        changes_between(good, good)


def test_the_command_ends_as_diff_does(publish: Callable[..., Path], tmp_path: Path) -> None:
    moved = [{**FINDINGS[0], "estimate": 9.5, "verdict": "worsened"}, *FINDINGS[1:]]
    old, new, run = str(publish("old", FINDINGS)), str(publish("new", moved)), CliRunner().invoke
    assert run(main, ["diff", old, old]).exit_code == 0
    done = run(main, ["diff", old, new])
    assert done.exit_code == 1
    assert "Share, Programme areas: Improved → Worsened" in done.output
    assert run(main, ["diff", old, str(tmp_path)]).exit_code == 2
    assert run(main, ["diff", old, new, "--language", "de"]).exit_code == 2
    assert run(main, ["diff", old, new, "--old-year", "2025"]).exit_code == 2
    assert run(main, ["diff", old, new, "--out", str(tmp_path / "a.txt")]).exit_code == 2
    for name, start in (("a.html", "<!"), ("a.json", "{"), ("a.csv", "outcome,subject")):
        assert run(main, ["diff", old, new, "--out", str(tmp_path / name)]).exit_code == 1
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)


def test_the_estimate_of_a_state_is_the_one_of_the_evaluation(district: dict[int, mk.Evaluation]) -> None:
    for year, evaluation in district.items():
        wanted = list(evaluation.findings)
        found = estimates_at(state_behind(evaluation), year, wanted)
        for key, finding in evaluation.findings.items():
            assert finding.inference is not None
            assert found[key] == pytest.approx(finding.inference.estimate, rel=1e-12)


def test_a_new_year_alone_is_the_whole_change(district: dict[int, mk.Evaluation]) -> None:
    found = changes_between(district[2020], district[2021])
    assert found.years == ((2020, 2021),)
    moved = [one for one in found.findings if one.change]
    assert moved
    for one in moved:
        assert [part.causes for part in one.parts] == [("new_year",)]
        assert sum(part.value for part in one.parts) == one.change


def revised(evaluation: mk.Evaluation, more: float, year: int) -> mk.Evaluation:
    """The same evaluation on data in which the district's rate of one year is higher, as of an earlier day."""
    table = evaluation.indicators.table.copy()
    cell = (table["area"] == HAKUNILA) & (table["year"] == year) & (table["indicator"] == JOBS)
    assert cell.sum() == 1
    table.loc[cell, "value"] += more
    indicators = replace(evaluation.indicators, table=table, as_of=datetime.date(2000, 1, 1))
    return replace(evaluation, indicators=indicators)


def test_revised_data_and_the_new_year_are_told_apart_and_add_up(district: dict[int, mk.Evaluation]) -> None:
    # The old data have one value 3 points higher in 2018, a base year. Published then: what those data give for 2020.
    then = revised(district[2020], 3.0, 2018)
    key = (JOBS, HAKUNILA)
    old_level = estimates_at(state_behind(then), 2020, [key])[key]
    finding = then.findings[key]
    assert finding.inference is not None
    published = replace(finding, inference=replace(finding.inference, estimate=old_level))
    then = replace(then, findings={**then.findings, key: published})
    found = changes_between(then, district[2021])
    (change,) = [one for one in found.findings if (one.outcome, one.subject) == key]
    parts = {part.causes: part.value for part in change.parts}
    # By hand: revised data = estimate of 2020 today - estimate of 2020 then; new year = 2021 today - 2020 today.
    today = {year: district[year].findings[key].inference for year in (2020, 2021)}
    assert today[2020] is not None and today[2021] is not None
    assert float(parts["revised_data",]) == pytest.approx(today[2020].estimate - old_level, abs=1e-9)
    assert float(parts["new_year",]) == pytest.approx(today[2021].estimate - today[2020].estimate, abs=1e-9)
    assert sum(parts.values()) == change.change
    # A base value 3 points lower than believed lifts the change from the base.
    assert parts["revised_data",] > 0
    assert found.revisions.to_dict("records") == [
        {
            "indicator": JOBS,
            "area": HAKUNILA,
            "year": 2018,
            "old": pytest.approx(found.revisions["new"].iloc[0] + 3.0),
            "new": found.revisions["new"].iloc[0],
            "change": pytest.approx(-3.0),
        }
    ]


def test_a_value_that_one_side_hides_is_no_revision(district: dict[int, mk.Evaluation]) -> None:
    then = revised(district[2020], 3.0, 2018).indicators
    table = then.table.copy()
    cell = (table["area"] == HAKUNILA) & (table["year"] == 2018) & (table["indicator"] == JOBS)
    table.loc[cell, "status"] = "confidential"
    hidden, now = replace(then, table=table), district[2020].indicators
    units = district[2020].study.areas.units
    assert len(revised_values(then, now, units)) == 1
    assert revised_values(hidden, now, units).empty
    assert revised_values(now, hidden, units).empty


def told_change(district: dict[int, mk.Evaluation], old: float, new: float) -> FindingChange:
    finding = next(iter(district[2020].findings.values()))
    told = [told_of(district[2020], finding).model_copy(update={"estimate": one}) for one in (old, new)]
    return FindingChange(
        outcome=JOBS,
        subject=HAKUNILA,
        old_year=2020,
        new_year=2021,
        old=told[0],
        new=told[1],
        hidden=False,
        what=("estimate",),
        parts=(),
        unattributed="",
    )


def test_steps_add_up_and_a_step_without_an_estimate_joins_its_causes(
    district: dict[int, mk.Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Levels by hand: published 1.0; old data and definition 1.25; revised 1.5; new year 2.5; definition 2.25; new 2.0.
    states = [
        State(study=district[2020].study, indicators=district[2020].indicators, references=None)
        for _ in range(3)
    ]
    old, between, new = states
    levels: dict[tuple[int, int], float | None] = {
        (id(old), 2020): 1.25,
        (id(between), 2020): 1.5,
        (id(between), 2021): 2.5,
        (id(new), 2021): 2.25,
    }

    def given(state: State, year: int, wanted: object) -> dict[tuple[str, str], float]:
        level = levels[id(state), year]
        return {} if level is None else {(JOBS, HAKUNILA): level}

    monkeypatch.setattr("mekeval.changes.attribution.estimates_at", given)
    behind = Behind(
        old=old,
        between=between,
        new=new,
        same_data=False,
        same_definition=False,
        old_definition=True,
        evaluated=False,
    )
    side = side_of_evaluation(district[2020])
    sides = side, replace(side, code="other")
    change = told_change(district, 1.0, 2.0)
    assert [step.causes for step in steps_of(behind, *sides, (2020, 2021))] == [
        ("method",),
        ("revised_data",),
        ("new_year",),
        ("definition",),
        ("method",),
    ]

    def parts() -> dict[tuple[str, ...], Decimal]:
        (one,) = attributed([change], behind, *sides)
        assert sum(part.value for part in one.parts) == Decimal(1)
        return {part.causes: part.value for part in one.parts}

    # The method moves 1.25 - 1.0 at the start and 2.0 - 2.25 at the end: together nothing.
    assert parts() == {
        ("new_year",): Decimal(1),
        ("revised_data",): Decimal("0.25"),
        ("definition",): Decimal("-0.25"),
    }
    levels[id(between), 2020] = (
        None  # what the revision moved and what the new year moved cannot be told apart
    )
    assert parts() == {("new_year", "revised_data"): Decimal("1.25"), ("definition",): Decimal("-0.25")}


def test_printed_parts_add_up_as_printed() -> None:
    rng = np.random.default_rng(1)
    told = Told(year=1, subject="a", outcome="b", verdict="improved")
    for old, first, second in rng.normal(size=(50, 3)).round(9):
        parts = tuple(
            Part(causes=(cause,), value=Decimal(str(value)))
            for cause, value in (("new_year", first), ("revised_data", second))
        )
        new = float(Decimal(str(old)) + sum(part.value for part in parts))
        change = FindingChange(
            outcome="b",
            subject="a",
            old_year=1,
            new_year=2,
            old=told.model_copy(update={"estimate": old}),
            new=told.model_copy(update={"estimate": new}),
            hidden=False,
            what=("estimate",),
            parts=parts,
            unattributed="",
        )
        cents = [Decimal(str(one)).quantize(Decimal("0.01")) for one in (old, new)]
        assert sum(value for _, value in printed_parts(change, "percent")) == cents[1] - cents[0]


def test_the_year_before_is_evaluated_as_it_was_known(
    district: dict[int, mk.Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def noted(study: mk.Study, indicators: mk.Indicators, *, year: int) -> mk.Evaluation:
        asked.append((year, indicators.as_of))
        if indicators.as_of == datetime.date(2019, 12, 31):
            raise mk.DataError("too little")
        return district[2020]

    def cleaned(study: mk.Study, *, as_of: datetime.date | None) -> mk.Indicators:
        return replace(district[2020].indicators, as_of=as_of)

    monkeypatch.setattr("mekeval.changes.earlier.clean_indicators", cleaned)
    monkeypatch.setattr("mekeval.changes.earlier.findings_alone", noted)
    now = district[2021]
    # All of the example's figures were published at the end of 2026: before them there is nothing.
    found = earlier_evaluation(now)
    assert asked[0] == (2020, datetime.date(2025, 12, 31))
    assert found is not None
    assert {outcome for outcome, _ in found.findings} == set(now.study.plan.primary)
    # With an earlier release of all years but the last, the day before the later release is asked for.
    table = now.indicators.table.copy()
    table.loc[table["year"] == 2020, "vintage"] = 2020
    asked.clear()
    earlier_evaluation(replace(now, indicators=replace(now.indicators, table=table)))
    assert asked == [(2020, datetime.date(2025, 12, 31))]


def test_what_is_hidden_now_is_no_part_of_what_was_found_then(
    district: dict[int, mk.Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An estimate of last year would else give the value: it is a sum of which all else is shown this year.

    One area that others are compared with is hidden now in one year before the programme; then it was not.
    """
    now = district[2021]
    outcome = now.study.plan.primary[0]
    area = next(code for code in now.panel.units if code not in now.design.treated)
    table = now.indicators.table.copy()
    there = (table["indicator"] == outcome) & (table["area"] == area) & (table["year"] == 2017)
    assert table.loc[there, "status"].tolist() == ["ok"]
    table.loc[there, ["value", "numerator", "denominator"]] = np.nan
    table.loc[there, "status"] = "confidential"
    was = now.indicators.table
    monkeypatch.setattr("mekeval.changes.earlier.clean_indicators", lambda study, *, as_of: now.indicators)
    asked = []

    def noted(study: mk.Study, indicators: mk.Indicators, *, year: int) -> mk.Evaluation:
        asked.append(indicators.table)
        return district[2020]

    monkeypatch.setattr("mekeval.changes.earlier.findings_alone", noted)
    earlier_evaluation(replace(now, indicators=replace(now.indicators, table=table)))
    (used,) = asked
    pd.testing.assert_frame_equal(used.loc[~there], was.loc[~there])
    assert used.loc[there, "status"].tolist() == ["confidential"]
    assert used.loc[there, ["value", "numerator", "denominator"]].isna().all(axis=None)
    assert was.loc[there, "status"].tolist() == ["ok"]


def test_the_part_of_the_city_report_in_each_language(district: dict[int, mk.Evaluation]) -> None:
    found = changes_between(district[2020], district[2021])
    for language in LANGUAGES:
        texts = mk.Texts(language)
        said = "".join(
            one if isinstance(one, str) else one._repr_html_()
            for one in changes_part(district[2021], found, texts)
        )
        assert texts("changes.heading") in said
        assert "2020" in said
    assert changes_part(district[2021], None, mk.Texts("en")) == []


def test_a_difference_shows_itself_and_reads_as_a_table(district: dict[int, mk.Evaluation]) -> None:
    found = changes_between(district[2020], district[2021])
    assert "<table>" in found._repr_html_()
    assert "what changed" in str(found)
    frame = found.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == len(found.findings)
