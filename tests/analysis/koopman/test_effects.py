"""Cumulative effect: the closed forms against numerical integration of dz/dtau = A z, the sums, the guards."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from analysis.koopman import effects, spectrum
from analysis.koopman.modes import evolve_with
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from koopman_core.model import KoopmanConfig, KoopmanDiffusion, SpectrumEntry
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)
EDGES = (0.3, 0.7)
TAU = torch.tensor([1.0, 0.8, 0.33, 0.0], dtype=torch.float64)


def entries(scale=1.5, seed=0):
    g = torch.Generator().manual_seed(seed)
    shapes = [(4, 2, 2), (6, 1, 1), (2, 3, 1)]
    rates = [[scale * torch.randn(c // 2, h, w, generator=g) for _ in range(2)] for c, h, w in shapes]
    return [SpectrumEntry(f"level {i}", s, *r) for i, (s, r) in enumerate(zip(shapes, rates, strict=True))]


def latents(of, seeds=3, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(seeds, *e.shape, generator=g) for e in of]


def modes_of(z, of):
    """(level, band, alpha, beta, z0, z1 over seeds) of every mode, one by one."""
    for level, (latent, e) in enumerate(zip(z, of, strict=True)):
        masks = spectrum.band_masks(e.alpha, EDGES)
        for k, i, j in np.ndindex(*e.alpha.shape):
            band = next(b for b, m in enumerate(masks) if m[k, i, j])
            pair = latent[:, 2 * k : 2 * k + 2, i, j].double().numpy()
            yield level, band, float(e.alpha[k, i, j]), float(e.beta[k, i, j]), pair


def integrated(alpha, beta, start):
    """z and the length of its way at every time of TAU, by Runge-Kutta from z(1) = start; (3, n)."""
    block = np.array([[alpha, beta], [-beta, alpha]])

    def slope(t, state):
        velocity = block @ state[:2]
        return [*velocity, -np.linalg.norm(velocity)]  # time falls, the way grows

    return solve_ivp(slope, (1, 0), [*start, 0.0], t_eval=TAU.numpy(), rtol=1e-9, atol=1e-11).y


def by_hand(kind, z, of):
    amount = np.zeros((len(z[0]), len(z), len(EDGES) + 1, len(TAU)))
    for level, band, alpha, beta, pairs in modes_of(z, of):
        for b, start in enumerate(pairs):
            *now, way = integrated(alpha, beta, start)
            moved = np.stack(now) - start[:, None] * (kind == "displacement")
            amount[b, level, band] += way if kind == "arc" else (moved**2).sum(0)
    total = amount.sum((1, 2))
    return amount / (total if kind == "energy" else total[:, -1:])[:, None, None]


@pytest.mark.parametrize("kind", effects.EFFECT_KINDS)
def test_the_closed_form_is_what_integration_gives(kind):
    of = entries()
    z = latents(of, seeds=2)
    found = effects.cumulative_effect(z, of, TAU, EDGES, kind)
    np.testing.assert_allclose(found.share.numpy(), by_hand(kind, z, of), rtol=1e-6, atol=1e-9)


def test_sums():
    of = entries()
    z = latents(of)
    tau = torch.linspace(1, 0, 7)
    for kind in ("displacement", "arc"):
        e = effects.cumulative_effect(z, of, tau, EDGES, kind)
        assert e.share.shape == (3, 3, 3, 7) and float(e.share.min()) >= 0
        assert not e.share[..., 0].any()  # CE(T) = 0
        torch.testing.assert_close(e.bands[..., -1].sum(1), torch.ones(3).double())
        torch.testing.assert_close(e.levels[..., -1].sum(1), torch.ones(3).double())
        assert torch.equal(e.levels, e.share.sum(2)) and torch.equal(e.bands, e.share.sum(1))
    assert bool((e.share.diff(dim=-1) >= 0).all())  # the arc only grows
    energy = effects.cumulative_effect(z, of, tau, EDGES, "energy")
    torch.testing.assert_close(energy.share.sum((1, 2)), torch.ones(3, 7).double())


def test_the_denominator_is_at_eps_even_when_no_time_is():
    of = entries()
    z = latents(of)
    whole = effects.cumulative_effect(z, of, TAU, EDGES)
    part = effects.cumulative_effect(z, of, TAU[:2], EDGES)
    torch.testing.assert_close(part.share, whole.share[..., :2])


def test_an_idle_operator_gives_zeros_not_nan():
    of = entries(scale=0.0)
    z = latents(of)
    for kind in ("displacement", "arc"):
        e = effects.cumulative_effect(z, of, TAU, EDGES, kind)
        assert not e.share.any() and not e.total.any()
    energy = effects.cumulative_effect(z, of, TAU, EDGES, "energy")
    torch.testing.assert_close(energy.share.sum((1, 2)), torch.ones(3, 4).double())
    nothing = effects.cumulative_effect([torch.zeros_like(x) for x in z], entries(), TAU, EDGES, "energy")
    assert not nothing.share.any()


def test_rates_near_zero_do_not_cancel():
    # to first order |z(t) - z(T)|^2 = |lambda|^2 d^2 and the arc |lambda| |d|
    alpha, beta = torch.tensor([1e-9, 0.0, -3e-9]), torch.tensor([0.0, 2e-9, 4e-9])
    d = torch.tensor([-0.5, -1.0])
    size = torch.hypot(alpha.double(), beta.double())[:, None] * d.double().abs()
    torch.testing.assert_close(effects.mode_table("displacement", alpha, beta, d), size**2, rtol=1e-6, atol=0)
    torch.testing.assert_close(effects.mode_table("arc", alpha, beta, d), size, rtol=1e-6, atol=0)
    with refuses("kind", "displacement, energy, arc", Mistake):
        effects.mode_table("work", alpha, beta, d)


def test_masks_commute_and_a_band_alone_has_its_own_effect():
    of = entries()
    z = latents(of)
    whole = effects.cumulative_effect(z, of, TAU, EDGES)
    for band in range(3):
        gains = [float(b == band) for b in range(3)]
        alone = spectrum.weigh_bands(z, of, EDGES, gains)
        then = spectrum.weigh_bands(evolve_with(z, of, -0.6), of, EDGES, gains)
        for a, b in zip(evolve_with(alone, of, -0.6), then, strict=True):
            torch.testing.assert_close(a, b)
        e = effects.cumulative_effect(alone, of, TAU, EDGES)
        ours = e.share * e.total[:, None, None]
        theirs = whole.share * whole.total[:, None, None]
        torch.testing.assert_close(ours[:, :, band], theirs[:, :, band])
        assert not ours[:, :, [b for b in range(3) if b != band]].any()


def test_chunks_and_empty_bands_change_nothing(monkeypatch):
    of = entries()
    z = latents(of)
    whole = effects.cumulative_effect(z, of, TAU, (0.0, 0.5, 0.5, 1.0)).share
    monkeypatch.setattr(effects, "MODES_AT_ONCE", 2)
    torch.testing.assert_close(effects.cumulative_effect(z, of, TAU, (0.0, 0.5, 0.5, 1.0)).share, whole)
    assert not whole[:, :, [0, 2, 4]].any()


def test_acting_spectrum_is_that_of_the_ablation():
    for evolved, moving in (("all", 5), ("bottleneck", 1), ("none", 0)):
        model = KoopmanDiffusion(TINY, KoopmanConfig(evolved=evolved))
        for operator in model.operators:
            torch.nn.init.normal_(operator.a)
        acting = effects.acting(model)
        assert [bool(e.alpha.any()) for e in acting] == [False] * (5 - moving) + [True] * moving
        z = latents(acting, 1)
        with torch.no_grad():
            for a, b in zip(model.evolve(z, 1.0, 0.25), evolve_with(z, acting, -0.75), strict=True):
                torch.testing.assert_close(a, b)


def test_decoded_effect_one_by_one():
    torch.manual_seed(0)
    model = KoopmanDiffusion(TINY).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    of = model.spectrum()
    z = latents(of, seeds=2)
    told = []
    found = effects.decoded_effect(model, z, TAU[1:3], EDGES, progress=lambda share, what: told.append(share))
    assert found.bands.shape == (2, 3, 2) and found.levels.shape == (2, 5, 2) and told == [0.25, 0.5, 0.75, 1.0]
    with torch.no_grad():
        for t, tau in enumerate(TAU[1:3].tolist()):
            state = model.evolve(z, 1.0, tau)
            full = model.decode(state)
            for band in range(3):
                gains = [float(b != band) for b in range(3)]
                without = model.decode(spectrum.weigh_bands(state, of, EDGES, gains))
                expected = (full - without).square().mean((1, 2, 3)).double()
                torch.testing.assert_close(found.bands[:, band, t], expected, rtol=1e-4, atol=1e-9)
            for level in range(5):
                without = model.decode([x * (i != level) for i, x in enumerate(state)])
                expected = (full - without).square().mean((1, 2, 3)).double()
                torch.testing.assert_close(found.levels[:, level, t], expected, rtol=1e-4, atol=1e-9)
