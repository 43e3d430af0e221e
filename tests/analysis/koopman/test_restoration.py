"""Restoration: algorithm 4 against a straight-line recomputation, exact known parts, colour, stopping."""

import math

import numpy as np
import pytest
import torch

from analysis.koopman import restoration
from analysis.workbench.library import ModelLibrary
from foundation import noise
from foundation.mistakes import Mistake
from foundation.procedural import shapes
from foundation.randomness import derived_seed
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN
from tests.refusals import refuses

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def bench(models):
    return ModelLibrary(models).get("shapes")


def picture(number=0):
    return torch.from_numpy(shapes.images([number], 16).transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1


def hole():
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:11, 6:13] = True
    return mask


def karras(n, of):
    """Level n (from 1) of an `of`-level Karras grid, by the formula."""
    a, b = 80 ** (1 / 7), 0.002 ** (1 / 7)
    return (a + (n - 1) / (of - 1) * (b - a)) ** 7


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 4])
def test_inpainting_is_algorithm_4(bench, steps):
    f, seed = bench.model, 12
    y, om = picture(), hole().float()
    y = y * (1 - om)
    x = None
    for n in range(1, steps + 1):
        t = karras(n, steps + 1)
        if n == 1:
            x = y + t * noise([seed], SHAPE)
        else:
            x = x + math.sqrt(t**2 - SIGMA_MIN**2) * noise([derived_seed(seed, n - 1)], SHAPE)
        x = f(x, t).clamp(-1, 1)
        x = y * (1 - om) + x * om
    ours = restoration.inpaint(f, picture(), hole(), steps, [seed])
    assert ours.nfe == steps and len(ours.frames) == steps and not ours.stopped
    assert ours.sigmas == pytest.approx([karras(n, steps + 1) for n in range(1, steps + 1)])
    assert torch.allclose(ours.x, x, atol=1e-4)


@torch.no_grad()
def test_colourisation_is_algorithm_4_as_a_projection(bench):
    """A^-1[(A y)(1 - Om) + (A x) Om] with one known axis v is x + v <v, y - x>: no matrix is needed to say it."""
    f, seed, y = bench.model, 5, picture(3)
    v = torch.tensor([0.2989, 0.5870, 0.1140], dtype=torch.float64)
    v = (v / v.norm()).float()[None, :, None, None]

    def replaced(x):
        return x + v * ((y - x) * v).sum(1, keepdim=True)

    x = v * (y * v).sum(1, keepdim=True) + SIGMA_MAX * noise([seed], SHAPE)
    x = replaced(f(x, SIGMA_MAX).clamp(-1, 1))
    for n in (2, 3):
        t = karras(n, 4)
        x = x + math.sqrt(t**2 - SIGMA_MIN**2) * noise([derived_seed(seed, n - 1)], SHAPE)
        x = replaced(f(x, t).clamp(-1, 1))
    assert torch.allclose(restoration.colorize(f, picture(3), 3, [seed]).x, x, atol=1e-4)


def test_known_pixels_stay_to_the_last_bit(bench):
    r = restoration.inpaint(bench.model, picture(), hole(), 5, [1])
    for frame in r.frames:
        assert torch.equal(frame[:, :, ~hole()], picture()[:, :, ~hole()])
    assert not torch.equal(r.x[:, :, hole()], picture()[:, :, hole()])


def test_the_hole_is_never_looked_at(bench):
    other = picture()
    other[:, :, hole()] = torch.nan
    a, b = (restoration.inpaint(bench.model, p, hole(), 3, [1]).x for p in (picture(), other))
    assert torch.equal(a, b)
    z = bench.model.evolve(bench.model.encode(SIGMA_MAX * noise([1], SHAPE), SIGMA_MAX), 1.0, 0.0)
    a, b = (restoration.inpaint_latents(bench.model, z, p, hole(), 0.5, noise([1], SHAPE)) for p in (picture(), other))
    assert torch.equal(a, b)


def test_nothing_known_and_one_step_is_the_seeds_own_picture(bench):
    everything = torch.ones(16, 16, dtype=torch.bool)
    with torch.no_grad():
        own = bench.model.one_step(noise([8], SHAPE)).clamp(-1, 1)
        z = bench.model.evolve(bench.model.encode(SIGMA_MAX * noise([8], SHAPE), SIGMA_MAX), 1.0, 0.0)
    assert torch.allclose(restoration.inpaint(bench.model, picture(), everything, 1, [8]).x, own, atol=1e-5)
    latent = restoration.inpaint_latents(bench.model, z, picture(), everything, 0.5, noise([8], SHAPE))
    assert torch.allclose(latent, own, atol=1e-5)


@torch.no_grad()
def test_latent_inpainting_by_hand(bench):
    model, eps = bench.model, noise([2], SHAPE)
    z = model.evolve(model.encode(SIGMA_MAX * noise([2], SHAPE), SIGMA_MAX), 1.0, 0.0)
    known = torch.where(hole(), 0.0, picture())
    sigma = ((1 - 0.3) * 0.002 ** (1 / 7) + 0.3 * 80 ** (1 / 7)) ** 7
    own = model.evolve(model.encode(known + sigma * eps, sigma), 0.3, 0.0)
    blend = []
    for a, b in zip(own, z, strict=True):
        side = 16 // a.shape[-1]
        g = hole().float().view(16 // side, side, 16 // side, side).mean((1, 3))
        blend.append((1 - g) * a + g * b)
    expected = torch.where(hole(), model.decode(blend).clamp(-1, 1), picture())
    ours = restoration.inpaint_latents(model, z, picture(), hole(), 0.3, eps)
    assert torch.allclose(ours, expected, atol=1e-4)
    assert torch.equal(ours[:, :, ~hole()], picture()[:, :, ~hole()])


def test_the_colour_matrix_is_orthogonal_and_starts_with_luma():
    q = restoration.colour_matrix()
    assert torch.allclose(q.T @ q, torch.eye(3, dtype=torch.float64), atol=1e-14)
    assert q[:, 0].tolist() == pytest.approx([0.4471, 0.8780, 0.1705], abs=1e-4)  # the paper prints these
    assert q.abs().flatten().tolist() == pytest.approx(
        [0.4471, 0.8204, 0.3563, 0.8780, 0.4785, 0, 0.1705, 0.3129, 0.9343], abs=1e-4
    )
    x = noise([0], SHAPE)
    assert torch.allclose(restoration.from_luma(restoration.to_luma(x)), x.double(), atol=1e-12)


def luma(x):
    return (x.double() * torch.tensor([0.2989, 0.5870, 0.1140], dtype=torch.float64)[:, None, None]).sum(1)


def test_colour_keeps_the_luma_and_looks_at_nothing_else(bench):
    y = picture(7)
    r = restoration.colorize(bench.model, y, 4, [3])
    for x in (*r.frames, restoration.gray(y), *(restoration.into_gamut(f) for f in r.frames)):
        assert float((luma(x) - luma(y)).abs().max()) < 1e-6
    again = restoration.colorize(bench.model, restoration.gray(y), 4, [3])
    assert torch.allclose(again.x, r.x, atol=1e-3)
    assert not torch.allclose(r.x, restoration.gray(y), atol=0.05)


def test_into_gamut_moves_only_what_is_outside():
    x = 2.5 * noise([0], SHAPE)
    x = x - restoration.gray(x) + restoration.gray(x).clamp(-0.95, 0.95)  # a luma that pictures can have
    y = restoration.into_gamut(x)
    assert float(y.abs().max()) <= 1 and float((luma(x) - luma(y)).abs().max()) < 1e-5
    inside = (x.abs() <= 1).all(1, keepdim=True).expand_as(x)
    assert inside.any() and torch.equal(x[inside], y[inside])
    step = (y - restoration.gray(x))[~inside] * (x - restoration.gray(x))[~inside]
    assert float(step.min()) > -1e-5  # drawn towards the grey, not through it
    assert float(y[~inside].view(-1, 3).abs().max()) == pytest.approx(1)


def test_stopping_keeps_what_was_made(bench):
    seen = []

    def stop(n, sigma, x):
        seen.append(x)
        if n == 2:
            raise restoration.Stop

    r = restoration.inpaint(bench.model, picture(), hole(), 6, [1], stop)
    assert r.stopped and r.nfe == 2 and len(r.frames) == 2 and torch.equal(r.x, seen[1])

    def cancel(n, sigma, x):
        seen.append(x)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restoration.inpaint(bench.model, picture(), hole(), 6, [1], cancel)
    assert len(seen) == 3


def test_batches_do_not_change_pictures(bench):
    two = restoration.inpaint(bench.model, picture().expand(2, -1, -1, -1), hole(), 3, [1, 2]).x
    assert torch.allclose(two[1:], restoration.inpaint(bench.model, picture(), hole(), 3, [2]).x, atol=1e-4)


@pytest.mark.parametrize("steps", [0, 41])
def test_too_many_steps(steps):
    with refuses("steps", " 40 ", Mistake):
        restoration.replacement_sigmas(steps)


def test_bad_masks():
    for mask in (hole().float(), torch.ones(8, 8, dtype=torch.bool)):
        with refuses("mask", error=Mistake):
            restoration.inpaint(None, picture(), mask, 1, [0])


def test_numbers_of_the_hole():
    truth, x = picture(), picture().clone()
    x[:, :, hole()] += 0.25 * noise([0], (3, int(hole().sum())))
    r = restoration.measure_hole(x, truth, hole(), lambda a, b: torch.tensor([0.5]))
    difference = (x.clamp(-1, 1) - truth)[:, :, hole()].double()
    assert r.psnr == pytest.approx(10 * math.log10(4 / float(difference.square().mean())), rel=1e-9)
    assert r.lpips == 0.5 and 0 < r.ssim < 1
    away = x.clone()
    away[:, :, 15, :] = -truth[:, :, 15, :]  # outside the hole, outside any window that touches it
    assert restoration.measure_hole(away, truth, hole()).ssim == pytest.approx(r.ssim, rel=1e-9)
    same = restoration.measure_hole(truth, truth, hole())
    assert same.psnr == math.inf and same.ssim == pytest.approx(1) and same.lpips is None
    with refuses("hole", error=Mistake):
        restoration.measure_hole(truth, truth, torch.zeros(16, 16, dtype=torch.bool))
