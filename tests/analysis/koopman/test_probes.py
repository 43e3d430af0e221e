"""Labels by measurement on hand-made decoders and encoders whose answer is known; bootstrap; pictures."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from analysis.core import images
from analysis.koopman import probes, scenes
from analysis.koopman.spectrum import band_numbers
from foundation.metrics.statistics import bootstrap
from foundation.mistakes import Mistake
from foundation.procedural import portraits, shapes
from koopman_core.model import SpectrumEntry
from koopman_core.operator import evolve_pairs
from tests.refusals import refuses

EDGES = (1 / 3, 2 / 3)


def wave(cycles):
    row = torch.cos(2 * math.pi * cycles * torch.arange(16) / 16 + 0.4)
    return row.expand(3, 16, 16)


class Waves:
    """Decodes three modes as waves of 1, 3 and 6 cycles."""

    pictures = torch.stack([wave(6), wave(1), wave(3)])

    def decode(self, z, labels=None):
        return torch.einsum("bk,kchw->bchw", z[0][:, 0::2, 0, 0], self.pictures)


def three_modes(alpha=(0.0, 1.0, 2.0)):
    return [SpectrumEntry("x", (6, 1, 1), torch.tensor(alpha).view(3, 1, 1), torch.zeros(3, 1, 1))]


def test_bands_are_labelled_by_the_waves_they_add():
    def latents(i):
        g = torch.Generator().manual_seed(i)
        return [1 + torch.rand(1, 6, 1, 1, generator=g)]

    told = []
    found = probes.band_frequencies(
        Waves(), three_modes(), latents, 5, EDGES, progress=lambda share, what: told.append(share)
    )
    assert found.centroid.tolist() == pytest.approx([6 / 16, 1 / 16, 3 / 16])
    assert found.coarse_to_fine == (1, 2, 0) and found.distinct == (True, True)
    assert found.power.argmax(1).tolist() == [6, 1, 3]
    squares = torch.stack([latents(i)[0][0, 0::2, 0, 0].double() ** 2 for i in range(5)]).mean(0) / 2
    torch.testing.assert_close(found.change, squares, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.low, found.centroid)
    assert told[-1] == 1 and len(told) == 5


def test_bands_without_detail_have_no_label_and_come_last():
    found = probes.band_frequencies(Waves(), three_modes(), lambda i: [torch.eye(6)[2].view(1, 6, 1, 1)], 3, EDGES)
    assert found.centroid.isnan().tolist() == [True, False, True] and found.coarse_to_fine[0] == 1
    assert found.distinct == (False, False) and found.low.isnan().tolist() == [True, False, True]


def test_noise_does_not_tell_bands_apart():
    class Turning(Waves):  # every seed hands the waves to other bands
        def decode(self, z, labels=None):
            self.pictures = self.pictures.roll(1, 0)
            return super().decode(z)

    found = probes.band_frequencies(Turning(), three_modes(), lambda i: [torch.ones(1, 6, 1, 1)], 6, EDGES)
    assert found.distinct == (False, False) and bool((found.low < found.high).all())


@pytest.mark.parametrize(("data", "row"), [(data, row) for data in scenes.DRAWN for row in scenes.rows_of(data)])
def test_scene_pairs_differ_in_their_factor_alone(data, row):
    before, after = scenes.scene_pairs(row, 24, seed=3, data=data)
    assert len(before) == len(after) == 24
    if row == scenes.EVERYTHING:
        assert (before["x"] != after["x"]).all()
        return
    maker = scenes.DRAWN[data]
    held = [name for group, names in maker.FACTOR_GROUPS.items() if group != row for name in names]
    assert all(np.array_equal(before[name], after[name]) for name in held)
    changed = (maker.render(before, 16) != maker.render(after, 16)).any((1, 2, 3))
    assert changed.all() if data == "shapes" else changed.any()
    if row == "turn":
        assert not set(before["kind"]) & {0, 3}


def test_unknown_rows_are_refused():
    with refuses("row", "background, kind", Mistake):
        scenes.scene_pairs("mood", 4)
    with refuses("row", "hair colour", Mistake):
        scenes.scene_pairs("turn", 4, data="portraits")


def test_the_data_of_a_model_stand_in_its_card():
    assert scenes.drawn_data({"data": {"spec": "portraits"}}) == "portraits"
    assert {scenes.drawn_data(card) for card in ({}, {"data": 1}, {"data": {"spec": "cifar10"}})} == {None}
    assert scenes.FACTOR_ROWS[-1] == scenes.EVERYTHING and set(scenes.rows_of("portraits")) < set(scenes.FACTOR_ROWS)


GROUPS = tuple(shapes.FACTOR_GROUPS)


def factor_rows(factors, side):
    """A "picture" whose row g holds the numbers of factor group g."""
    out = torch.zeros(len(factors), 3, side, side)
    for g, group in enumerate(GROUPS):
        numbers = [
            np.asarray(factors[name], np.float32).reshape(len(factors), -1) for name in shapes.FACTOR_GROUPS[group]
        ]
        values = torch.from_numpy(np.concatenate(numbers, 1))
        out[:, 0, g, : values.shape[1]] = values
    return out


def level_a_factor(x, sigma):
    """Level g holds row g of the picture: (B, 2, 1, 8) each, the second channel of a pair idle."""
    return [torch.stack([x[:, 0, g], 0 * x[:, 0, g]], 1)[:, :, None] for g in range(len(GROUPS))]


def level_entries(alpha=0.0):
    rates = torch.full((1, 1, 8), alpha), torch.zeros(1, 1, 8)
    return [SpectrumEntry(g, (2, 1, 8), *rates) for g in GROUPS]


def test_attribution_finds_the_level_that_carries_a_factor():
    told = []
    found = probes.attribution(
        level_a_factor, level_entries(), 0.0, sigma=2.0, side=8, pairs=40, draw=factor_rows,
        progress=lambda share, what: told.append((share, what)),
    )  # fmt: skip
    assert found.rows == (*GROUPS, "everything") and found.pairs.tolist() == [40] * 8
    torch.testing.assert_close(found.levels[:7], torch.eye(7).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.levels_low[:7], torch.eye(7).double(), rtol=0, atol=1e-6)
    assert float(found.levels[7].max()) < 0.99 and bool((found.levels_low[7] < found.levels_high[7]).any())
    torch.testing.assert_close(found.share.sum((1, 2)), torch.ones(8).double())
    torch.testing.assert_close(found.bands.sum(1), torch.ones(8).double())
    assert bool((found.bands_low <= found.bands + 1e-9).all() and (found.bands <= found.bands_high + 1e-9).all())
    assert told[-1] == (1, "pairs that differ in everything")


def test_rows_can_be_chosen_and_the_seed_decides():
    options = {"side": 8, "pairs": 20, "draw": factor_rows, "rows": ("size", "turn")}
    a = probes.attribution(level_a_factor, level_entries(), 0.0, **options)
    b = probes.attribution(level_a_factor, level_entries(), 0.0, **options)
    assert a.rows == ("size", "turn") and torch.equal(a.bands_high, b.bands_high) and torch.equal(a.share, b.share)


def test_shares_of_the_pictures_own_bands_against_another_blur():
    shares, low, high = probes.blur_shares("hat", 12, (3.0, 1.1), 32, "portraits", seed=4)
    before, after = (portraits.render(r, 32) / 127.5 for r in scenes.scene_pairs("hat", 12, 4, "portraits"))
    whole = after - before
    coarse, middle = (gaussian_filter(whole, (0, b, b, 0), mode="reflect", truncate=8) for b in (3.0, 1.1))
    wanted = [(band**2).mean() / (whole**2).mean() for band in (coarse, middle - coarse, whole - middle)]
    np.testing.assert_allclose(shares, wanted, rtol=0.02)
    assert bool(((low <= shares) & (shares <= high)).all()) and float(shares.sum()) < 1
    fine, _, _ = probes.blur_shares("hat", 12, (), 32, "portraits", seed=4)
    assert fine.tolist() == [1.0]


def test_pairs_that_an_encoder_cannot_tell_apart_are_left_out():
    def blind(x, sigma):
        return [0 * z for z in level_a_factor(x, sigma)]

    found = probes.attribution(blind, level_entries(), 0.0, side=8, pairs=8, draw=factor_rows, rows=("size",))
    assert found.pairs.tolist() == [0] and found.share.isnan().all() and found.levels_low.isnan().all()


@pytest.mark.parametrize("carried", [False, True])
def test_the_flow_weighs_the_differences(carried):
    g = torch.Generator().manual_seed(0)
    entry = SpectrumEntry("x", (8, 2, 3), *(torch.randn(4, 2, 3, generator=g) for _ in range(2)))
    a, b = torch.randn(2, 5, 8, 2, 3, generator=g)
    delta = -0.7 * carried
    shares = probes.difference_shares([a], [b], [entry], [band_numbers([entry], 0, EDGES)], 3, delta)
    apart = evolve_pairs(a, entry.alpha, entry.beta, delta) - evolve_pairs(b, entry.alpha, entry.beta, delta)
    energy = apart.view(5, 4, 2, 2, 3).square().sum(2).flatten(1)
    rank = entry.alpha.flatten().argsort(stable=True)
    expected = torch.stack([energy[:, part].sum(1) for part in (rank[:8], rank[8:16], rank[16:])], 1)
    torch.testing.assert_close(shares[:, 0], (expected / expected.sum(1, keepdim=True)).double(), rtol=1e-4, atol=1e-6)


def test_both_scenes_get_the_same_noise():
    seen = []

    def watch(x, sigma):
        seen.append((x, sigma))
        return level_a_factor(x, sigma)

    probes.attribution(watch, level_entries(), 0.5, sigma=3.0, side=8, pairs=8, rows=("colour",), draw=factor_rows)
    x, sigma = seen[0]
    same = torch.cat([x[:, :, :5], x[:, :, 6:]], 2)  # the rows of all other factors, noise included
    torch.testing.assert_close(same[:8], same[8:])
    assert sigma == 3.0 and float(x[:8, 2].std()) == pytest.approx(3.0, rel=0.15)


def test_scenes_as_pictures():
    records = shapes.factors(range(3))
    x = scenes.draw("shapes", records, 16)
    assert x.shape == (3, 3, 16, 16) and float(x.min()) >= -1 and float(x.max()) <= 1
    assert np.array_equal(images.as_pictures(x), shapes.render(records, 16))


def test_bootstrap_interval():
    values = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0])
    low, high = bootstrap(values, draws=4000)
    standard = values.std(0).double() / 20
    torch.testing.assert_close((high - low) / (2 * 1.96 * standard), torch.ones(2).double(), rtol=0.06, atol=0)
    assert bool((low < values.mean(0)).all() and (values.mean(0) < high).all())
    assert torch.equal(bootstrap(values, 50, seed=1)[0], bootstrap(values, 50, seed=1)[0])
    assert not torch.equal(bootstrap(values, 50, seed=1)[0], bootstrap(values, 50, seed=2)[0])
    assert all(end.isnan().all() and end.shape == (2, 3) for end in bootstrap(torch.zeros(0, 2, 3)))


def test_a_difference_is_magnified_by_the_factor_that_is_told():
    x = torch.zeros(3, 4, 4)
    x[0, 1, 2] = -0.03
    picture, factor = images.magnified(x)
    assert (
        factor == pytest.approx(30) and picture[1, 2].tolist() == [13, 128, 128] and picture[0, 0].tolist() == [128] * 3
    )
    assert images.magnified(x * 0)[1] == 1.0 and images.magnified(x * 100)[1] == 1.0
    assert images.magnified(x * 1e-6)[1] == 1000.0
    with refuses("picture"):
        images.magnified(x + torch.nan)
