"""Mode cards and surgery against brute force: loops over modes, assembled blocks, matrix exponentials."""

import math

import numpy as np
import pytest
import torch

from analysis.koopman import modes
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = KoopmanDiffusion(TINY).eval()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return made


def latents(model, seeds=1):
    g = torch.Generator().manual_seed(3)
    return [torch.randn(seeds, *e.shape, generator=g) for e in model.spectrum()]


def test_place_and_rates_by_hand():
    alpha = torch.arange(24.0).view(4, 3, 2) - 5
    entry = SpectrumEntry("x", (8, 3, 2), alpha, 2 * alpha)
    f = modes.mode_facts(entry, [5, 0, 23])
    assert list(zip(f.pair.tolist(), f.row.tolist(), f.column.tolist(), strict=True)) == [
        (0, 2, 1),
        (0, 0, 0),
        (3, 2, 1),
    ]
    assert f.alpha.tolist() == [0, -5, 18] and f.beta.tolist() == [0, -10, 36]
    assert f.half_life.tolist() == pytest.approx([math.inf, math.log(2) / 5, math.log(2) / 18])
    assert f.period.tolist() == pytest.approx([math.inf, math.pi / 5, math.pi / 18])
    for bad in ([24], [-1], []):
        with refuses("modes", "modes 0 to 23"):
            modes.mode_facts(entry, bad)


def test_half_life_and_period_mean_what_they_say(model):
    entry = model.spectrum()[0]
    f = modes.mode_facts(entry, [3])
    block = torch.tensor([[f.alpha[0], f.beta[0]], [-f.beta[0], f.alpha[0]]]).double()
    start = torch.tensor([0.6, 0.8]).double()  # norm 1
    after = torch.matrix_exp(-f.half_life[0] * block) @ start
    assert float(after.norm()) == pytest.approx(0.5 if f.alpha[0] > 0 else 2.0)
    turned = torch.matrix_exp(-f.period[0] * block) @ start
    torch.testing.assert_close(turned / turned.norm(), start)


def test_energy_over_time(model):
    entries, z = model.spectrum(), latents(model)
    tau = torch.tensor([1.0, 0.4, 0.0])
    e = modes.mode_energy(z, entries, 1, [0, 7], tau)
    for t, now in enumerate(tau.tolist()):
        with torch.no_grad():
            state = model.evolve(z, 1.0, now)
        pairs = state[1][0].view(-1, 2, *state[1].shape[2:]).square().sum(1).flatten()
        assert e.energy[:, t].tolist() == pytest.approx(pairs[[0, 7]].tolist(), rel=1e-5)
        total = sum(float(x.square().sum()) for x in state)
        assert float(e.share[t]) == pytest.approx(float(pairs[[0, 7]].sum()) / total, rel=1e-5)
    nothing = modes.mode_energy([torch.zeros_like(x) for x in z], entries, 1, [0], tau)
    assert not nothing.share.any()


def test_contribution_against_brute_force(model):
    z = latents(model)
    c, h, w = z[2].shape[1:]
    chosen = [0, 5, h * w + 3]
    cut = z[2].clone()
    for index in chosen:
        k, i, j = np.unravel_index(index, (c // 2, h, w))
        cut[0, 2 * k, i, j] = cut[0, 2 * k + 1, i, j] = 0
    full, without = modes.contribution(model, z, 2, chosen)
    with torch.no_grad():
        torch.testing.assert_close(full, model.decode(z)[0])
        torch.testing.assert_close(without, model.decode([*z[:2], cut, *z[3:]])[0])
    assert float((full - without).abs().max()) > 0
    everything = modes.without_modes(z, 2, range(c // 2 * h * w))
    assert not everything[2].any() and everything[1] is z[1]


def test_surgery_by_hand():
    alpha, beta = torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1), torch.tensor([1.0, -2.0, 3.0]).view(3, 1, 1)
    entry = SpectrumEntry("x", (6, 1, 1), alpha, beta)
    plan = modes.Surgery((1 / 3, 2 / 3), (2, 1, 0), (0.5, 0, 1), (1, -1, 1), (0, 0.25, 0), entries=(1,))
    (untouched, after), held = modes.operate([entry, entry], plan)
    assert untouched is entry and held == 0
    assert after.alpha.flatten().tolist() == [-1.5, 0.5, 1.0] and after.beta.flatten().tolist() == [1.0, 2.25, 3.0]
    with refuses("bands", " 2 ", Mistake):
        modes.operate([entry], modes.Surgery((0.5,), (1,), (0, 0), (1, 1), (0, 0)))


def test_surgery_is_bounded_but_never_touches_a_model_at_rest():
    alpha = torch.tensor([-20.0, 1.0]).view(2, 1, 1)  # a model may have been built with a wider bound
    entry = SpectrumEntry("x", (4, 1, 1), alpha, torch.zeros(2, 1, 1))
    same, held = modes.operate([entry], modes.Surgery((0.5,), (1, 1), (0, 0), (1, 1), (0, 0)))
    assert torch.equal(same[0].alpha, alpha) and held == 0
    far, held = modes.operate([entry], modes.Surgery((0.5,), (4, 4), (-8, -8), (1, 1), (0, 0)))
    assert far[0].alpha.flatten().tolist() == [-20.0, -4.0] and held == 1
    far, held = modes.operate([entry], modes.Surgery((0.5,), (1, -4), (0, -8), (1, 1), (0, 0)))
    assert far[0].alpha.flatten().tolist() == [-20.0, -8.0] and held == 1


def test_decode_with_is_evolution_under_the_new_generator(model):
    entries, z = model.spectrum(), latents(model)
    with torch.no_grad():
        expected = model.decode(model.evolve(z, 1.0, 0.2))
    torch.testing.assert_close(modes.decode_with(model, z, entries, 0.2), expected)
    changed, _ = modes.operate(entries, modes.Surgery((), (1.5,), (0.3,), (-1.0,), (2.0,)))
    evolved = modes.evolve_with(z, changed, -0.8)
    e, new = entries[-1], changed[-1]
    torch.testing.assert_close(new.alpha, 1.5 * e.alpha + 0.3)
    for k, i, j in [(0, 0, 0), (2, 1, 3)]:
        a, b = float(new.alpha[k, i, j]), float(new.beta[k, i, j])
        block = torch.tensor([[a, b], [-b, a]])
        expected = torch.matrix_exp(-0.8 * block) @ z[-1][0, 2 * k : 2 * k + 2, i, j]
        torch.testing.assert_close(evolved[-1][0, 2 * k : 2 * k + 2, i, j], expected)


def test_a_picture_that_is_not_finite_is_refused(model):
    z = [torch.full_like(x, 1e38) for x in latents(model)]
    entries, _ = modes.operate(model.spectrum(), modes.Surgery((), (1.0,), (-8.0,), (1.0,), (0.0,)))
    with refuses("picture"):
        modes.decode_with(model, z, entries)
