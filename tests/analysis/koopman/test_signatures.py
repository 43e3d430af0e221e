"""Spectral signatures: energies by loops, readings where the answer is known, distances without bias."""

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway

from analysis.koopman.effects import acting
from analysis.koopman.signatures import (
    READERS,
    SHRINKAGE,
    chance,
    dealt,
    distances,
    folds,
    held_out_hits,
    mean_energies,
    profile,
    rings,
    separation,
    signatures,
)
from analysis.koopman.spectrum import band_numbers
from foundation import noise
from koopman_core.operator import sigma_of_tau
from tests.analysis.conftest import random_pair

EDGES = (0.3, 0.6)


def gaussians(shift, count=60, features=5, groups=2, seed=0):
    """Groups of unit spread, the g-th moved by g * shift along the first feature; pictures in random order."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(groups), count))
    x = rng.standard_normal((len(group), features))
    x[:, 0] += shift * group
    return torch.from_numpy(x), torch.from_numpy(group)


def test_mean_energies_are_sums_over_modes():
    g = torch.Generator().manual_seed(0)
    z = [torch.randn(2, 4, 3, 3, generator=g), torch.randn(2, 6, 2, 2, generator=g)]
    bands = [torch.randint(2, (18,), generator=g), torch.zeros(12, dtype=torch.int64)]
    found = mean_energies(z, bands, 2)
    for n in range(2):
        for level, (latent, number) in enumerate(zip(z, bands, strict=True)):
            sums, counts = [0.0, 0.0], [0, 0]
            pairs, height, width = latent.shape[1] // 2, *latent.shape[2:]
            for k in range(pairs):
                for i in range(height):
                    for j in range(width):
                        b = int(number[(k * height + i) * width + j])
                        sums[b] += float(latent[n, 2 * k, i, j]) ** 2 + float(latent[n, 2 * k + 1, i, j]) ** 2
                        counts[b] += 1
            for b in range(2):
                want = sums[b] / counts[b] if counts[b] else 0.0
                assert float(found[n, level, b]) == pytest.approx(want, rel=1e-5)


def test_dealt_bands_keep_their_sizes():
    bands = [torch.arange(30) % 3, torch.zeros(8, dtype=torch.int64)]
    out = dealt(bands, 5)
    assert [o.bincount().tolist() for o in out] == [b.bincount().tolist() for b in bands]
    assert not torch.equal(out[0], bands[0]) and torch.equal(out[0], dealt(bands, 5)[0])


def test_rings_tell_the_frequency_of_a_wave():
    wave = torch.sin(torch.arange(16) * 2 * torch.pi * 4 / 16).expand(1, 3, 16, 16)
    found = rings(torch.cat([wave, torch.full_like(wave, 0.5)]), 12)
    assert found.shape == (2, 12) and int(found[0].argmax()) == 4 and int(found[1].argmax()) == 0


def test_every_group_is_spread_evenly_over_the_folds():
    groups = torch.tensor([0] * 9 + [1] * 16)
    fold = folds(groups, 8)
    for g, most in ((0, 2), (1, 2)):
        counts = fold[groups == g].bincount(minlength=8)
        assert int(counts.min()) >= 1 and int(counts.max()) == most


def test_the_discriminant_reads_what_is_there_and_nothing_else():
    far, groups = gaussians(6.0)
    assert float(held_out_hits(far, groups).mean()) > 0.97
    by_chance = [float(held_out_hits(*gaussians(0.0, seed=s)).mean()) for s in range(12)]
    assert 0.42 < np.mean(by_chance) < 0.58
    # two groups at a distance d of unit spread are told apart with probability Phi(d / 2)
    near = np.mean([float(held_out_hits(*gaussians(2.0, seed=s)).mean()) for s in range(8)])
    assert near == pytest.approx(0.841, abs=0.04)


def test_separation_is_the_ratio_of_sums_of_squares():
    x, groups = gaussians(0.7, groups=3)
    for k, found in enumerate(separation(x, groups).tolist()):
        f = f_oneway(*(x[groups == g, k].numpy() for g in range(3))).statistic
        want = 2 * f / (2 * f + len(x) - 3)
        assert found == pytest.approx(want, rel=1e-9)


def test_distances_are_unbiased():
    none = torch.stack([distances(*gaussians(0.0, count=24, seed=s))[0, 1] for s in range(200)])
    assert abs(float(none.mean())) < 3 * float(none.std()) / 200**0.5 and float(none.min()) < 0
    moved = np.mean([float(distances(*gaussians(3.0, count=200, seed=s))[0, 1]) for s in range(5)])
    assert moved == pytest.approx(9, rel=0.15)
    table = distances(*gaussians(1.0, groups=3))
    assert torch.allclose(table, table.T) and float(table.diagonal().abs().max()) == 0 and 0 < SHRINKAGE < 0.5


def test_profiles_are_standard_deviations():
    x, groups = gaussians(4.0)
    found = profile(x, groups)
    want = (x[groups == 1, 0].mean() - x[:, 0].mean()) / x[:, 0].std()
    assert float(found[1, 0]) == pytest.approx(float(want)) and chance(groups) == 0.5


def test_signatures_are_energies_of_the_noised_pictures():
    model, _ = random_pair()
    entries, x = acting(model), torch.rand(20, *model.picture_shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    groups, taus = torch.arange(20) % 2, (0.0, 0.6)
    found = signatures(model, entries, x, groups, edges=EDGES, taus=taus, seed=40)
    assert found.bands.shape == (20, 2, len(entries), 3) and found.features("bands", 1).shape == (20, 3 * len(entries))
    sigma = sigma_of_tau(torch.tensor(taus, dtype=torch.float64))
    assert torch.equal(found.sigma, sigma)
    noised = x[17:18] + float(sigma[1]) * noise([57], model.picture_shape)
    with torch.no_grad():
        z = model.encode(noised, float(sigma[1]))
    for level, latent in enumerate(z):
        number = band_numbers(entries, level, EDGES)
        r = latent[0].double().view(-1, 2, *latent.shape[2:]).square().sum(1).flatten()
        for b in range(3):
            want = float(r[number == b].mean().log())
            assert float(found.bands[17, 1, level, b]) == pytest.approx(want, rel=1e-4, abs=1e-4)
    assert {reader: found.features(reader, 0).isfinite().all().item() for reader in READERS} == dict.fromkeys(
        READERS, True
    )
    stopped = []

    def stop(share, what):
        stopped.append(share)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        signatures(model, entries, x, groups, edges=EDGES, progress=stop)
    assert len(stopped) == 1
