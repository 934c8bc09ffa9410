"""Least squares over the simplex: weights that are not negative and sum to one.

In: many small problems at once. Out: their weights, each with a bound on how far it is from the optimum.
Never: a weight whose distance from the optimum is not said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..panel import Floats

#: The gap at which `simplex_weights` stops, relative to the mean squared length of the columns.
TOLERANCE = 1e-12
_JITTER = 1e-14  # keeps a factor regular where two columns coincide; the steps correct what it spoils
_GUESSES = 12
_FAINT = 1e-11  # a penalty below this, relative to the squared length of a column, is taken as vanishing
_EASY = 1e-9  # above this the set of positive weights is worth a guess
_NOTHING = 1e-300
_ROUNDS = 60

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SimplexFit:
    """Weights of n_problems problems.

    Attributes
    ----------
    weights : array, shape (n_problems, n)
        Not negative; each row sums to 1.
    objective : array, shape (n_problems,)
        Squared residuals plus penalty, in squared units of the target.
    gap : array, shape (n_problems,)
        The objective is at most this much above its minimum (a duality gap; zero at the optimum), same unit.
    """

    weights: Floats
    objective: Floats
    gap: Floats


def simplex_weights(
    design: Floats, target: Floats, *, ridge: float | Floats = 0.0, intercept: bool = False
) -> SimplexFit:
    r"""Solve least squares over the simplex exactly, many problems at once.

    .. math:: \min_{c, w}\ \|A w + c - b\|^2 + \rho \|w\|^2 \quad\text{with}\quad w \ge 0,\ \textstyle\sum_j w_j = 1

    with c = 0 unless `intercept`. Because the weights sum to one, :math:`A w - b = (A - b 1') w`: the common level
    of data and target drops out before anything is squared. An active-set method then moves from one set of
    positive weights to the next, each time to the optimum of that set (a Newton step from where it stands, so that
    rounding of one step is mended by the next), until the duality gap :math:`2 (w'g - \min_j g_j)`, g being half
    the gradient, is at most `TOLERANCE` times the mean squared length of the columns of :math:`A - b 1'`. Where the
    penalty makes the problem well conditioned, the set is first guessed as a whole (primal-dual active set), which
    takes a handful of steps instead of one for each weight. All steps are arrays over the problems still open.

    Parameters
    ----------
    design : array, shape (n_problems, m, n) or (m, n)
        A; one for all problems or one for each.
    target : array, shape (n_problems, m) or (m,)
        b.
    ridge : float or array, shape (n_problems,)
        The penalty :math:`\rho`, in squared units of the target; in the notation of synthetic difference-in-
        differences it is :math:`\zeta^2 m`. One below 1e-11 of the mean squared length of the columns is taken as
        vanishing: where the optimum is not unique, above all where the target can be met exactly, the weights with
        the least sum of squares are returned, which is the limit of a penalty that goes to zero.
    intercept : bool
        Whether a constant is fitted too.

    Returns
    -------
    SimplexFit
        Its gap is above the tolerance only where rounding forbids more progress.

    Raises
    ------
    DataError
        A value is not finite, the shapes do not fit, the penalty is negative.

    References
    ----------
    Lawson, C. and Hanson, R. (1974). Solving least squares problems, chapter 23. Hintermueller, M., Ito, K. and
    Kunisch, K. (2002). The primal-dual active set strategy as a semismooth Newton method. SIAM Journal on
    Optimization 13, 865-888.

    Examples
    --------
    >>> fit = simplex_weights(np.array([[0.0, 4.0, 9.0], [0.0, 0.0, 9.0]]), np.array([1.0, 0.0]))
    >>> fit.weights.round(12)  # 1 = 0.75 * 0 + 0.25 * 4
    array([[0.75, 0.25, 0.  ]])
    """
    columns, rho, scale = _columns(design, target, ridge, intercept)
    size = np.einsum("bij,bij->b", columns, columns) / columns.shape[2]
    rho = np.where(rho <= _FAINT * size, 0.0, rho)
    size += rho
    weights = _vertex(columns)
    easy = rho > _EASY * size
    if easy.any():
        weights[easy] = _guess(columns[easy], rho[easy])
    fine = np.where(rho > 0, np.minimum(TOLERANCE * size, 1e-6 * rho), 1e-3 * TOLERANCE * size)
    weights = _active_set(columns, rho, weights, fine / 2)
    if np.any(rho == 0):
        weights[rho == 0] = _least_norm(columns[rho == 0], weights[rho == 0], size[rho == 0])
    flat = ~columns.any(axis=(1, 2))  # every weight fits as well as any other
    weights[flat] = 1 / columns.shape[2]
    return _summary(columns, rho, scale, weights)


def frank_wolfe_weights(
    design: Floats,
    target: Floats,
    *,
    ridge: float | Floats = 0.0,
    intercept: bool = False,
    min_decrease: float | Floats = 0.0,
    max_iterations: int = 10_000,
    first_iterations: int = 100,
) -> SimplexFit:
    r"""The problem of `simplex_weights`, stopped where the R package synthdid stops.

    Frank-Wolfe with exact line search from uniform weights: at most `first_iterations` steps; weights of at most a
    quarter of the largest set to zero; then at most `max_iterations` steps more. Both rounds end earlier once a
    step lowers objective / m by no more than `min_decrease` squared. Frank-Wolfe converges slowly, so the result is
    often not the optimum: its distance is in `gap`. It exists to repeat published figures; `simplex_weights` is
    the better and the faster solver.

    The gradient is carried from step to step in a Gram matrix, so that a step costs n operations, not n m.

    Parameters
    ----------
    design, target, ridge, intercept
        As in `simplex_weights`.
    min_decrease : float or array, shape (n_problems,)
        In the unit of the target.
    max_iterations, first_iterations : int

    Returns
    -------
    SimplexFit

    References
    ----------
    Arkhangelsky, D., Athey, S., Hirshberg, D., Imbens, G. and Wager, S. (2021). Synthetic difference-in-differences.
    American Economic Review 111, 4088-4118; R package synthdid 0.0.9.
    """
    columns, rho, scale = _columns(design, target, ridge, intercept)
    count, rows, n = columns.shape
    gram = columns.transpose(0, 2, 1) @ columns
    gram[:, np.arange(n), np.arange(n)] += rho[:, None]
    least = rows * (np.broadcast_to(np.asarray(min_decrease, dtype=float), (count,)) / scale) ** 2
    weights = _frank_wolfe(gram, np.full((count, n), 1 / n), least, first_iterations)
    weights = np.where(weights <= weights.max(axis=1, keepdims=True) / 4, 0.0, weights)
    weights /= weights.sum(axis=1, keepdims=True)
    weights = _frank_wolfe(gram, weights, least, max_iterations)
    return _summary(columns, rho, scale, weights)


def _columns(
    design: Floats, target: Floats, ridge: float | Floats, intercept: bool
) -> tuple[Floats, Floats, Floats]:
    """A - b 1' of each problem, its penalty, and the factor by which both were brought to the order of one."""
    matrix, goal = np.asarray(design, dtype=float), np.atleast_2d(np.asarray(target, dtype=float))
    if matrix.ndim not in (2, 3) or matrix.shape[-1] == 0 or goal.ndim != 2:
        raise DataError("There is nothing to weight.", where="simplex", found=f"shape {matrix.shape}")
    if matrix.shape[-2] != goal.shape[1] or (matrix.ndim == 3 and len(matrix) != len(goal)):
        raise DataError(
            "Design and target do not fit.", where="simplex", found=f"shapes {matrix.shape} and {goal.shape}"
        )
    rho = np.broadcast_to(np.asarray(ridge, dtype=float), (len(goal),))
    if not (np.isfinite(matrix).all() and np.isfinite(goal).all() and np.isfinite(rho).all()):
        raise DataError("A value is no finite number.", where="simplex")
    if np.any(rho < 0):
        raise DataError("A penalty is negative.", where="ridge", found=str(rho.min()))
    columns = matrix - goal[:, :, None]
    if intercept:
        columns = columns - columns.mean(axis=1, keepdims=True)
    largest = np.abs(columns).max(axis=(1, 2)) if columns.shape[1] else np.zeros(len(goal))
    noise = (
        8
        * np.finfo(float).eps
        * max(float(np.abs(matrix).max(initial=0)), float(np.abs(goal).max(initial=0)))
    )
    columns[largest <= noise] = 0.0  # a constant outcome leaves nothing but rounding
    scale = np.where(largest <= noise, 1.0, largest)
    return columns / scale[:, None, None], rho / scale**2, scale


def _summary(columns: Floats, rho: Floats, scale: Floats, weights: Floats) -> SimplexFit:
    gradient = _gradient(columns, rho, weights)
    value = np.sum(weights * gradient, axis=1)  # w'(D'D + rho I)w
    gap = 2 * np.maximum(value - gradient.min(axis=1), 0.0)
    return SimplexFit(weights=weights, objective=value * scale**2, gap=gap * scale**2)


def _gradient(columns: Floats, rho: Floats, weights: Floats) -> Floats:
    """Half the gradient, shape (n_problems, n)."""
    residual = columns @ weights[:, :, None]
    return np.asarray((columns.transpose(0, 2, 1) @ residual)[:, :, 0] + rho[:, None] * weights)


def _vertex(columns: Floats) -> Floats:
    """All weight on the one column that does best alone."""
    weights = np.zeros((len(columns), columns.shape[2]))
    best = np.argmin(np.einsum("bij,bij->bj", columns, columns), axis=1)
    weights[np.arange(len(columns)), best] = 1.0
    return weights


def _step(columns: Floats, rho: Floats, gradient: Floats, support: Bools) -> Floats:
    """The step from a point to the optimum of its support, weights of any sign; shape (n_problems, n).

    The step d solves H d = nu 1 - g with 1'd = 0. Adding kappa 1 1' to H changes nothing where 1'd = 0, and makes
    it regular where the fit is perfect.
    """
    most = int(support.sum(axis=1).max())
    order = np.argsort(~support, axis=1, kind="stable")[:, :most]
    inside = np.take_along_axis(support, order, axis=1)
    part = np.take_along_axis(columns, order[:, None, :], axis=2) * inside[:, None, :]
    matrix = part.transpose(0, 2, 1) @ part
    at = np.arange(most)
    size = matrix[:, at, at].sum(axis=1) / inside.sum(axis=1) + rho + np.finfo(float).tiny
    matrix += size[:, None, None] * (inside[:, :, None] & inside[:, None, :])
    matrix[:, at, at] += np.where(inside, (rho + _JITTER * size)[:, None], 1.0)
    sides = np.stack([np.take_along_axis(gradient, order, axis=1) * inside, inside.astype(float)], axis=2)
    solved = np.linalg.solve(matrix, sides)
    level = solved[:, :, 0].sum(axis=1) / solved[:, :, 1].sum(axis=1)
    step = np.zeros_like(gradient)
    np.put_along_axis(step, order, (level[:, None] * solved[:, :, 1] - solved[:, :, 0]) * inside, axis=1)
    return step


def _wide_step(columns: Floats, rho: Floats, gradient: Floats, support: Bools) -> Floats:
    """The step of `_step` by factors of m x m instead of n x n; only where the penalty is not small."""
    part = columns * support[:, None, :]
    matrix = part @ part.transpose(0, 2, 1)
    at = np.arange(part.shape[1])
    matrix[:, at, at] += rho[:, None]
    sides = np.stack([gradient * support, support.astype(float)], axis=2)
    solved = (sides - part.transpose(0, 2, 1) @ np.linalg.solve(matrix, part @ sides)) / rho[:, None, None]
    level = solved[:, :, 0].sum(axis=1) / solved[:, :, 1].sum(axis=1)
    return np.asarray((level[:, None] * solved[:, :, 1] - solved[:, :, 0]) * support)


def _guess(columns: Floats, rho: Floats) -> Floats:
    """Weights whose support is guessed as a whole; feasible, and nearly always optimal."""
    count, rows, n = columns.shape
    support = np.ones((count, n), dtype=bool)
    weights = np.full((count, n), 1 / n)
    left = np.arange(count)
    find = _wide_step if n > rows else _step
    for _ in range(_GUESSES):
        chosen, part, penalty = support[left], columns[left], rho[left]
        start = chosen / chosen.sum(axis=1, keepdims=True)
        free = start + find(part, penalty, _gradient(part, penalty, start), chosen)
        gradient = _gradient(part, penalty, free)
        level = np.sum(free * gradient, axis=1, keepdims=True)
        support[left] = np.where(chosen, free > 0, gradient < level)
        feasible = np.maximum(free, 0.0)
        weights[left] = feasible / feasible.sum(axis=1, keepdims=True)
        left = left[np.any(support[left] != chosen, axis=1)]
        if len(left) == 0:
            break
    return weights


def _least_norm(columns: Floats, weights: Floats, size: Floats) -> Floats:
    """Of all optima that fit alike, the one with the least sum of squared weights.

    The fit D w is the same in all of them. Weights that meet it with the least norm are found by penalised
    problems whose goal is moved by what the last one missed (method of multipliers), each of them well conditioned.
    """
    gradient = _gradient(columns, np.zeros(len(size)), weights)
    level = np.sum(weights * gradient, axis=1)
    could = gradient - level[:, None] <= 1e-13 * size[:, None]
    perfect = level <= TOLERANCE * size  # as far as can be told
    several = perfect | (could.sum(axis=1) > (weights > 0).sum(axis=1))
    result = weights.copy()
    left = np.flatnonzero((size > 0) & several)
    part, penalty = columns[left], 1e-6 * size[left]
    fitted = (part @ weights[left, :, None])[:, :, 0]
    fitted[perfect[left]] = 0.0
    goal = fitted.copy()
    for _ in range(_ROUNDS):
        if len(left) == 0:
            break
        moved = part - goal[:, :, None]
        found = _active_set(moved, penalty, _guess(moved, penalty), 1e-10 * penalty)
        missed = fitted - (part @ found[:, :, None])[:, :, 0]
        goal += missed
        gradient = _gradient(part, np.zeros(len(left)), found)
        gap = np.sum(found * gradient, axis=1) - gradient.min(axis=1)
        good = (gap <= TOLERANCE * size[left] / 2) & (np.abs(missed).max(axis=1) <= 1e-11)
        result[left[good]] = found[good]
        left, part, penalty = left[~good], part[~good], penalty[~good]
        fitted, goal = fitted[~good], goal[~good]
    return result


def _active_set(columns: Floats, rho: Floats, weights: Floats, tolerance: Floats) -> Floats:
    """From feasible weights to the optimum; the objective falls with every step."""
    count, _, n = columns.shape
    weights = weights.copy()
    support = weights > 0
    blocked = np.zeros((count, n), dtype=bool)  # entered, and was thrown out at once: rounding
    whole = np.ones(count, dtype=bool)  # the last step went all the way
    tries = np.zeros(count, dtype=np.int64)  # steps within one support that should need one
    left = np.arange(count)
    for _ in range(20 * n + 50):
        gradient = _gradient(columns[left], rho[left], weights[left])
        gap = np.sum(weights[left] * gradient, axis=1) - gradient.min(axis=1)
        entering = np.argmin(np.where(blocked[left] | support[left], np.inf, gradient), axis=1)
        rows = np.arange(len(left))
        level = np.sum(weights[left] * gradient, axis=1)
        enters = whole[left] & ~support[left, entering] & ~blocked[left, entering]
        enters &= gradient[rows, entering] < level - tolerance[left]
        tries[left] = np.where(enters, 0, tries[left] + whole[left])
        going = (gap > tolerance[left]) & (tries[left] <= 3)
        left, gradient, entering, enters = left[going], gradient[going], entering[going], enters[going]
        if len(left) == 0:
            break
        support[left[enters], entering[enters]] = True
        step = _step(columns[left], rho[left], gradient, support[left])
        ratio = np.divide(weights[left], -step, out=np.full_like(step, np.inf), where=step < 0)
        length = np.minimum(ratio.min(axis=1), 1.0)
        moved = weights[left] + length[:, None] * step
        hit = (ratio <= length[:, None]) & (length < 1)[:, None]
        moved[hit | (moved < 0)] = 0.0
        weights[left] = moved / moved.sum(axis=1, keepdims=True)
        support[left] &= ~hit
        stuck = length == 0
        blocked[left[~stuck]] = False
        blocked[left] |= hit & stuck[:, None]
        whole[left] = (length == 1) | (stuck & enters)
    return weights


def _frank_wolfe(gram: Floats, weights: Floats, least: Floats, max_iterations: int) -> Floats:
    """Frank-Wolfe steps until one lowers w'(gram)w by no more than `least`; at least two."""
    count, n = weights.shape
    result = weights.copy()
    left = rows = np.arange(count)
    # A step mixes the weights with a unit vector, and the gradient with a row of the matrix: one array holds both.
    moves = np.concatenate([np.broadcast_to(np.eye(n), gram.shape), gram], axis=2)
    state = np.concatenate([weights, (gram @ weights[:, :, None])[:, :, 0]], axis=1)
    value = np.sum(state[:, :n] * state[:, n:], axis=1)
    diagonal = np.ascontiguousarray(np.einsum("bii->bi", gram))
    for iteration in range(1, max_iterations + 1):
        towards = np.argmin(state[:, n:], axis=1)
        there = state[rows, towards + n]
        slope = value - there
        bend = np.maximum(diagonal[rows, towards] - 2 * there + value, _NOTHING)
        length = np.minimum(np.maximum(slope / bend, 0.0), 1.0)
        state *= (1 - length)[:, None]
        state += length[:, None] * moves[rows, towards]
        fall = length * (2 * slope - length * bend)
        value = value - fall
        done = fall <= least
        if iteration >= 2 and done.any():
            result[left[done]] = state[done, :n]
            going = ~done
            left, state, moves, diagonal = left[going], state[going], moves[going], diagonal[going]
            value, least, rows = value[going], least[going], rows[: len(left)]
            if len(left) == 0:
                break
    result[left] = state[:, :n]
    return result
