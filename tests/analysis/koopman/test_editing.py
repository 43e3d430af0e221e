"""Editing: the formula taken literally, exact ends, regions, measures against scipy and by hand."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from analysis.evaluate.hkd.edit_comparison import ARMS, compare_edits, shuffled
from analysis.koopman import editing
from analysis.koopman.spectrum import band_masks
from analysis.workbench.library import ModelLibrary
from foundation import noise
from foundation.mistakes import Mistake
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.operator import sigma_of_tau
from tests.refusals import refuses

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def bench(models):
    return ModelLibrary(models).get("shapes")


def starts(model, *seeds):
    with torch.no_grad():
        return [model.encode(SIGMA_MAX * noise([s], SHAPE), SIGMA_MAX) for s in seeds]


def weights_of(bench, region="lower-left-triangle", bands=(2,)):
    return editing.mode_weights(bench.entries, editing.region_mask(region, 16, 16), bands, (1 / 3, 2 / 3))


@torch.no_grad()
def literal(model, z, other, weights, ratio, tau):
    """docs/method.md, "Editing", word for word: evolve to tau, mix there, evolve to eps, decode."""
    z, other = model.evolve(z, 1.0, tau), model.evolve(other, 1.0, tau)
    mixed = [a + ratio * w * (b - a) for a, b, w in zip(z, other, weights, strict=True)]
    return model.decode(model.evolve(mixed, tau, 0.0))


def test_a_pure_latent_edit_does_not_know_the_edit_time(bench):
    model, weights = bench.model, weights_of(bench)
    z, other = starts(model, 3, 4)
    ends = [model.evolve(x, 1.0, 0.0) for x in (z, other)]
    with torch.no_grad():
        at_eps = model.decode(editing.mix(*ends, weights, 0.7))
    scale = float(at_eps.std())
    assert float((at_eps - model.decode(ends[0])).abs().max()) > 0.05 * scale  # the edit is an edit
    for tau in (0.0, 0.25, 0.5, 0.9, 1.0):
        assert float((literal(model, z, other, weights, 0.7, tau) - at_eps).abs().max()) < 1e-4 * scale


def test_the_other_encodings_do_know_it(bench):
    model, picture, eps = bench.model, noise([9], SHAPE).clamp(-1, 1), noise([1], SHAPE)
    a, b = (editing.noisy_latents(model, picture, tau, eps) for tau in (0.3, 0.6))
    assert all(not torch.allclose(x, y) for x, y in zip(a, b, strict=True))
    with torch.no_grad():  # against its definition
        sigma = float(sigma_of_tau(0.3))
        by_hand = model.evolve(model.encode(picture + sigma * eps, torch.tensor([sigma])), 0.3, 0.0)
    assert all(torch.allclose(x, y, atol=1e-5) for x, y in zip(a, by_hand, strict=True))


def test_both_ends_are_exact(bench):
    z, other = starts(bench.model, 3, 4)
    everywhere = editing.mode_weights(bench.entries, editing.region_mask("whole", 16, 16))
    for a, b, c, d in zip(
        z, other, editing.mix(z, other, everywhere, 0.0), editing.mix(z, other, everywhere, 1.0), strict=True
    ):
        assert torch.equal(c, a) and torch.equal(d, b)
    with refuses("ratio", "0 .* 1", Mistake):
        editing.mix(z, other, everywhere, 1.1)


def test_all_bands_are_the_agnostic_control(bench):
    g = editing.region_mask("lower-half", 16, 16)
    bands = editing.mode_weights(bench.entries, g, (0, 1, 2), (1 / 3, 2 / 3))
    assert all(torch.equal(a, b) for a, b in zip(bands, editing.mode_weights(bench.entries, g), strict=True))


def test_bands_partition_the_weights(bench):
    g = editing.region_mask("lower-left-quadrant", 16, 16)
    parts = [editing.mode_weights(bench.entries, g, (b,), (0.25, 0.5)) for b in range(3)]
    for level, whole in zip(zip(*parts, strict=True), editing.mode_weights(bench.entries, g), strict=True):
        assert torch.equal(sum(level), whole)
    top = band_masks(bench.entries[0].alpha, (0.25, 0.5))[2]
    assert torch.equal(parts[2][0][::2] > 0, top & (whole_of(bench, g) > 0)) and torch.equal(
        parts[2][0][::2], parts[2][0][1::2]
    )
    with refuses("bands", " 2:", Mistake):
        editing.mode_weights(bench.entries, g, (3,), (0.25, 0.5))


def whole_of(bench, g):
    return editing.mode_weights(bench.entries, g)[0][::2]


def test_regions_by_hand():
    h, w = 4, 4
    expected = {
        "whole": np.ones((h, w)),
        "lower-half": [[0] * 4, [0] * 4, [1] * 4, [1] * 4],
        "lower-left-triangle": [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]],
        "lower-left-quadrant": [[0] * 4, [0] * 4, [1, 1, 0, 0], [1, 1, 0, 0]],
    }
    for name, grid in expected.items():
        assert np.array_equal(editing.region_mask(name, h, w).numpy(), np.array(grid))
    # the definition by fractions, on an oblong
    i, j = np.mgrid[0:5, 0:9]
    assert np.array_equal(editing.region_mask("lower-left-triangle", 5, 9).numpy(), (i / 4 >= j / 8).astype(float))


def test_painted_regions_are_averaged():
    painted = torch.zeros(4, 4)
    painted[0, 0] = 1
    painted[2:, 2:] = 1
    assert editing.region_mask("painted", 2, 2, painted).tolist() == [[0.25, 0], [0, 1]]
    assert torch.equal(
        editing.region_mask("painted", 8, 8, painted), painted.repeat_interleave(2, 0).repeat_interleave(2, 1)
    )
    with refuses("region", ", ".join(editing.REGIONS), Mistake):
        editing.region_mask("painted", 4, 4)
    with refuses("region", "left", Mistake):
        editing.region_mask("left", 4, 4)


def test_ode_states_are_the_samplers(bench):
    model, teacher = bench.model, bench.teacher
    sigmas = karras_sigmas(18)
    states = {}
    heun_sample(teacher, SIGMA_MAX * noise([5], SHAPE), sigmas, lambda i, s, x, d: states.setdefault(i, x))
    for i in (1, 6, 17):  # a level of the whole grid: the part of the grid above it is the same
        ours = editing.ode_states(teacher, [5], float(sigmas[i]))
        assert torch.allclose(ours.x, states[i], rtol=1e-3, atol=1e-3 * float(states[i].std()))
        assert ours.nfe == 2 * max(2, i + 1) - 1
    assert torch.equal(editing.ode_states(teacher, [5], SIGMA_MAX).x, SIGMA_MAX * noise([5], SHAPE))
    z = editing.state_latents(model, SIGMA_MAX * noise([5], SHAPE), 1.0)  # at T the state is the noise itself
    (own,) = starts(model, 5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(z, model.evolve(own, 1.0, 0.0), strict=True))


def test_low_pass_against_scipy_inside():
    x = noise([0], (2, 32, 40))
    ours = editing.low_pass(x, 1.5)[0, :, 8:-8, 8:-8].numpy()
    theirs = gaussian_filter(x[0].double().numpy(), (0, 1.5, 1.5), truncate=5)[:, 8:-8, 8:-8]
    assert np.abs(ours - theirs).max() < 1e-5
    assert torch.allclose(editing.low_pass(torch.full((1, 1, 9, 9), 0.3)), torch.tensor(0.3, dtype=torch.float64))


def test_measures_by_hand():
    original, reference = noise([1], SHAPE).clamp(-1, 1), noise([2], SHAPE).clamp(-1, 1)
    g = editing.region_mask("lower-half", 16, 16)
    edited = original.clone()
    edited[:, :, 8:] = reference[:, :, 8:]
    edited[0, 0, 0, 0] = -original[0, 0, 0, 0]
    outside, high, low = editing.measure(edited, original, reference, g)[0].tolist()
    assert outside == pytest.approx(float(4 * original[0, 0, 0, 0] ** 2) / (3 * 8 * 16), rel=1e-6)
    a, b = ((x.double() - editing.low_pass(x))[0, :, 8:].flatten().numpy() for x in (edited, reference))
    assert high == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-9) and high > 0.9
    assert low == pytest.approx(float((editing.low_pass(edited) - editing.low_pass(original)).square().mean()))


def test_undefined_measures_are_none():
    x = noise([1], SHAPE)
    none = editing.numbers(editing.measure(x, x, torch.zeros(1, *SHAPE), editing.region_mask("whole", 16, 16))[0])
    assert none.outside is None and none.high_correlation is None and none.low_distance == 0


def test_random_control_changes_as_many_modes(bench):
    aware, everywhere = (
        weights_of(bench),
        editing.mode_weights(bench.entries, editing.region_mask("lower-left-triangle", 16, 16)),
    )
    other = shuffled(aware, everywhere, 0)
    for a, b, g in zip(aware, other, everywhere, strict=True):
        assert int((a > 0).sum()) == int((b > 0).sum()) and torch.equal(b[::2], b[1::2])
        assert torch.equal(b[b > 0], g[b > 0])
    assert any(not torch.equal(a, b) for a, b in zip(aware, other, strict=True))


@pytest.mark.parametrize("encoding", editing.ENCODINGS)
def test_comparison_is_what_single_edits_give(bench, encoding):
    pairs = [(s, s + 100) for s in range(3)]
    settings = {"bands": (2,), "ratio": 0.9, "encoding": encoding, "teacher": bench.teacher}
    seen = []
    r = compare_edits(bench.model, pairs, **settings, progress=lambda done, n: seen.append((done, n)))
    assert seen == [(3, 3)] and set(r.arms) == set(ARMS) and set(r.differences) == {"agnostic", "random"}
    ones = [compare_edits(bench.model, [p], **settings) for p in pairs]
    for arm in ARMS:
        for name in editing.MEASURES:
            value = r.arms[arm][name]
            assert value.value == pytest.approx(np.mean([o.arms[arm][name].value for o in ones]), rel=1e-3, abs=1e-6)
            assert value.low <= value.value <= value.high and value.count == 3
    gap = r.arms["aware"]["low_distance"].value - r.arms["agnostic"]["low_distance"].value
    assert r.differences["agnostic"]["low_distance"].value == pytest.approx(gap, abs=1e-12)


def test_comparison_refuses_nonsense(bench):
    for bad in ({"pairs": []}, {"pairs": [(1, 2)], "encoding": "ode"}, {"pairs": [(1, 2)], "encoding": "x"}):
        with pytest.raises(ValueError):
            compare_edits(bench.model, bad.pop("pairs"), bands=(0,), **bad)
