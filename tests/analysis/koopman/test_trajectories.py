"""DMD of trajectories of anybody: known spectra, intervals that cover, errors by hand, remarks that are due."""

import math
import time

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.evaluate import trajectories as command
from analysis.koopman import trajectories
from analysis.koopman.linearity import exact_dmd
from analysis.koopman.trajectories import States, checked_states, open_states, propagate, singular_basis, study
from tests.refusals import refuses
from tests.sentences import numbers, tells

RATES = (-0.3 + 2.0j, -0.05 + 0.7j)
TIMES = np.linspace(0, 3, 16)


def linear(rates=RATES, count=6, features=12, noise=0.0, times=TIMES, seed=0):
    """Real trajectories of a linear system with these conjugate pairs, seen through a random map."""
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(count, len(rates))) + 1j * rng.normal(size=(count, len(rates)))
    z = start[:, None] * np.exp(np.array(rates) * times[:, None])
    pairs = np.concatenate([z.real, z.imag], -1)
    seen = pairs @ rng.normal(size=(pairs.shape[-1], features))
    return seen + noise * rng.normal(size=seen.shape)


def matched(found, wanted):
    return max(min(abs(complex(a, b) - w) for a, b in zip(found.alpha, found.beta, strict=True)) for w in wanted)


def test_a_linear_system_is_found_exactly():
    r = study(checked_states(linear(), TIMES), rank=8)
    assert len(r.alpha) == 4 and matched(r, [*RATES, *np.conj(RATES)]) < 1e-6
    assert max(r.errors["dense"]) < 1e-6 and r.captured == pytest.approx(1) and len(r.held_out) == 2
    assert any(tells(remark, 4, 8) for remark in r.remarks)  # the rank, not the one that was asked
    assert (r.alpha_low <= r.alpha + 1e-6).all() and (r.alpha <= r.alpha_high + 1e-6).all()


def test_the_coordinates_have_the_eigenvalues_of_the_states():
    paths = torch.from_numpy(linear(noise=0.05, features=40))
    basis, singular = singular_basis(paths[:, :-1].flatten(0, 1).T, 5)
    torch.testing.assert_close(basis.T @ basis, torch.eye(5).double())
    s = torch.linalg.svdvals(paths[:, :-1].flatten(0, 1))
    torch.testing.assert_close(singular[: len(s)], s, atol=1e-6, rtol=1e-6)
    small, whole = (exact_dmd(x, torch.from_numpy(TIMES), 5) for x in (paths @ basis, paths))
    for value in small.eigenvalues:
        assert float((whole.eigenvalues - value).abs().min()) < 1e-6
    few = torch.from_numpy(linear(noise=0.05, features=3))[:, :-1].flatten(0, 1).T
    basis, singular = singular_basis(few, 9)
    assert basis.shape == (3, 3) and torch.allclose(singular, torch.linalg.svdvals(few))


def test_errors_by_hand():
    paths = linear(noise=0.1, count=8)
    r = study(checked_states(paths, TIMES), rank=4, held_out=0.25, draws=10)
    test = list(r.held_out)
    fit = [i for i in range(8) if i not in test]
    x, y = paths[fit, :-1].reshape(-1, 12), paths[fit, 1:].reshape(-1, 12)
    u = np.linalg.svd(x, full_matrices=False)[2][:4].T
    step = np.linalg.lstsq(x @ u, y @ u, rcond=None)[0]
    z = paths[test] @ u
    gains = ((x @ u) * (y @ u)).sum(0) / ((x @ u) ** 2).sum(0)
    for t in (1, 9, 15):
        wanted = {
            "dense": z[:, 0] @ np.linalg.matrix_power(step, t) @ u.T, "diagonal": z[:, 0] * gains**t @ u.T,
            "identity": paths[test, 0], "best": z[:, t] @ u.T,
        }  # fmt: skip
        for name, told in wanted.items():
            error = np.linalg.norm(told - paths[test, t]) / np.linalg.norm(paths[test, t])
            assert r.errors[name][t] == pytest.approx(error, rel=1e-5, abs=1e-9)
    assert r.errors["best"][9] <= r.errors["dense"][9] < r.errors["identity"][9]


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = total = 0
    for seed in range(12):
        r = study(checked_states(linear(noise=0.02, count=20, seed=seed), TIMES), rank=4, held_out=0, draws=60)
        for want in RATES:
            at = int(np.argmin(np.abs(r.alpha + 1j * r.beta - want)))
            hits += int(r.alpha_low[at] <= want.real <= r.alpha_high[at])
            total += 1
    assert hits / total > 0.6  # least squares of noisy snapshots is biased; without matching it is far below


def test_propagation_is_the_matrix_power():
    small = torch.from_numpy(linear(features=4))
    dmd = exact_dmd(small, torch.from_numpy(TIMES), 4)
    told = propagate(dmd, small[:, 0], torch.from_numpy(TIMES))
    torch.testing.assert_close(told, small, atol=1e-8, rtol=1e-6)


def test_what_is_to_be_mistrusted_is_said():
    step = TIMES[1]
    fast = 2 * math.pi / step - 2.0  # folds back to -2
    r = study(checked_states(linear((-0.1 + 1j * fast,)), TIMES), rank=2)
    assert np.abs(r.beta).max() == pytest.approx(2.0, abs=1e-4)
    near = study(checked_states(linear((-0.1 + 0.97j * math.pi / step,)), TIMES), rank=2)
    assert any(tells(remark, 100 * trajectories.NEAR_ALIASING) for remark in near.remarks)
    times = np.arange(10.0)
    flips = np.random.default_rng(0).normal(size=(4, 1, 3)) * ((-0.9) ** times)[:, None]
    assert any(tells(remark, 1, 3.14) for remark in study(checked_states(flips, times), rank=1).remarks)  # pi a step
    twice = np.concatenate([linear(count=3)] * 2)
    assert any(tells(remark, 6) for remark in study(checked_states(twice, TIMES), held_out=0).remarks)
    rng = np.random.default_rng(1)
    same = np.exp(-0.3 * TIMES)[None, :, None] * rng.normal(size=(8, 1, 2)) + 1e-6 * rng.normal(size=(8, 16, 2))
    assert [1] in map(numbers, study(checked_states(same, TIMES), rank=2).remarks)  # pair of eigenvalues
    alone = study(checked_states(linear(count=1), TIMES), rank=4)
    assert np.isnan(alone.alpha_low).all() and alone.held_out == ()
    assert [numbers(remark) for remark in alone.remarks] == [[], []]  # nothing held out, and no intervals
    clean = study(checked_states(linear(noise=1e-3, count=12), TIMES), rank=4)
    assert not clean.remarks


def test_files(tmp_path, capsys):
    path = tmp_path / "a.npz"
    np.savez(path, states=linear().reshape(6, 16, 3, 4), times=TIMES)
    assert open_states(path).paths.shape == (6, 16, 12)
    assert open_states(path.read_bytes()).times.tolist() == pytest.approx(TIMES.tolist())
    np.savez(tmp_path / "b.npz", states=linear())
    assert open_states(tmp_path / "b.npz").times.diff().tolist() == [1.0] * 15
    assert command.main([str(path), "--rank", "4", "--draws", "20"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n| ") >= 4 + 2 + 4
    bad = {
        "none": {"other": linear()}, "flat": {"states": linear()[0]}, "text": {"states": np.array([[["a"]]])},
        "short": {"states": linear()[:, :2]}, "nan": {"states": linear() * np.nan},
        "times": {"states": linear(), "times": TIMES**2}, "still": {"states": linear(), "times": 0 * TIMES},
        "object": {"states": np.array([[[object()]]])},
    }  # fmt: skip
    for name, arrays in bad.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(UserError):
            open_states(tmp_path / f"{name}.npz")
        assert command.main([str(tmp_path / f"{name}.npz")]) == 2
    (tmp_path / "c.npz").write_bytes(b"no archive")
    for source in (tmp_path / "c.npz", tmp_path / "missing.npz", b""):
        with pytest.raises(UserError):
            open_states(source)
    with refuses("states"):
        open_states(path, most=1000)
    for values in ({"rank": 0}, {"held_out": 0.95}, {"draws": 1}):
        with pytest.raises(UserError):
            study(States(torch.from_numpy(linear()), torch.from_numpy(TIMES)), **values)


def test_the_optimised_rates_are_nearer_where_states_are_noisy():
    far = {}
    for method in ("exact", "optimised"):
        studies = [
            study(checked_states(linear(noise=0.3, features=5, seed=s), TIMES), rank=4, draws=20, method=method)
            for s in range(6)
        ]
        far[method] = float(np.median([matched(r, RATES) for r in studies]))
        r = studies[0]
        assert (r.alpha_low <= r.alpha_high).all() and np.isfinite(r.beta_low).all()
    assert far["optimised"] < 0.7 * far["exact"]
    with refuses("method"):
        study(checked_states(linear(), TIMES), method="other")


def test_many_features_take_seconds():
    paths = np.random.default_rng(0).normal(size=(8, 33, 4096)).cumsum(1)
    start = time.perf_counter()
    r = study(checked_states(paths), rank=16, draws=50)
    assert time.perf_counter() - start < 30 and len(r.alpha) == 16


def test_against_pydmd():
    pydmd = pytest.importorskip("pydmd")
    paths = linear(count=1, noise=0.01)[0]
    theirs = pydmd.DMD(svd_rank=4, exact=True).fit(paths.T)
    rates = np.log(theirs.eigs) / TIMES[1]
    r = study(checked_states(paths[None], TIMES), rank=4)
    assert matched(r, rates) < 1e-4
    assert trajectories.NEAR_ALIASING < 1
