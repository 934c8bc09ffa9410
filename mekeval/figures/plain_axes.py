"""Axes that draw all ticks of a scale with one tick, instead of making each of them anew.

In: a figure. Out: matplotlib's axes, with all their methods. Never: bytes that differ from those of matplotlib's own
axes. Whoever asks for the ticks gets them, and then they are drawn as matplotlib does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import _interval_contains_close  # type: ignore[attr-defined]

_TICKS = ("majorTicks", "minorTicks")
_GROUP = Axis.__module__  # what matplotlib calls the group of a scale


def add_axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """New axes; as the figure's own method."""
    axes = figure.add_axes(place, axes_class=_PlainAxes)
    for spine in axes.spines.values():
        spine.get_spine_transform()  # the first tick would have had it put in its place
    return axes


class _PlainAxes(Axes):
    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _X(self, clear=False), _Y(self, clear=False)
        for name in ("bottom", "top"):
            self.spines[name].register_axis(self.xaxis)
        for name in ("left", "right"):
            self.spines[name].register_axis(self.yaxis)


class _OneTick(Axis):
    """A scale whose ticks are made when they are asked for, and not to be drawn."""

    _clip: tuple[Any, Any] | None = None
    _unmade = False
    _drawn: tuple[list[Any], tuple[list[Any], list[Any]]] | None = None

    @contextmanager
    def _without_ticks(self) -> Iterator[None]:
        """Within the block ticks that were not made yet are no ticks."""
        missing = [name for name in _TICKS if name not in self.__dict__]
        before = self._unmade
        self._unmade = "majorTicks" in missing or before
        self.__dict__.update({name: [] for name in missing})
        try:
            yield
        finally:
            self._unmade = before
            for name in missing:
                self.__dict__.pop(name, None)

    def set_clip_path(self, path: Any, transform: Any = None) -> None:
        with self._without_ticks():
            super().set_clip_path(path, transform)
        self._clip = (path, transform)

    def set_tick_params(self, which: Any = "major", reset: bool = False, **kwargs: Any) -> None:
        with self._without_ticks():
            super().set_tick_params(which=which, reset=reset, **kwargs)

    def set_ticks(self, ticks: Any, labels: Any = None, *, minor: bool = False, **kwargs: Any) -> Any:
        if minor or kwargs:
            return super().set_ticks(ticks, labels, minor=minor, **kwargs)
        with self._without_ticks():
            return super().set_ticks(ticks, labels)

    def get_major_ticks(self, numticks: int | None = None) -> Any:
        return [] if self._unmade else super().get_major_ticks(numticks)

    def _get_tick(self, major: bool) -> Any:
        tick = super()._get_tick(major)  # type: ignore[misc]
        if self._clip is not None:
            tick.set_clip_path(*self._clip)
        return tick

    def draw(self, renderer: Any) -> None:
        locator = self.get_major_locator()
        plain = (
            "majorTicks" not in self.__dict__
            and isinstance(locator, FixedLocator)
            and isinstance(self.get_minor_locator(), NullLocator)
            and (not self.label.get_text() or self._alone())
            and self.get_visible()
        )
        places: Any = self.get_majorticklocs() if plain else ()
        formatter = self.get_major_formatter()
        if not plain or (len(places) and not isinstance(formatter, FuncFormatter)):
            super().draw(renderer)
            return
        renderer.open_group(_GROUP)
        labelled, own = bool(self.label.get_text()), cast("Any", self)
        drawn: list[Any] = []
        boxes: tuple[list[Any], list[Any]] = ([], [])
        if len(places):
            tick = self._get_tick(major=True)
            transform = self.get_transform()
            interval = transform.transform(sorted(self.get_view_interval()))
            for place, text in zip(places, formatter.format_ticks(places), strict=True):
                if _interval_contains_close(interval, transform.transform(place)):
                    tick.update_position(place)
                    tick.label1.set_text(text)
                    tick.label2.set_text(text)
                    tick.draw(renderer)
                    drawn = [tick]
                    if labelled:
                        for found, more in zip(
                            boxes, own._get_ticklabel_bboxes(drawn, renderer), strict=True
                        ):
                            found.extend(more)
        if labelled:
            with self._without_ticks():
                self.majorTicks, self._drawn = drawn, (drawn, boxes)
                own._update_label_position(renderer)
                self._drawn = None
            self.label.draw(renderer)
        renderer.close_group(_GROUP)
        self.stale = False

    def _alone(self) -> bool:
        """Whether the title of this scale stands by itself, not in line with those of other axes."""
        groups, name = getattr(self.axes.figure, "_align_label_groups", {}), getattr(self, "axis_name", "")
        return name not in groups or len(groups[name].get_siblings(self.axes)) == 1

    def _update_ticks(self) -> Any:
        return super()._update_ticks() if self._drawn is None else self._drawn[0]  # type: ignore[misc]

    def _get_tick_boxes_siblings(self, renderer: Any) -> Any:
        if self._drawn is not None:
            return self._drawn[1]
        return super()._get_tick_boxes_siblings(renderer)  # type: ignore[misc]


class _X(_OneTick, XAxis):
    pass


class _Y(_OneTick, YAxis):
    pass
