"""Ablations against independent recomputation: means by loops, references carried in time, one function for all."""

import pytest
import torch

from analysis.koopman import ablations, effects, modes, probes, spectrum
from analysis.koopman.ablations import ABLATIONS, ablate, mean_latents, resampled_latents
from analysis.koopman.spectrum import RankedSpectrum
from foundation.randomness import derived_seed, noise
from koopman_core.edm import SIGMA_MAX
from tests.analysis.conftest import random_pair

EDGES = (0.3, 0.7)


@pytest.fixture(scope="module")
def model():
    return random_pair()[0]


@pytest.fixture(scope="module")
def classed():
    return random_pair(1, classes=3)[0]


def latents(model, seeds, label=None):
    x = SIGMA_MAX * noise(seeds, model.picture_shape)
    labels = None if label is None else torch.full((len(x),), label)
    with torch.no_grad():
        return model.encode(x, SIGMA_MAX, labels)


def references(model, kind, seeds):
    return {
        "zero": lambda: None, "mean": lambda: mean_latents(model, count=5),
        "resample": lambda: resampled_latents(model, seeds),
    }[kind]()  # fmt: skip


def test_numbers_by_hand():
    z, r = [torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[4.0]])], [torch.tensor([[10.0, 20.0, 30.0]]), None]
    keep = [torch.tensor([1.0, 0.0, 0.25]), None]
    assert ablate(z, keep)[0].tolist() == [[1, 0, 0.75]]
    assert ablate(z, keep, "mean", r)[0].tolist() == [[1, 20, 0.25 * 3 + 0.75 * 30]]
    assert ablate(z, keep, "resample", r)[1] is z[1]
    for kind, reference in (("mean", None), ("resample", None), ("zero", r), ("median", r)):
        with pytest.raises(ValueError):
            ablate(z, keep, kind, reference)


def test_the_mean_is_that_of_single_noises_and_evolves_with_them(model, monkeypatch):
    monkeypatch.setattr(ablations, "ABLATION_BATCH", 3)
    shares = []
    mean = mean_latents(model, count=7, progress=lambda share, _: shares.append(share))
    singles = [latents(model, [ablations.MEAN_SEED + i]) for i in range(7)]
    for level, found in enumerate(mean):
        torch.testing.assert_close(found, sum(z[level] for z in singles) / 7, atol=1e-5, rtol=1e-4)
    assert shares == [pytest.approx(s) for s in (3 / 7, 6 / 7, 1)]
    with torch.no_grad():
        later = [model.evolve(z, 1.0, 0.3) for z in singles]  # the mean at that time, taken there
        carried = model.evolve(mean, 1.0, 0.3)
    for level, found in enumerate(carried):
        torch.testing.assert_close(found, sum(z[level] for z in later) / 7, atol=1e-4, rtol=1e-3)
    with pytest.raises(ValueError):
        mean_latents(model, count=0)


def test_a_mean_that_was_stopped_goes_on_with_the_same_bits(model, monkeypatch):
    monkeypatch.setattr(ablations, "ABLATION_BATCH", 3)
    encoded, true = [], model.encode

    def stop(share, _):
        if share > 0.5:
            raise KeyboardInterrupt

    begun = {}
    with pytest.raises(KeyboardInterrupt):
        mean_latents(model, count=10, progress=stop, begun=begun)
    monkeypatch.setattr(model, "encode", lambda x, *more: encoded.append(len(x)) or true(x, *more))
    again = mean_latents(model, count=10, begun=begun)
    assert encoded == [3, 1]
    assert all(torch.equal(a, b) for a, b in zip(again, mean_latents(model, count=10), strict=True))


def test_a_mean_is_of_one_class(classed):
    of_class = mean_latents(classed, 2, count=3)
    wanted = latents(classed, range(ablations.MEAN_SEED, ablations.MEAN_SEED + 3), 2)
    for found, z in zip(of_class, wanted, strict=True):
        torch.testing.assert_close(found, z.mean(0, keepdim=True), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(of_class[-1], mean_latents(classed, -1, count=3)[-1], atol=1e-4)


def test_another_picture_is_a_fixed_one_and_not_the_same(model):
    others = resampled_latents(model, [5, 6])
    wanted = latents(model, [derived_seed(s, ablations.RESAMPLE_KEY) for s in (5, 6)])
    for found, z in zip(others, wanted, strict=True):
        torch.testing.assert_close(found, z)
    alone = resampled_latents(model, [6])
    torch.testing.assert_close(alone[0], others[0][1:], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(others[0], latents(model, [5, 6])[0], atol=0.1)


@pytest.mark.parametrize("kind", ABLATIONS)
def test_bands_levels_and_modes_leave_out_by_the_same_rule(model, kind):
    seeds, tau = [3, 4], torch.tensor([0.6, 0.0])
    z, r = latents(model, seeds), references(model, kind, seeds)
    entries = effects.acting(model)

    def by_hand(state, other, keep):
        """Element by element, without `ablate`."""
        out = []
        for level, (latent, share) in enumerate(zip(state, keep, strict=True)):
            put = torch.zeros_like(latent) if other is None else other[level].expand_as(latent)
            out.append(torch.where(share.bool().expand_as(latent), latent, put))
        return out

    with torch.no_grad():
        found = effects.decoded_effect(model, z, tau, EDGES, kind=kind, reference=r)
        for t, now in enumerate(tau.tolist()):
            state, other = model.evolve(z, 1.0, now), None if r is None else model.evolve(r, 1.0, now)
            whole = model.decode(state)
            for band in range(3):
                keep = [~spectrum.pair_mask(spectrum.band_masks(e.alpha, EDGES)[band]) for e in entries]
                change = (whole - model.decode(by_hand(state, other, keep))).square().mean((1, 2, 3))
                torch.testing.assert_close(found.bands[:, band, t], change.double(), atol=1e-5, rtol=1e-3)
                gains = [float(b != band) for b in range(3)]
                weighed = spectrum.weigh_bands(state, entries, EDGES, gains, kind=kind, reference=other)
                for a, b in zip(weighed, by_hand(state, other, keep), strict=True):
                    torch.testing.assert_close(a, b)
            for level in range(len(entries)):
                keep = [torch.tensor(i != level) for i in range(len(entries))]
                change = (whole - model.decode(by_hand(state, other, keep))).square().mean((1, 2, 3))
                torch.testing.assert_close(found.levels[:, level, t], change.double(), atol=1e-5, rtol=1e-3)
        index = torch.zeros(entries[1].alpha.shape, dtype=torch.bool).flatten()
        index[[0, 7]] = True
        keep = [torch.tensor(True) for _ in entries]
        keep[1] = ~spectrum.pair_mask(index.view(entries[1].alpha.shape))
        for a, b in zip(modes.without_modes(z, 1, [0, 7], kind, r), by_hand(z, r, keep), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", ABLATIONS)
def test_what_a_band_adds_is_measured_against_the_same_reference(model, kind):
    seeds = [3, 4]
    end = model.evolve(latents(model, seeds), 1.0, 0.0)
    r = references(model, kind, seeds)
    other = None if r is None else model.evolve(r, 1.0, 0.0)
    entries = effects.acting(model)

    def at(of, i):
        return [latent[min(i, len(latent) - 1)][None] for latent in of]

    found = probes.band_frequencies(
        model, entries, lambda i: at(end, i), 2, EDGES, kind=kind,
        reference=None if other is None else lambda i: at(other, i),
    )  # fmt: skip
    changes = []
    with torch.no_grad():
        for i in range(2):
            for band in range(3):
                gains = [float(b != band) for b in range(3)]
                put = None if other is None else at(other, i)
                less = spectrum.weigh_bands(at(end, i), entries, EDGES, gains, kind=kind, reference=put)
                changes.append(float((model.decode(at(end, i)) - model.decode(less)).square().mean()))
    wanted = torch.tensor(changes, dtype=torch.float64).view(2, 3).mean(0)
    torch.testing.assert_close(found.change, wanted, atol=1e-6, rtol=1e-3)


def test_a_model_without_differences_has_no_effect_by_mean(model):
    """Where every picture has the mean's latents, nothing is left out by putting the mean there."""
    mean = mean_latents(model, count=4)
    assert (
        float(effects.decoded_effect(model, mean, torch.tensor([0.0]), EDGES, kind="mean", reference=mean).bands.max())
        < 1e-9
    )
    assert float(effects.decoded_effect(model, mean, torch.tensor([0.0]), EDGES).bands.max()) > 1e-6


def test_a_ranked_spectrum_sorts_each_level_once(model, monkeypatch):
    plain = effects.acting(model)
    sorts, true = [], spectrum.ranks
    monkeypatch.setattr(spectrum, "ranks", lambda alpha, order="alpha": sorts.append(order) or true(alpha, order))
    ranked = RankedSpectrum(plain)
    assert list(ranked) == plain and len(ranked) == len(plain) and ranked[1] is plain[1]
    z = latents(model, [1])
    for gains in ((1.0, 0.5, 0.0), (0.0, 1.0, 1.0)):
        for edges in (EDGES, (0.2, 0.9), EDGES):
            a, b = (spectrum.weigh_bands(z, of, edges, gains) for of in (ranked, plain))
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert len(sorts) == len(plain) * (1 + 6)  # once of the ranked ones, each time of the others
    assert all(torch.equal(ranked.ranks(i, "abs"), true(e.alpha, "abs")) for i, e in enumerate(plain))
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            ranked.band_masks(0, EDGES, "abs"), spectrum.band_masks(plain[0].alpha, EDGES, "abs"), strict=True
        )
    )
