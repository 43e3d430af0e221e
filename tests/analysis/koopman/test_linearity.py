"""Linearity on a hand-built linear model, the fit, and DMD on systems with known spectra."""

import pathlib
import time

import numpy as np
import pytest
import scipy.linalg
import torch

from analysis.koopman import linearity
from analysis.koopman.linearity import exact_dmd, latent_paths
from foundation import noise
from foundation.mistakes import Mistake
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.model import KoopmanConfig, SpectrumEntry
from koopman_core.operator import tau_of_sigma
from tests.analysis.conftest import random_pair
from tests.refusals import refuses

SHAPES = [(4, 2, 2), (2, 2, 2)]
SIGMAS = karras_sigmas(7)
TAU = tau_of_sigma(SIGMAS)


class Linear:
    """A model whose picture (6, 2, 2) is its latents, with the spectrum that it is given."""

    koopman = KoopmanConfig()

    def __init__(self, entries):
        self.entries = entries

    def spectrum(self):
        return self.entries

    def tau(self, sigma):
        return tau_of_sigma(sigma)

    def encode(self, x, sigma, labels=None):
        return [x[:, :4], x[:, 4:]]

    def decode(self, z, labels=None):
        return torch.cat(z, 1)


def entries(scale):
    g = torch.Generator().manual_seed(0)
    rates = [[scale * torch.randn(c // 2, h, w, generator=g) for _ in range(2)] for c, h, w in SHAPES]
    return [SpectrumEntry(f"level {i}", s, *r) for i, (s, r) in enumerate(zip(SHAPES, rates, strict=True))]


def flow(of, seeds=5):
    """Trajectories of dz/dtau = A z by the matrix exponential of assembled blocks, (B, n, 6, 2, 2)."""
    start = 0.2 * torch.randn(seeds, 6, 2, 2, generator=torch.Generator().manual_seed(1)).double()
    out = torch.zeros(seeds, len(TAU), 6, 2, 2).double()
    for t, tau in enumerate(TAU.tolist()):
        for c, e in ((0, of[0]), (4, of[1])):
            for k, i, j in np.ndindex(*e.alpha.shape):
                a, b = float(e.alpha[k, i, j]), float(e.beta[k, i, j])
                block = torch.tensor([[a, b], [-b, a]]).double()
                rows = slice(c + 2 * k, c + 2 * k + 2)
                out[:, t, rows, i, j] = start[:, rows, i, j] @ torch.matrix_exp((tau - 1) * block).T
    return out.float()


def test_a_linear_model_has_no_error():
    of = entries(1.5)
    told = []
    found = linearity.measure_linearity(Linear(of), flow(of), SIGMAS, progress=lambda share, what: told.append(share))
    assert found.errors["learned"].shape == (2, 7) and found.names == ("level 0", "level 1")
    assert float(found.errors["learned"].max()) < 1e-5 and float(found.mse["learned"].max()) < 1e-9
    assert float(found.spread.max()) < 1e-5 and found.lpips is None
    assert float(found.errors["identity"][:, 1:].min()) > 0.05
    assert told[-1] == 1 and len(told) == 14


def test_the_identity_and_the_pictures_by_hand():
    of = entries(1.5)
    x = flow(of)
    metric = lambda a, b: (a - b).abs().amax((1, 2, 3))  # noqa: E731 - stands for LPIPS
    found = linearity.measure_linearity(Linear(of), x, SIGMAS, perceptual=metric)
    for t in range(7):
        for level, part in enumerate((x[:, t, :4] - x[:, 0, :4], x[:, t, 4:] - x[:, 0, 4:])):
            whole = (x[:, t, :4], x[:, t, 4:])[level]
            assert float(found.errors["identity"][level, t]) == pytest.approx(
                float(part.norm() / whole.norm()), rel=1e-4, abs=1e-6
            )
        a, b = x[:, t].clamp(-1, 1), x[:, 0].clamp(-1, 1)
        assert float(found.mse["identity"][t]) == pytest.approx(float((a - b).square().mean()), rel=1e-4, abs=1e-9)
        assert float(found.lpips["identity"][t]) == pytest.approx(float(metric(a, b).mean()), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_an_offset_that_all_share_hides_in_the_error_but_not_in_the_differences(offset):
    of, still = entries(1.0), entries(0.0)
    x = torch.randn(6, 7, 6, 2, 2, generator=torch.Generator().manual_seed(2)) + offset
    found = linearity.measure_linearity(Linear(still), x, SIGMAS, decoded=False)
    if offset:
        assert float(found.errors["learned"].max()) < 0.1 and float(found.common.min()) > 0.99
    else:
        assert float(found.errors["learned"][:, 1:].min()) > 0.9
    moved = linearity.measure_linearity(Linear(of), x, SIGMAS, decoded=False)
    assert found.differences.keys() == found.errors.keys()
    for t in range(7):
        for level, part in enumerate((slice(4), slice(4, 6))):
            z, first = (v[:, part].double().numpy() for v in (x[:, t], x[:, 0]))
            about = z - z.mean(0)
            gap = z - first
            want = np.sqrt(((gap - gap.mean(0)) ** 2).sum() / (about**2).sum())
            got = [float(v[level, t]) for v in (found.differences["learned"], found.differences["identity"])]
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
            # the variance, with n - 1, over the mean square
            want = max(0, 1 - z.var(0, ddof=1).sum() / (z**2).mean(0).sum())
            assert float(found.common[level, t]) == pytest.approx(want, abs=1e-9)
            e, d = of[level], float(TAU[t] - 1)
            g = np.exp((e.alpha - 1j * e.beta).numpy().astype(complex) * d)
            w, w0 = ((v[:, ::2] + 1j * v[:, 1::2]) for v in (z, first))
            gap = w - g * w0
            want = np.sqrt((np.abs(gap - gap.mean(0)) ** 2).sum() / (about**2).sum())
            assert float(moved.differences["learned"][level, t]) == pytest.approx(want, rel=1e-4, abs=1e-5)


def test_differences_need_several_trajectories_that_differ():
    of = entries(1.0)
    x = flow(of)
    one = linearity.measure_linearity(Linear(of), x[:1], SIGMAS, decoded=False)
    assert one.differences is None and one.common is None
    same = linearity.measure_linearity(Linear(of), x[:1].expand(4, *x.shape[1:]), SIGMAS, decoded=False)
    assert bool(same.differences["learned"].isnan().all())
    assert float(linearity.measure_linearity(Linear(of), x, SIGMAS).differences["learned"].max()) < 1e-5


def test_least_squares_recovers_the_rates_of_an_untrained_model():
    true = entries(2.5)
    idle = entries(0.0)
    found = linearity.measure_linearity(Linear(idle), flow(true), SIGMAS, decoded=False)
    assert torch.equal(found.errors["learned"], found.errors["identity"]) and found.mse is None
    assert float(found.errors["fitted"].max()) < 1e-4
    for e, fit in zip(true, found.fitted, strict=True):
        torch.testing.assert_close(fit.alpha, e.alpha, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(fit.beta, e.beta, atol=1e-4, rtol=1e-4)


def test_the_fit_is_never_worse_than_its_starts_on_what_no_operator_fits():
    of = entries(1.0)
    x = torch.randn(6, 7, 6, 2, 2, generator=torch.Generator().manual_seed(2))
    found = linearity.measure_linearity(Linear(of), x, SIGMAS, decoded=False)
    squared = {name: e.square().sum(1) for name, e in found.errors.items()}  # over time: the fit's own objective
    assert bool((squared["fitted"] <= squared["learned"] + 1e-9).all())
    assert bool((squared["fitted"] <= squared["identity"] + 1e-9).all())
    # pure noise: predicting 0 at t < T would cost 1 at each of six times
    assert bool((squared["fitted"] <= 7).all()) and bool((squared["identity"] > 10).all())
    assert float(max(e.alpha.abs().max() for e in found.fitted)) <= 8


def test_spread_is_over_trajectories():
    of = entries(1.0)
    x = torch.randn(3, 7, 6, 2, 2, generator=torch.Generator().manual_seed(2))
    found = linearity.measure_linearity(Linear(of), x, SIGMAS, decoded=False)
    each = [linearity.measure_linearity(Linear(of), x[[b]], SIGMAS, decoded=False) for b in range(3)]
    alone = torch.stack([e.errors["learned"] for e in each])
    torch.testing.assert_close(found.spread, alone.std(0), rtol=1e-4, atol=1e-6)
    assert each[0].spread.isnan().all()


def test_modes_without_energy_do_not_break_the_fit():
    x = flow(entries(1.0))
    x[:, :, 2:4] = 0
    found = linearity.measure_linearity(Linear(entries(0.0)), x, SIGMAS, decoded=False)
    assert all(bool(e.alpha.isfinite().all() and e.beta.isfinite().all()) for e in found.fitted)
    assert bool(found.errors["fitted"].isfinite().all())


def test_teacher_states_are_the_samplers():
    model, teacher = random_pair(classes=2)
    noises, labels = noise(range(10), (3, 16, 16)), torch.arange(10) % 3 - 1
    told = []
    states = linearity.teacher_states(teacher, noises, SIGMAS, labels, lambda share, what: told.append(share))
    assert states.shape == (10, 7, 3, 16, 16) and told[-1] == pytest.approx(1) and told == sorted(told)
    seen = []
    heun_sample(
        lambda x, s: teacher(x, s, labels[9:]), SIGMA_MAX * noises[9:], SIGMAS, lambda i, s, x, d: seen.append(x)
    )
    torch.testing.assert_close(states[9], torch.cat(seen), rtol=1e-3, atol=1e-3)
    paths = latent_paths(model, states[:2], SIGMAS, labels[:2])
    with torch.no_grad():
        z = model.encode(states[:2, 4], float(SIGMAS[4]), labels[:2])
    assert paths[1].shape == (2, 7, z[1][0].numel())
    torch.testing.assert_close(paths[1][:, 4], z[1].flatten(1))


def known_system(dimension, seed=0):
    """A real generator with eigenvalues 0.7 +- 2i, -1.1 +- 0.5i, 0.3, embedded in more dimensions."""
    rng = np.random.default_rng(seed)
    core = scipy.linalg.block_diag([[0.7, 2.0], [-2.0, 0.7]], [[-1.1, 0.5], [-0.5, -1.1]], [[0.3]])
    mix = rng.normal(size=(5, 5))
    core = mix @ core @ np.linalg.inv(mix)
    embed = np.linalg.qr(rng.normal(size=(dimension, 5)))[0]
    return core, embed, np.array([0.7 + 2j, 0.7 - 2j, -1.1 + 0.5j, -1.1 - 0.5j, 0.3])


@pytest.mark.parametrize("dimension", [5, 40])
@pytest.mark.parametrize("rank", [5, 30])
def test_dmd_returns_a_known_spectrum(dimension, rank):
    core, embed, known = known_system(dimension)
    starts = np.random.default_rng(1).normal(size=(4, 5))
    paths = np.stack([[embed @ scipy.linalg.expm((t - 1) * core) @ s for t in TAU.tolist()] for s in starts])
    d = exact_dmd(torch.from_numpy(paths), TAU, rank)
    order = lambda v: sorted(v, key=lambda x: (round(x.real, 4), x.imag))  # noqa: E731
    np.testing.assert_allclose(order(d.eigenvalues.numpy()), order(known), atol=1e-6)
    assert d.residual < 1e-8 and d.captured == pytest.approx(1)
    generator = embed @ core @ embed.T
    for value, mode in zip(d.eigenvalues.numpy(), d.modes.numpy().T, strict=True):
        np.testing.assert_allclose(generator @ mode, value * mode, atol=1e-6)
    assert bool((d.amplitude.diff() <= 1e-12).all())


def test_dmd_sees_the_learned_spectrum_of_a_linear_model():
    of = entries(1.0)
    paths = latent_paths(Linear(of), flow(of, seeds=20), SIGMAS)
    d = exact_dmd(paths[1], TAU, 8)
    found = np.sort_complex(np.round(d.eigenvalues.numpy(), 3))
    rates = torch.complex(of[1].alpha, of[1].beta).flatten().numpy()
    np.testing.assert_allclose(found, np.sort_complex(np.round(np.concatenate([rates, rates.conj()]), 3)), atol=3e-3)


def test_dmd_truncates_to_what_is_strongest():
    rng = np.random.default_rng(0)
    strong = np.stack([np.outer(np.exp(-0.5 * (TAU.numpy() - 1)), v) for v in rng.normal(size=(3, 1)) * np.eye(9)[:1]])
    d = exact_dmd(torch.from_numpy(strong + 1e-4 * rng.normal(size=strong.shape)), TAU, 1)
    assert len(d.eigenvalues) == 1 and abs(complex(d.eigenvalues[0]) + 0.5) < 0.01 and d.captured > 0.999


def snapshots_of_a_network(trajectories=8, times=33, size=4096):
    """Damped oscillations of 20 pairs in a space of this size, and a little noise: as large as a level of CIFAR-10."""
    rng = np.random.default_rng(0)
    rates = rng.uniform(-2, 1, 20) + 1j * rng.uniform(1, 30, 20)
    shapes = rng.normal(size=(20, size)) + 1j * rng.normal(size=(20, size))
    starts = rng.normal(size=(trajectories, 20)) + 1j * rng.normal(size=(trajectories, 20))
    tau = np.linspace(1, 0, times)
    paths = ((starts[:, None] * np.exp(rates * (tau[:, None] - 1))) @ shapes).real
    return paths + 1e-6 * rng.normal(size=paths.shape), tau, rates


def test_a_large_dmd_takes_seconds_and_little_memory():
    """Against the method of snapshots: a Gram matrix of 256 x 256 in place of a decomposition of 4,096 rows."""
    paths, tau, rates = snapshots_of_a_network()
    status = pathlib.Path("/proc/self/status")
    watched = status.exists()
    if watched:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    held = lambda: next(int(s.split()[1]) for s in status.read_text().splitlines() if s.startswith("VmHWM"))  # noqa: E731
    before, start = held() if watched else 0, time.process_time()
    d = exact_dmd(torch.from_numpy(paths), torch.from_numpy(tau), 40)
    assert time.process_time() - start < 20
    assert not watched or held() - before < 2**20  # kB: 1 GB
    x, y = (paths[:, part].reshape(-1, paths.shape[2]) for part in (slice(None, -1), slice(1, None)))
    power, v = np.linalg.eigh(x @ x.T)
    power, v = power[::-1][:40], v[:, ::-1][:, :40]
    small = (v / np.sqrt(power)).T @ (x @ y.T) @ (v / np.sqrt(power))
    by_snapshots = np.log(np.linalg.eigvals(small)) / (tau[1] - tau[0])
    ours = d.eigenvalues.numpy()
    for known, tolerance in ((by_snapshots, 1e-6), (np.concatenate([rates, rates.conj()]), 1e-3)):
        assert np.abs(ours[:, None] - known[None]).min(0).max() < tolerance
        assert np.abs(ours[:, None] - known[None]).min(1).max() < tolerance
    assert d.captured > 0.999999 and d.residual < 1e-4 and d.modes.shape == (4096, 40)


def test_dmd_agrees_with_pydmd():
    pydmd = pytest.importorskip("pydmd")
    path = torch.randn(1, 12, 30, generator=torch.Generator().manual_seed(0)).cumsum(1)
    tau = torch.linspace(1, 0, 12)
    theirs = pydmd.DMD(svd_rank=4, exact=True).fit(path[0].double().T.numpy())
    ours = exact_dmd(path, tau, 4).eigenvalues.numpy()
    np.testing.assert_allclose(np.sort_complex(np.exp(ours * (-1 / 11))), np.sort_complex(theirs.eigs), atol=1e-6)


@pytest.mark.parametrize(
    ("paths", "tau", "rank", "field"),
    [
        (torch.ones(2, 3, 4), torch.tensor([1.0, 0.5, 0.1]), 2, "tau"),
        (torch.ones(2, 3, 4), torch.tensor([1.0, 1.0, 1.0]), 2, "tau"),
        (torch.ones(2, 1, 4), torch.tensor([1.0]), 2, "snapshots"),
        (torch.ones(2, 3, 4), torch.tensor([1.0, 0.5, 0.0]), 0, "rank"),
        (torch.zeros(2, 3, 4), torch.tensor([1.0, 0.5, 0.0]), 1, "paths"),
        (torch.full((2, 3, 4), torch.nan), torch.tensor([1.0, 0.5, 0.0]), 1, "paths"),
    ],
)
def test_dmd_refuses(paths, tau, rank, field):
    with refuses(field, error=Mistake):
        exact_dmd(paths, tau, rank)
