"""The likelihood that length scales are chosen by is scikit-learn's, computed more quickly."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hardpoint.optimizer.surrogate import JITTER, falling, process, unlikeliness

pytestmark = pytest.mark.pc


@pytest.mark.parametrize("width", [1, 6])
def test_likelihood_and_gradient_are_scikit_learns(width) -> None:
    rng = np.random.default_rng(width)
    at, values = rng.random((30, width)), rng.standard_normal(30)
    at[3] = at[7]
    kernel = ConstantKernel(1.0) * Matern([0.5] * width, nu=2.5) + WhiteKernel(1.0)
    model = GaussianProcessRegressor(kernel, alpha=JITTER, optimizer=None).fit(at, values)
    for _ in range(20):
        theta = rng.uniform(-3, 3, width + 2)
        value, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
        mine, slope = unlikeliness(theta, at, values)
        assert mine == pytest.approx(-value, rel=1e-9)
        assert slope == pytest.approx(-gradient, rel=1e-6, abs=1e-8)


def test_what_waits_is_taken_to_turn_out_as_expected() -> None:
    at = np.array([[0.0], [0.5], [1.0]])
    values, x = np.array([0.0, 1.0, 0.0]), np.array([[0.2], [0.8]])
    mean, deviation = process(at, values, x, np.zeros((0, 1)), 0)
    believed, sure = process(at, values, x, x[:1], 0)
    assert believed == pytest.approx(mean, abs=0.01)
    assert sure[0] < 0.1 * deviation[0]


def test_two_values_are_no_line() -> None:
    assert falling(np.array([0.0, 1.0]), np.array([3.0, 1.0]), np.array([0.5])).tolist() == [0.0]


def test_equal_values_have_no_shape() -> None:
    mean, deviation = process(np.array([[0.0], [1.0]]), np.array([2.0, 2.0]), np.array([[0.3]]), np.zeros((0, 1)), 0)
    assert (mean[0], deviation[0]) == (2.0, 2.0)
