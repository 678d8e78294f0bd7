"""What a search learns from: Gaussian processes of scikit-optimize, made quick to fit, and what margins are before they are learned."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["compressed", "falling", "process"]

Vector = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

JITTER = 1e-6


def process(at: Vector, values: Vector, x: Vector, waiting: Vector, seed: int) -> tuple[Vector, Vector]:
    """Mean and deviation at coordinates `x` of a Gaussian process through `values` at coordinates `at`.

    Matern 5/2 with a length scale per dimension, and noise, all by maximum likelihood. At the points `waiting` it is taken to be
    certain of its own mean.

    >>> at = np.linspace(0, 1, 9)[:, None]
    >>> mean, deviation = process(at, at[:, 0] ** 2, np.array([[0.55]]), np.zeros((0, 1)), seed=0)
    >>> bool(abs(mean[0] - 0.55**2) < 0.001), bool(deviation[0] < 0.01)
    (True, True)
    """
    from skopt.learning import GaussianProcessRegressor
    from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern

    middle, spread = float(values.mean()), float(values.std())
    if spread < 1e-12:
        return np.full(len(x), middle), np.full(len(x), max(abs(middle), 1e-3))
    width, known = x.shape[1], (values - middle) / spread
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern([0.5] * width, [(0.05, 20.0)] * width, nu=2.5)

    def likeliest(_: Any, start: Vector, bounds: Vector) -> tuple[Vector, float]:
        from scipy.optimize import minimize

        found = minimize(unlikeliness, start, (at, known), "L-BFGS-B", jac=True, bounds=bounds)
        return found.x, float(found.fun)

    model = GaussianProcessRegressor(kernel, alpha=JITTER, noise="gaussian", optimizer=likeliest, random_state=seed)
    with warnings.catch_warnings(), _threads().limit(limits=1):  # they wait for each other on matrices this small
        warnings.simplefilter("ignore")  # a bound met by a length scale is no news
        model.fit(at, known)
        if len(waiting):
            believed = np.concatenate([known, model.predict(waiting)])
            model.set_params(kernel=model.kernel_, optimizer=None, noise=None)
            model.fit(np.concatenate([at, waiting]), believed)
        mean, deviation = model.predict(x, return_std=True)
    return np.asarray(mean * spread + middle), np.maximum(deviation * spread, 1e-9)


@cache
def _threads() -> Any:
    """Libraries with threads of their own; to look for them takes milliseconds."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def unlikeliness(theta: Vector, at: Vector, values: Vector) -> tuple[float, Vector]:
    """Minus the logarithm of the marginal likelihood of `values` (n,) at coordinates `at` (n, d), and its gradient.

    `theta` are the logarithms of the Matern 5/2 kernel's variance, its d length scales and the noise's variance (Rasmussen and
    Williams, Gaussian Processes for Machine Learning, 2006, equations 5.8 and 5.9). What scikit-learn computes with tensors of
    (n, n, d), this does with matrices.
    """
    from scipy.linalg import cho_solve, cholesky

    variance, lengths, noise = math.exp(theta[0]), np.exp(theta[1:-1]), math.exp(theta[-1])
    z = at / lengths
    squares = (z * z).sum(axis=1)
    r = np.sqrt(5 * np.maximum(squares[:, None] + squares - 2 * z @ z.T, 0))
    decay = variance * np.exp(-r)
    kernel = (1 + r + r * r / 3) * decay
    try:
        root = cholesky(kernel + (noise + JITTER) * np.eye(len(at)), lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return math.inf, np.zeros_like(theta)
    weights = cho_solve((root, True), values, check_finite=False)
    half = values @ weights / 2 + np.log(np.diag(root)).sum() + len(at) / 2 * math.log(2 * math.pi)
    rest = np.outer(weights, weights) - cho_solve((root, True), np.eye(len(at)), check_finite=False)
    slopes = rest * (1 + r) * decay
    by_length = 5 / 3 * (slopes.sum(axis=1) @ (z * z) - (z * (slopes @ z)).sum(axis=0))
    gradient = [(rest * kernel).sum() / 2, *by_length, noise * np.trace(rest) / 2]
    return float(half), -np.array(gradient)


def falling(guide: Vector, values: Vector, at: Vector) -> Vector:
    """The line of least squares through three `values` or more over `guide`, at `at`; zero where it does not fall.

    >>> falling(np.array([0.0, 1.0, 2.0]), np.array([3.0, 1.0, -1.0]), np.array([0.5])).tolist()
    [2.0]
    """
    if len(values) < 3:  # a line through two leaves nothing to be unsure of
        return np.zeros(len(at))
    middle, spread = guide.mean(), ((guide - guide.mean()) ** 2).sum()
    slope = float(((guide - middle) * values).sum() / spread) if spread > 0 else 0.0
    return np.asarray(values.mean() + slope * (at - middle) if slope < 0 else np.zeros(len(at)))


def compressed(margins: dict[Key, float]) -> dict[Key, float]:
    """Margins as inverse hyperbolic sines in units of their median magnitude.

    Signs stay, small margins as well, and large ones count by their logarithm: a design that loses all accuracy says no
    more about where the limit runs than one that loses a tenth, and would set the scale on which all others look alike.

    >>> compressed({"a": -0.01, "b": 0.01, "c": -10.0})
    {'a': -0.881373587019543, 'b': 0.881373587019543, 'c': -7.600902709541988}
    """
    scale = float(np.median(np.abs(list(margins.values())))) if margins else 0.0
    return {point: math.asinh(margin / scale) if scale > 0 else margin for point, margin in margins.items()}
