"""Clusters of modes against a decoder whose groups are known, and effects against Jacobians and loops."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from analysis.koopman import atlas, clusters
from analysis.koopman.jacobian import flat, unflat
from analysis.koopman.modes import without_modes
from analysis.koopman.scenes import scene_pairs
from foundation import noise
from koopman_core.edm import SIGMA_MAX


@pytest.fixture(scope="module")
def latents(model):
    with torch.no_grad():
        return model.evolve(model.encode(SIGMA_MAX * noise(range(4), (3, 16, 16)), SIGMA_MAX), 1.0, 0.0)


def test_probes_measure_energy_cell_by_cell():
    picture = torch.zeros(3, 16, 16)
    picture[:, :4, :4] = 1.0  # brightness 3 x 16 in the first cell
    picture[0, 12:, 8:12], picture[1, 12:, 8:12] = 2.0, -2.0  # colour 2 x 4 x 16 in cell (3, 2)
    products = torch.stack([
        (clusters.cell_probes((3, 16, 16), seed) * picture).sum((1, 2, 3)).square() for seed in range(3000)
    ]).mean(0)  # fmt: skip
    expected = torch.zeros(32)
    expected[0], expected[16 + 14] = 48.0, 128.0
    torch.testing.assert_close(products, expected, rtol=0.1, atol=1e-4)
    assert clusters.cell_probes((1, 8, 8)).shape == (16, 1, 8, 8)


def test_effect_energy_is_that_of_the_jacobian(model, latents):
    z = [latent[:1] for latent in latents]
    spread = 0.5 + flat(z)[0].abs()
    found = torch.stack([clusters.effect_energy(model, z, spread, seed=s) for s in range(2)])
    levels = [e.shape for e in model.spectrum()]
    at = flat(z)[0]
    whole = torch.autograd.functional.jacobian(lambda r: model.decode(unflat(r[None], levels))[0], at) * spread
    probes = torch.stack([clusters.cell_probes((3, 16, 16), s) for s in range(2)])
    products = torch.einsum("spchw,chwn->spn", probes, whole)
    c, h, w = levels[0]
    first = products[:, :, : c * h * w].view(2, 32, c // 2, 2, h * w).square().sum(3).flatten(2)
    torch.testing.assert_close(found[:, :, : first.shape[2]], first, rtol=1e-3, atol=1e-6)


def test_scenes_are_encoded_with_the_same_noise(model):
    before, after = clusters.scene_latents(model, "portraits", "mouth", 6, 5)
    records = scene_pairs("mouth", 6, 5, "portraits")
    assert before.shape == after.shape and len(before) == 6 and not np.array_equal(*records)
    halves = clusters.mode_differences(model, before, after)
    assert halves.shape == (2, sum(e.alpha.numel() for e in model.spectrum()))
    z, other = (unflat(x, [e.shape for e in model.spectrum()])[0] for x in (before, after))
    square = (z - other).square().unflatten(1, (-1, 2)).sum(2).flatten(1)
    torch.testing.assert_close(halves[0, : square.shape[1]], square[::2].mean(0))


def groups_of_modes(noise_level=0.05, seed=0):
    """Effect energy of 90 modes in three groups of cells, over two halves, and their groups."""
    g = torch.Generator().manual_seed(seed)
    number = torch.arange(90) % 3
    ideal = torch.full((32, 3), 0.01)
    for k, cells in enumerate(([0, 1], [10, 14, 26], [31])):
        ideal[cells, k] = 1.0
    energy = ideal[:, number] * (1 + noise_level * torch.randn(2, 32, 90, generator=g)).clamp_min(0.1)
    return energy * torch.tensor([1.0, 4.0, 2.0])[number], number


def test_known_groups_are_found_with_their_number():
    energy, number = groups_of_modes()
    energy[:, :, 7] = 1e-6  # does nothing
    found = clusters.cluster_level(energy)
    assert found.count == 3 and max(found.silhouettes, key=found.silhouettes.get) == 3
    assert found.number[7] == -1
    alive = torch.arange(90) != 7
    assert torch.equal(found.number[alive], torch.tensor([2, 0, 1])[number[alive]])  # the strongest first
    assert torch.equal(found.modes(0), torch.nonzero((number == 1) & alive)[:, 0])


def test_factors_tell_apart_what_acts_in_one_place():
    energy = torch.ones(2, 32, 40)
    differences = torch.full((2, 4, 40), 0.01)
    differences[:, 3] = 1.0
    differences[:, 0, :20], differences[:, 1, 20:] = 0.5, 0.5
    differences[:, :, ::3] *= 7.0  # a mode's scale does not count
    found = clusters.cluster_level(energy, differences)
    assert found.count == 2 and len(set(found.number[:20].tolist())) == 1 and found.number[0] != found.number[20]
    torch.testing.assert_close(clusters.factor_profile(differences[0]).sum(1), torch.ones(40))


def test_silhouette_against_a_loop_and_idle_levels():
    g = torch.Generator().manual_seed(1)
    rows = torch.nn.functional.normalize(torch.rand(30, 5, generator=g), dim=1)
    weight, number = torch.rand(30, generator=g), torch.arange(30) % 4
    centres = []
    for k in range(4):
        c = sum(weight[i] * rows[i] for i in range(30) if number[i] == k)
        centres.append(c / c.norm())
    total = 0.0
    for i in range(30):
        away = [1 - float(rows[i] @ c) for c in centres]
        own = away.pop(int(number[i]))
        total += float(weight[i]) * (min(away) - own) / max(min(away), own)
    assert clusters.silhouette(rows, weight, number) == pytest.approx(total / float(weight.sum()), abs=1e-5)
    assert clusters.silhouette(rows, weight, torch.zeros(30, dtype=torch.int64)) == 0
    still = clusters.cluster_level(torch.zeros(2, 32, 6))
    assert still.count == 0 and still.silhouettes == {}
    one = torch.zeros(2, 32, 6)
    one[:, 3, 2] = 1.0
    assert clusters.cluster_level(one).number.tolist() == [-1, -1, 0, -1, -1, -1]


def test_left_out_and_exchanged_against_single_decodings(model, latents):
    mean = [latent.mean(0, keepdim=True) for latent in latents]
    full = model.decode(latents)
    found = atlas.left_out(model, latents, mean, full, 1, [0, 5])
    z = [latent[2:3].clone() for latent in latents]
    h, w = z[1].shape[2:]
    for mode in (0, 5):
        k, place = divmod(mode, h * w)
        i, j = divmod(place, w)
        z[1][0, 2 * k : 2 * k + 2, i, j] = mean[1][0, 2 * k : 2 * k + 2, i, j]
    torch.testing.assert_close(found[2:3], full[2:3] - model.decode(z), atol=1e-5, rtol=1e-4)
    before, after = ([latent[part] for latent in latents] for part in (slice(0, 2), slice(2, 4)))
    every = list(range(model.spectrum()[1].alpha.numel()))
    share = atlas.exchange_factor(model, before, after, 1, [[3], every])
    changes = []
    for other in (after, without_modes(before, 1, every, "resample", after)):
        changes.append((model.decode(list(other)) - model.decode(before)).double().square().mean())
    assert float(share[0, 1]) == pytest.approx(float(changes[1] / changes[0]), rel=1e-4)
    assert bool((share[1] <= share[0] + 1e-12).all() and (share[0] <= share[2] + 1e-12).all())


def test_controls_are_as_large_and_of_modes_that_act():
    number = torch.tensor([0, -1, 1, 0, 0, -1, 1, 2])
    drawn = atlas.control(number, torch.tensor([0, 3, 4]), seed=2)
    assert len(drawn) == 3 and not set(drawn.tolist()) & {1, 5} and torch.equal(drawn, drawn.unique())


def test_places():
    energy = torch.zeros(8, 16)
    energy[0, 15] = 3.0
    corner = atlas.place_of(energy)
    assert (corner.x, corner.y, corner.radius) == pytest.approx(
        (15.5 / 16, 0.5 / 8, 0)
    ) and corner.words == "upper right"
    even = atlas.place_of(torch.ones(64, 64))
    assert even.radius == pytest.approx((1 / 6) ** 0.5, rel=1e-3) and even.words == "the whole picture"
    assert atlas.place_of(torch.eye(3)[[1]] * torch.tensor([0.0, 1.0, 0.0])).words == "centre"


def test_matches_are_the_best_assignment_and_have_a_yardstick():
    g = torch.Generator().manual_seed(0)
    own = torch.randn(4, 3, 1, 5, 5, generator=g)
    other = torch.cat(
        [own[[2, 0]] * 3 + 0.1 * torch.randn(2, 3, 1, 5, 5, generator=g), torch.randn(3, 3, 1, 5, 5, generator=g)]
    )
    found = atlas.match(own, other, torch.randn(5, 3, 1, 5, 5, generator=g))
    units = [x.flatten(1) / x.flatten(1).norm(dim=1, keepdim=True) for x in (own, other)]
    rows, columns = linear_sum_assignment(-(units[0] @ units[1].T).numpy())
    assert found.partner[rows].tolist() == columns.tolist() and found.partner[[2, 0]].tolist() == [0, 1]
    assert found.again[[0, 2]].all() and found.bound < 0.9 and (found.cosine[[0, 2]] > 0.9).all()
    few = atlas.match(own, other[:2], other[:2])
    assert (few.partner < 0).sum() == 2 and not few.again[few.partner < 0].any()


def test_the_map_of_effects():
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(atlas.effect_map(x), x.square().mean(0).sqrt())
