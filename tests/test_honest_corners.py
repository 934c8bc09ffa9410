"""HonestDiD where the corners of a test are too many to be listed: programs find those that decide."""

from __future__ import annotations

import numpy as np
import pytest

from mekeval.sensitivity.honest import moments
from mekeval.sensitivity.honest.engine import Interval, interval, problem
from mekeval.sensitivity.honest.restrictions import Times

TIMES = np.array([-5.0, -4, -3, -2, 0, 1, 2, 3])


def found(
    given: tuple[np.ndarray, np.ndarray], n_pre: int, size: float, **settings: object
) -> tuple[Interval, bool]:
    """The interval of the average effect, and whether the corners were listed."""
    estimates, covariance = given
    taken = slice(4 - n_pre, 7)
    assumed = {"bias": None, "monotone": None, **settings}
    posed = problem(
        estimates[taken],
        covariance[taken, taken],
        Times(pre=TIMES[4 - n_pre : 4], post=TIMES[4:7], base=-1.0),
        np.full(3, 1 / 3),
        alpha=0.05,
        draws=2_000,
        seed=0,
        grid_points=400,
        **assumed,
    )
    return interval(posed, size), posed.corners.complete


@pytest.mark.parametrize(
    ("n_pre", "size", "settings"),
    [
        (1, 0.5, {"restriction": "relative_magnitudes"}),
        (2, 1.0, {"restriction": "relative_magnitudes", "monotone": "increasing"}),
        (2, 0.5, {"restriction": "relative_smoothness", "bias": "negative"}),
        (4, 0.1, {"restriction": "smoothness", "bias": "positive"}),
        (4, 0.0, {"restriction": "smoothness", "monotone": "decreasing"}),
    ],
)
def test_programs_find_what_the_list_holds(
    bc: tuple[np.ndarray, np.ndarray],
    n_pre: int,
    size: float,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, complete = found(bc, n_pre, size, **settings)
    monkeypatch.setattr(moments, "MOST_RAYS", 1)
    searched, short = found(bc, n_pre, size, **settings)
    assert complete and not short
    for end in ("low", "high", "set_low", "set_high"):
        assert getattr(searched, end) == pytest.approx(getattr(listed, end), abs=1e-7)


# Coefficients and standard errors, in percent, of Lovenheim and Willen as mcaceresb/stata-honestdid prints them
# (test/unit-tests-consistency.do.log): 9 before, 23 after, against year -2. The correlation is made up, 0.8 a year.
LW = np.concatenate(
    [
        [2.18326, 1.55924, 0.2349, 0.9295, 0.80775, 0.96308, 0.14553, -0.34589, -0.46198],
        [-0.47816, -0.9562, -1.36362, -1.31881, -1.17635, -1.40831, -0.85938, -1.24379, -1.3811],
        [-1.3069, -1.52452, -1.62461, -1.71394, -2.49014, -2.42801, -2.46493, -3.15922, -2.96503],
        [-3.26207, -3.31873, -3.27007, -3.12616, -3.54356],
    ]
)
LW_ERRORS = np.concatenate(
    [
        [1.50761, 1.63458, 1.00346, 0.80027, 0.46505, 0.51837, 0.43947, 0.51169, 0.20348],
        [0.38844, 0.45469, 0.40365, 0.48604, 0.50816, 0.51842, 0.51869, 0.57466, 0.49909],
        [0.54242, 0.54238, 0.52979, 0.56009, 0.62585, 0.62522, 0.71115, 0.62608, 0.66966],
        [0.71235, 0.74197, 0.79775, 0.91758, 0.91431],
    ]
)
LW_TIMES = np.array([*range(-11, -2), *range(-1, 22)], dtype=float)
LW_COVARIANCE = np.outer(LW_ERRORS, LW_ERRORS) * 0.8 ** np.abs(LW_TIMES[:, None] - LW_TIMES)


def lw(sign: int, monotone: str | None, size: float) -> np.ndarray:
    """Interval of the effect after 15 years, the coefficients times `sign`."""
    posed = problem(
        sign * LW,
        LW_COVARIANCE,
        Times(pre=LW_TIMES[:9], post=LW_TIMES[9:], base=-2.0),
        (LW_TIMES[9:] == 15).astype(float),
        "smoothness",
        bias=None,
        monotone=monotone,
        alpha=0.05,
        draws=1,
        seed=0,
        grid_points=1_000,
    )
    assert posed.corners.complete is (monotone is None)
    found = interval(posed, size)
    return np.array([found.low, found.high])


def test_many_times_after_the_base() -> None:
    """The effect after 15 years under a trend that bends little and falls, as in figure 9b of the source."""
    falling = lw(1, "decreasing", 0.01)
    # moderndid 0.2.0, create_sensitivity_results_sm(..., 9, 23, m_vec=[0.01], monotonicity_direction="decreasing"), in
    # twelve minutes; it simulates the quantile of the first stage's interval.
    assert np.abs(falling - (-6.4065122, -3.8555207)).max() < 0.001
    # Deviations before fall too, so they explain a part of the estimate, and can hide nothing.
    assert falling[0] < falling[1] < lw(1, None, 0.01)[1]
    # The first stage is cut into 999 steps.
    assert np.abs(falling + lw(-1, "increasing", 0.01)[::-1]).max() < 0.02
