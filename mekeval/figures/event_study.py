"""The event study of any estimator: effects by time since entry, with intervals for each and bands for all.

In: `Effects` or their aggregation by event time, and bands where they were computed. Out: `Picture`. Never: an effect
without an error drawn as if it had one, or a base that is not said.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import ndtri

from ..errors import DesignError
from ..estimate import Aggregation, Effects, aggregate
from ..inference import MANY_TREATED, Bands, JointBands
from ..panel import Floats
from ..tables import Table
from ..text import MINUS, Texts
from .axes import BEFORE, MARGIN, OWN, draw_estimates, mark_base, room, text_size, value_axes, words_at
from .picture import BLUE, INK, MUTED, SHADE, TEXT, Picture, headings, style
from .words import About, Words, words_for

_NEEDED = ("key", "low", "high")


def plot_event_study(
    effects: Effects | Aggregation,
    *,
    bands: Bands | JointBands | pd.DataFrame | None = None,
    alpha: float = 0.05,
    texts: Texts | None = None,
    about: About | None = None,
) -> Picture:
    """Draw the effects of any estimator by time since entry.

    Parameters
    ----------
    effects : Effects or Aggregation
        Effects are aggregated by event time; an aggregation must have been.
    bands : Bands, JointBands or pandas.DataFrame, optional
        With columns `key` (event time), `low` and `high` (pointwise), and `low_uniform` and `high_uniform` where they
        exist. They stand in the place of the normal intervals from the standard errors.
    alpha : float
        Of the intervals; bands bring their own, a data frame of them must have been computed for this one.
    texts : Texts, optional
        English by default.
    about : About, optional
        Name and unit of the outcome, source of the data.

    Returns
    -------
    Picture
        In the outcome's unit. The headline gives the mean effect while treated and how many estimates before entry
        exclude zero, by the uniform band where there is one. Estimates before entry are squares, later ones circles;
        those without an interval are open; the base, where it is one time, is a cross at zero.

    Raises
    ------
    DesignError
        The effects have no event time, the aggregation is another one, the bands lack a column or belong to other
        event times, `alpha` is out of range.

    Notes
    -----
    Pointwise intervals hold for one time each. To judge the whole path take bands that hold for all at once.

    Examples
    --------
    >>> import pandas as pd
    >>> from mekeval import build_panel, make_design, twfe_event_study
    >>> frame = pd.DataFrame({"unit": list("aaabbbcccddd"), "year": [1, 2, 3] * 4})
    >>> frame["y"] = [1.0, 2, 6, 1, 3, 6, 0, 1, 2, 1, 1, 3]
    >>> panel = build_panel(frame, unit="unit", period="year", outcome=["y"])
    >>> effects = twfe_event_study(panel, make_design("abcd", [(3, 3, ["a", "b"])]), outcome="y")
    >>> plot_event_study(effects).data.rows[1][:2]  # two before and one after, the base at time -1
    ('−1', '0.00')
    """
    few = isinstance(bands, JointBands)
    if bands is not None and not isinstance(bands, pd.DataFrame):
        alpha, bands = bands.alpha, bands.table
    found = effects if isinstance(effects, Aggregation) else aggregate(effects, by="event_time")
    if found.by != "event_time":
        raise DesignError(
            "An event study needs effects by event time.", where="effects", found=f"by {found.by!r}"
        )
    table = with_intervals(found.table.drop(columns="se_note"), alpha)
    words = words_for(
        texts,
        about,
        outcome=found.effects.outcome,
        estimates=table["att"].to_numpy(),
        errors=table["se"].to_numpy(),
    )
    table = table.assign(low_uniform=np.nan, high_uniform=np.nan)
    if bands is not None:
        table = _with_bands(table, bands)
    few = few or few_treated(found.effects)
    uniform = bool(table["low_uniform"].notna().any())
    times = base_times(found.effects)
    marked = [time for time in times if time not in set(table["key"])]
    level = words.texts.short(100 * (1 - alpha))
    before, first = table.loc[table["key"] < 0], table.loc[table["key"] >= 0]
    parts: dict[str, object] = {
        "level": level,
        "overall": _overall(words, found, alpha, level, few=few),
        "before": _before(words, before, uniform),
        "estimator": found.effects.estimator.replace("_", " "),
    }
    subtitle = [words.say("event_study.subtitle", **parts)]
    subtitle += shown_how(words, table, parts, few=few, normal=bands is None)
    subtitle.append(base_sentence(words, found.effects, marked or times, crossed=bool(marked)))
    window = base_window(found.effects)
    if window:
        subtitle.append(words.say("event_study.base_marked"))
    headline = words.say("event_study.headline", **parts)
    said = [_said(words, row) for _, row in first.iloc[[0, -1] if len(first) > 1 else [0]].iterrows()]
    return words.picture(
        _figure(words, table, marked, uniform, window),
        headline=headline,
        subtitle=" ".join(subtitle),
        alt=words.say("event_study.alt", headline=headline, parts="; ".join(said).rstrip(".")),
        data=_data(words, table, marked, uniform, level),
    )


def _figure(
    words: Words, table: pd.DataFrame, marked: Sequence[int], uniform: bool, window: Sequence[int]
) -> Figure:
    x, att = table["key"].to_numpy(dtype=float), table["att"].to_numpy(dtype=float)
    low, high = table["low"].to_numpy(), table["high"].to_numpy()
    band_low, band_high = table["low_uniform"].to_numpy(), table["high_uniform"].to_numpy()
    reach = np.concatenate([att, low, high, band_low, band_high, [0.0]])
    with style():
        limits = room(reach[np.isfinite(reach)], above=0.2, below=0.18 if window else 0.06)
        figure, axes = value_axes(words, *limits, unit=words.axis, right=MARGIN, bottom=0.52, sign=True)
        start, end = min([*x, *marked]) - 0.6, max([*x, *marked]) + 0.6
        axes.set_xlim(start, end)
        _time_scale(axes, words, int(np.ceil(start)), int(np.floor(end)))
        if end > 0:
            axes.axvspan(max(-0.5, start), end, color=SHADE, linewidth=0, zorder=0)
            words_at(
                axes,
                words.say("event_study.after"),
                (max(-0.5, start) + end) / 2,
                1.0,
                va="top",
                colour=MUTED,
            )
        axes.axhline(0, color=INK, linewidth=0.8, zorder=1.5)
        if window:
            mark_base(axes, window, words.say("event_study.base_mark"))
        if uniform:
            _band(axes, x, band_low, band_high)
        for chosen, look in ((x < 0, BEFORE), (x >= 0, OWN)):
            draw_estimates(axes, x[chosen], att[chosen], low[chosen], high[chosen], look)
        if marked:
            axes.plot(
                marked,
                np.zeros(len(marked)),
                linestyle="none",
                marker="X",
                markersize=6.5,
                markerfacecolor=INK,
                markeredgecolor="white",
                zorder=4,
            )
    return figure


def _band(axes: Axes, x: Floats, low: Floats, high: Floats) -> None:
    """The uniform band as a bracket around each estimate: nothing is claimed between two times."""
    known = np.isfinite(low) & np.isfinite(high)
    axes.bar(
        x[known],
        (high - low)[known],
        0.44,
        low[known],
        facecolor="none",
        edgecolor=BLUE,
        linewidth=0.9,
        zorder=2.2,
    )


def _time_scale(axes: Axes, words: Words, first: int, last: int) -> None:
    for_each = axes.bbox.width / (last - first + 1)
    widest = max(text_size(_time(time))[0] for time in (first, last))
    step = int(np.ceil((widest + 7) / for_each))
    shown = [time for time in range(first, last + 1) if time % step == 0]
    axes.set_xticks(shown, [_time(time) for time in shown])
    axes.set_xlabel(words.say("event_study.axis"), color=MUTED, size=TEXT, labelpad=4)


def _data(words: Words, table: pd.DataFrame, marked: Sequence[int], uniform: bool, level: str) -> Table:
    rows = [
        (
            int(row["key"]),
            (
                words.change(row["att"]),
                words.interval(row["low"], row["high"]),
                *([words.interval(row["low_uniform"], row["high_uniform"])] if uniform else []),
                words.texts.number(row["n_treated"]),
            ),
        )
        for _, row in table.iterrows()
    ]
    rows += [
        (time, (words.change(0.0), words.say("event_study.base_cell"), *[""] * (1 + uniform)))
        for time in marked
    ]
    columns = headings(
        words.say("event_study.column"),
        words.say("column.estimate"),
        words.say("column.interval", level=level),
        *([words.say("event_study.band_column", level=level)] if uniform else []),
        words.say("event_study.treated_column"),
    )
    return Table(
        caption=words.say("event_study.caption"),
        columns=columns,
        rows=tuple((_time(time), *cells) for time, cells in sorted(rows)),
    )


def _overall(words: Words, found: Aggregation, alpha: float, level: str, *, few: bool) -> str:
    """The mean while treated; with few treated units no normal interval, which would be too narrow."""
    if found.overall is None:
        return words.say("event_study.no_overall")
    estimate = words.change(found.overall, form="difference")
    if few:
        return words.say("event_study.overall_plain", estimate=estimate)
    if found.overall_se is None:
        return words.say("event_study.overall_alone", estimate=estimate)
    reach = float(ndtri(1 - alpha / 2)) * found.overall_se
    low, high = (words.change(found.overall + side * reach) for side in (-1, 1))
    return words.say("event_study.overall", estimate=estimate, level=level, low=low, high=high)


def _before(words: Words, before: pd.DataFrame, uniform: bool) -> str:
    low, high = (before[f"{side}_uniform" if uniform else side] for side in ("low", "high"))
    known = low.notna() & high.notna()
    if not known.any():
        return words.say("event_study.before_unknown")
    out = int(np.sum(known & ((low > 0) | (high < 0))))
    case = ("band_" if uniform else "") + ("some" if out else "none")
    return words.say(f"event_study.before_{case}", n=out, m=int(known.sum()))


def _said(words: Words, row: pd.Series) -> str:
    estimate = with_interval(words, row["att"], row["low"], row["high"])
    return words.say("event_study.part", time=_time(int(row["key"])), estimate=estimate)


def _time(time: int) -> str:
    return f"{MINUS}{-time}" if time < 0 else str(time)


def _with_bands(table: pd.DataFrame, bands: pd.DataFrame) -> pd.DataFrame:
    lacking = [name for name in _NEEDED if name not in bands.columns]
    if lacking:
        raise DesignError(
            "The bands lack a column.",
            where="bands",
            found=", ".join(map(str, bands.columns)),
            expected=", ".join(_NEEDED),
        )
    if set(bands["key"]) != set(table["key"]):
        raise DesignError(
            "The bands are not of these event times.",
            where="bands, key",
            found=", ".join(map(str, sorted(bands["key"]))),
            expected=", ".join(map(str, sorted(table["key"]))),
        )
    own = bands.set_index("key").reindex(table["key"])
    columns = [name for name in ("low", "high", "low_uniform", "high_uniform") if name in own.columns]
    return table.assign(**{name: own[name].to_numpy(dtype=float, na_value=np.nan) for name in columns})


def with_intervals(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Estimates with `se`, `low` and `high` as plain numbers, NaN where there is no standard error."""
    if not 0 < alpha < 1:
        raise DesignError(
            "alpha is out of range.", where="alpha", found=repr(alpha), expected="between 0 and 1"
        )
    att = table["att"].to_numpy(dtype=float)
    errors = table["se"].to_numpy(dtype=float, na_value=np.nan)
    reach = float(ndtri(1 - alpha / 2)) * errors
    return table.assign(att=att, se=errors, low=att - reach, high=att + reach)


def with_interval(words: Words, estimate: float, low: float, high: float) -> str:
    """An estimate in short, with its interval in brackets where it has one."""
    ends = words.interval(low, high)
    return f"{words.change(estimate)} ({ends})" if ends else words.change(estimate)


def counted(words: Words, table: pd.DataFrame) -> str:
    """How many intervals exclude zero, on which side; that there are none where there are none."""
    known = table["low"].notna() & table["high"].notna()
    if not known.any():
        return words.say("counted.unknown")
    above, below = int((table["low"] > 0).sum()), int((table["high"] < 0).sum())
    return words.say("counted.known", n=above + below, m=int(known.sum()), above=above, below=below)


def few_treated(effects: Effects) -> bool:
    """Whether standard errors from influence functions are too small for want of treated units."""
    return effects.influence is not None and int(np.sum(effects.group >= 0)) < MANY_TREATED


def shown_how(
    words: Words, table: pd.DataFrame, parts: dict[str, object], *, few: bool, normal: bool = True
) -> list[str]:
    """What bars, bands and open points mean, where there are any; normal bars of few treated units are too short."""
    bars = bool((table["low"].notna()).any())
    uniform = "low_uniform" in table.columns and bool(table["low_uniform"].notna().any())
    said = [words.say("bars", **parts)] if bars else []
    if bars and few and normal:
        said.append(words.say("few_treated", n=MANY_TREATED))
    if uniform:
        said.append(words.say("bands", **parts))
    if table["low"].isna().any():
        said.append(words.say("open_points" if normal else "open_points_bands"))
    return said


def base_times(effects: Effects) -> list[int]:
    """Event times of the base, where that is one time of each path and no average."""
    cells = effects.cells.loc[effects.cells["phase"].isin(["on", "partial"])]
    times = set()
    for base, cohort in zip(cells["base"], cells["cohort"], strict=True):
        words = str(base).removeprefix("event time ")
        if not words.lstrip("-").isdigit():
            return []
        times.add(int(words) if words != str(base) else int(base) - int(cohort))
    return sorted(times)


def base_window(effects: Effects) -> list[int]:
    """Event times whose mean is the base, where that is the same stretch for every path and more than one time."""
    cells = effects.cells.loc[effects.cells["phase"].isin(["on", "partial"])]
    found = set()
    for base, cohort in zip(cells["base"], cells["cohort"], strict=True):
        years = str(base).split(", ")
        if len(years) < 2 or not all(year.isdigit() for year in years):
            return []
        found.add(tuple(int(year) - int(cohort) for year in years))
    window = sorted(found.pop()) if len(found) == 1 else []
    whole = bool(window) and window[-1] - window[0] == len(window) - 1
    return window if whole else []


def base_sentence(words: Words, effects: Effects, times: Sequence[int], *, crossed: bool) -> str:
    """What zero means; `crossed` where the times of the base are marked by a cross."""
    base = effects.base_period
    if base in _BASES:
        return words.say(f"base.{_BASES[base]}")
    if times:
        key = "base.cross" if crossed else "base.time"
        return words.say(key, time=", ".join(_time(time) for time in times))
    if base.startswith("last period before"):
        return words.say("base.last")
    return words.say("base.other", base=base.replace("_", " "))


_BASES = {
    "pre_mean": "pre_mean",
    "all periods before entry": "pre_mean",
    "varying": "varying",
    "untreated": "untreated",
    "none": "synthetic",
    "time_weighted": "synthetic",
}
