"""Axes that draw all ticks with one: the same SVG as matplotlib's own axes give, and real ticks for who asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mekeval.figures.picture import style
from mekeval.figures.plain_axes import add_axes
from mekeval.figures.svg import written_svg


def plain(axes: Axes) -> None:
    axes.set_ylim(3, -1)
    axes.set_yticks([0, 1, 2], ["a", "b", "c"])
    axes.set_xticks([])


def styled(axes: Axes) -> None:
    axes.spines[["left", "right"]].set_visible(False)
    axes.tick_params(length=0, labelcolor="green", labelsize=9, pad=4)
    axes.tick_params(axis="x", length=3, color="red", pad=3)
    axes.set_ylim(0, 10)
    axes.set_yticks([0.0, 5.0, 20.0], ["0", "5", "far"])
    axes.grid(axis="y", color="blue", linewidth=0.7)
    axes.set_xticks([2, 4], ["2", "4"])
    axes.set_xlim(3, 5)
    axes.plot([3, 5], [1, 9])


def named(axes: Axes) -> None:
    styled(axes)
    axes.set_xlabel("years")


def restyled(axes: Axes) -> None:
    styled(axes)
    axes.get_yticklabels()[1].set_color("red")
    axes.tick_params(axis="y", labelcolor="black")


def untouched(axes: Axes) -> None:
    axes.plot([1, 2], [3, 4])


@pytest.mark.parametrize("draw", [plain, styled, named, restyled, untouched])
def test_the_bytes_are_those_of_matplotlib(draw: Callable[[Axes], None]) -> None:
    written = []
    for add in (add_axes, Figure.add_axes):
        with style():
            figure = Figure(figsize=(4, 3))
            draw(add(figure, (0.2, 0.2, 0.7, 0.7)))
            written.append(written_svg(figure))
            written.append(written_svg(figure))
    assert written[0] == written[1] == written[2] == written[3]


def test_ticks_are_there_for_who_asks() -> None:
    axes = add_axes(Figure(), (0.1, 0.1, 0.8, 0.8))
    axes.set_xticks([1, 2], ["one", "two"])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one", "two"]
