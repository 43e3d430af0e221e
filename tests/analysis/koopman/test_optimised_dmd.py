"""Optimised DMD: exact where there is no noise, nearer than exact DMD where there is, every kind of rate."""

import math

import numpy as np
import pytest
import torch

from analysis.koopman.linearity import exact_dmd
from analysis.koopman.optimised_dmd import optimised_dmd
from tests.analysis.koopman.test_trajectories import RATES, TIMES, linear

WANTED = np.concatenate([RATES, np.conj(RATES)])


def far(found, wanted=WANTED):
    """Largest distance of a wanted rate to the nearest one found."""
    return max(float(np.abs(found.eigenvalues.numpy() - w).min()) for w in wanted)


def test_a_linear_system_is_found_exactly():
    found = optimised_dmd(torch.from_numpy(linear()), torch.from_numpy(TIMES), 4)
    assert far(found) < 1e-5 and found.residual < 1e-6 and len(found.eigenvalues) == 4
    theirs = exact_dmd(torch.from_numpy(linear()), torch.from_numpy(TIMES), 4)
    mine = dict(zip(found.eigenvalues.numpy().round(3).tolist(), found.modes.T, strict=True))
    for value, mode in zip(theirs.eigenvalues.numpy().round(3).tolist(), theirs.modes.T, strict=True):
        assert float((mine[value].conj() @ mode).abs()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(torch.linalg.vector_norm(found.modes, dim=0), torch.ones(4).double())


def test_noise_does_not_damp_it():
    exact, ours, damped = [], [], []
    for seed in range(8):
        paths = torch.from_numpy(linear(noise=0.15, features=6, seed=seed))
        a, b = (f(paths, torch.from_numpy(TIMES), 4) for f in (exact_dmd, optimised_dmd))
        exact.append(far(a))
        ours.append(far(b))
        damped.append(float(a.eigenvalues.real.min()) - min(r.real for r in RATES))
    assert np.median(ours) < 0.5 * np.median(exact) and np.mean(damped) < 0


def test_flips_and_real_rates_stay_what_they_are():
    step = TIMES[1]
    curves = np.stack([np.exp(-0.4 * TIMES), (-0.9) ** np.arange(16)])
    weights = np.array([[1, 2], [3, 1], [-1, 2]])
    paths = np.einsum("bk,kn,kf->bnf", weights, curves, np.array([[1.0, 0.2], [-0.5, 1]]))
    found = optimised_dmd(torch.from_numpy(paths), torch.from_numpy(TIMES), 2)
    want = np.array([-0.4, math.log(0.9) / step + 1j * math.pi / step])
    assert far(found, want) < 1e-5 and len(found.eigenvalues) == 2


def test_against_pydmd():
    """The same rates where they are well determined, and never a larger residual."""
    pydmd = pytest.importorskip("pydmd")
    for noise, near in ((0.002, 0.02), (0.05, None)):
        path = linear(count=1, noise=noise, features=4)[0]
        theirs = pydmd.BOPDMD(svd_rank=4, num_trials=0).fit(path.T, TIMES).eigs
        found = optimised_dmd(torch.from_numpy(path[None]), torch.from_numpy(TIMES), 4)
        curves = np.exp(theirs[None] * TIMES[:, None])
        rest = path - curves @ np.linalg.lstsq(curves, path.astype(complex), rcond=None)[0]
        assert found.residual <= np.linalg.norm(rest) / np.linalg.norm(path) * (1 + 1e-4)
        assert near is None or far(found, theirs) < near * np.abs(theirs).max()
