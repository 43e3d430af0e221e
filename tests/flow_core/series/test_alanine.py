"""Dihedral angles: the shipped data, codes, measures on the torus against literal recomputation."""

import hashlib
import json
import math

import numpy as np
import pytest

from flow_core.series import alanine
from flow_core.series.scores import wrap
from foundation.files.locations import DataError
from foundation.mistakes import Mistake
from tests.refusals import refuses

RNG = np.random.default_rng(0)


@pytest.fixture
def no_data_folder(monkeypatch):
    monkeypatch.delenv("KOOPMAN_DATA", raising=False)


def write(path, angles, dt=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, phi_psi=angles, dt_ps=np.float32(dt))
    return path


def test_shipped_data_are_what_the_card_says(no_data_folder):
    card = json.loads(alanine.SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))
    data = alanine.load()
    assert data.angles.shape == (card["runs"], card["frames_per_run"], 2) and data.angles.dtype == np.float32
    assert data.dt_ps == card["dt_ps"] and data.licence == card["licence"]
    assert alanine.SHIPPED.stat().st_size == card["bytes"] < 1_000_000
    assert hashlib.sha256(alanine.SHIPPED.read_bytes()).hexdigest() == card["sha256"]
    assert np.abs(data.angles).max() <= np.float32(math.pi)
    moved = np.abs(wrap(np.diff(data.angles, axis=1)))
    assert 0.1 < float(moved.mean()) < 1.0  # radians a picosecond
    populations = alanine.kinetics(alanine.core_states(data.angles), data.dt_ps).populations
    assert 0.3 < populations[1] < 0.5 and populations[2] < 0.01


def test_a_file_by_path_or_below_the_data_folder(tmp_path, monkeypatch):
    angles = RNG.uniform(-3, 3, (2, 5, 2)).astype(np.float32)
    data = alanine.load(write(tmp_path / "mine.npz", angles))
    assert data.dt_ps == 0.5 and "user" in data.licence
    np.testing.assert_allclose(data.angles, angles, atol=1e-6)
    write(tmp_path / "alanine_dipeptide" / "dihedrals.npz", angles + 2 * math.pi * (angles < 0))
    monkeypatch.setenv("KOOPMAN_DATA", str(tmp_path))
    np.testing.assert_allclose(alanine.load().angles, angles, atol=1e-6)  # wrapped back


@pytest.mark.parametrize(
    "content, field",
    [
        (b"", "file"),
        ({"phi_psi": np.zeros((2, 5, 2))}, "file"),
        ({"phi_psi": np.zeros((5, 2)), "dt_ps": 1.0}, "phi_psi"),
        ({"phi_psi": np.full((1, 5, 2), 120.0), "dt_ps": 1.0}, "phi_psi"),
        ({"phi_psi": np.full((1, 5, 2), np.nan), "dt_ps": 1.0}, "phi_psi"),
        ({"phi_psi": np.zeros((1, 5, 2)), "dt_ps": 0.0}, "phi_psi"),
        ({"phi_psi": np.array([{}], object), "dt_ps": 1.0}, "file"),
    ],
)
def test_damaged_files_get_their_sentence(tmp_path, content, field):
    path = tmp_path / "a.npz"
    path.write_bytes(b"") if content == b"" else np.savez(path, **content)
    with refuses(field, error=DataError):
        alanine.load(path)


def test_missing_file():
    with refuses("file", "nowhere.npz", DataError):
        alanine.load("nowhere.npz")


def test_codes_keep_angles_to_half_a_step():
    angles = np.concatenate([RNG.uniform(-7, 7, 1000), [math.pi, -math.pi, 0]])
    codes = alanine.encode(angles)
    assert codes.dtype == np.int16
    back = alanine.decode(codes)
    assert np.abs(wrap(back - angles)).max() <= math.pi / 2**16 + 1e-12
    assert ((back >= -math.pi) & (back < math.pi)).all()
    assert np.array_equal(alanine.encode(back), codes)


def test_agreement_of_series_by_hand():
    a, b = RNG.uniform(-math.pi, math.pi, (2, 3, 40, 2))

    def turn(x, y):  # degrees, the short way
        d = abs(math.degrees(x - y)) % 360
        return min(d, 360 - d)

    for k in (0, 1):
        x, y = a[..., k].ravel(), b[..., k].ravel()
        gaps = [turn(p, q) for p, q in zip(x, y, strict=True)]
        assert alanine.circular_mae(a, b)[k] == pytest.approx(np.mean(gaps))
        assert alanine.circular_rmse(a, b)[k] == pytest.approx(math.sqrt(np.mean(np.square(gaps))))
        mean = [np.angle(np.exp(1j * s).mean()) for s in (x, y)]
        top = sum(math.sin(p - mean[0]) * math.sin(q - mean[1]) for p, q in zip(x, y, strict=True))
        down = sum(math.sin(p - mean[0]) ** 2 for p in x) * sum(math.sin(q - mean[1]) ** 2 for q in y)
        assert alanine.circular_correlation(a, b)[k] == pytest.approx(top / math.sqrt(down))


def test_circular_correlation_on_known_pairs():
    a = RNG.normal(0, 0.5, (500, 2))
    np.testing.assert_allclose(alanine.circular_correlation(a, wrap(a + 3.0)), 1)  # a constant turn is no difference
    np.testing.assert_allclose(alanine.circular_correlation(a, -a), -1)
    assert np.isnan(alanine.circular_correlation(a, np.zeros_like(a))).all()


def test_ramachandran_counts_cells():
    angles = RNG.uniform(-math.pi, math.pi, (2, 300, 2)).astype(np.float32)
    share = alanine.ramachandran(angles, 8)
    want = np.histogram2d(*angles.reshape(-1, 2).T, bins=8, range=[(-math.pi, math.pi)] * 2)[0] / 600
    np.testing.assert_allclose(share, want)
    edge = alanine.ramachandran(np.array([[math.pi, -math.pi]]), 8)  # one and the same angle
    assert edge[0, 0] == 1
    with refuses("bins", error=Mistake):
        alanine.ramachandran(angles, 0)


def test_autocorrelation_by_loops():
    angles = np.cumsum(RNG.normal(0, 0.4, (2, 50, 2)), axis=1)
    got = alanine.autocorrelation(angles, 4)
    for d in (0, 1):
        u = np.exp(1j * angles[..., d])
        u = u - u.mean()
        sums = [np.mean([(u[r, t].conj() * u[r, t + k]).real for r in (0, 1) for t in range(50 - k)]) for k in range(5)]
        np.testing.assert_allclose(got[:, d], np.array(sums) / sums[0])
    np.testing.assert_allclose(alanine.autocorrelation(angles + 1.3, 4), got)
    with refuses("lag", "49", Mistake):
        alanine.autocorrelation(angles, 50)


def test_autocorrelation_of_a_known_process():
    # wrapped Gaussian AR(1): <cos(x0 - xk)> = exp(-s^2 (1 - a^k)), <e^{ix}> = exp(-s^2 / 2)
    a, s, n = 0.8, 0.7, 4000
    x = np.empty((20, n, 1))
    x[:, 0] = s * RNG.normal(size=(20, 1))
    for t in range(1, n):
        x[:, t] = a * x[:, t - 1] + s * math.sqrt(1 - a * a) * RNG.normal(size=(20, 1))
    k = np.arange(6)
    want = (np.exp(-(s**2) * (1 - a**k)) - math.exp(-(s**2))) / (1 - math.exp(-(s**2)))
    np.testing.assert_allclose(alanine.autocorrelation(x, 5)[:, 0], want, atol=0.02)


def degrees(*pairs):
    return np.radians(np.array([pairs], float))


def test_states_and_cores():
    angles = degrees((-80, 150), (-70, -30), (-150, 170), (60, 40), (-80, 80), (-80, 60), (170, 150), (-80, -130))
    assert alanine.states(angles)[0].tolist() == [0, 1, 0, 2, 0, 1, 0, 0]
    # shaking around the border at 75 degrees is no transition, reaching the core at 30 is one
    shaking = degrees((-80, 150), (-80, 70), (-80, 80), (-80, 70), (-80, 20), (-80, 80), (-80, 140), (60, 40), (15, 0))
    assert alanine.core_states(shaking)[0].tolist() == [0, 0, 0, 0, 1, 1, 0, 2, 2]
    assert alanine.core_states(degrees((-80, 60), (-80, 80)))[0].tolist() == [1, 1]  # no core yet: the partition


def test_kinetics_by_hand():
    labels = np.array([[0, 0, 1, 1, 0], [1, 1, 1, 0, 0]])
    got = alanine.kinetics(labels, 2.0, 3)
    assert got.counts.tolist() == [[0, 1, 0], [2, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(got.populations, [0.5, 0.5, 0])
    # state 0 lasts 3 steps of 2 ps, state 1 five
    np.testing.assert_allclose(got.rates[:2], [[0, 1 / 0.006, 0], [2 / 0.010, 0, 0]])
    assert np.isnan(got.rates[2]).all()
    with refuses("labels", "0 to 1", Mistake):
        alanine.kinetics(labels + 1, 1.0, 2)


def test_rates_of_a_markov_chain():
    leave = np.array([0.02, 0.05])  # a step of 0.1 ps
    labels = np.empty((50, 4000), int)
    labels[:, 0] = 0
    for t in range(1, labels.shape[1]):
        labels[:, t] = labels[:, t - 1] ^ (RNG.uniform(size=50) < leave[labels[:, t - 1]])
    got = alanine.kinetics(labels, 0.1, 2)
    assert [got.rates[0, 1], got.rates[1, 0]] == pytest.approx((leave / 1e-4).tolist(), rel=0.05)
    assert got.populations[0] == pytest.approx(5 / 7, rel=0.03)
