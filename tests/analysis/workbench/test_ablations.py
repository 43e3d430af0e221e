"""Requests that leave something out: the answer under each ablation against a recomputation, former settings, means."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.koopman import ablations, probes, scenes
from analysis.koopman.ablations import ABLATIONS, MEAN_NOISES, MEAN_SEED
from analysis.koopman.spectrum import band_masks, pair_mask
from analysis.recipes import recipe
from analysis.workbench.effects import EffectRequest
from analysis.workbench.probes import AttributionRequest, BandLabelsRequest
from analysis.workbench.spectrum import MaskRequest, ModeRequest, SurgeryRequest
from analysis.workbench.workbench import Workbench
from foundation.data.pictures import to_bytes
from foundation.randomness import derived_seed, noise
from koopman_core.edm import SIGMA_MAX
from tests.analysis.conftest import random_pair

EDGES, SEED = (0.3, 0.7), 5
REQUESTS = (
    MaskRequest(SEED, edges=EDGES, gains=(0, 1, 1)), ModeRequest(SEED, 1, (0, 7)), SurgeryRequest(SEED),
    EffectRequest((SEED,), decoded_times=1), BandLabelsRequest((SEED,)),
)  # fmt: skip


@pytest.fixture(scope="module")
def bench():
    return Workbench(*random_pair())


@torch.no_grad()
def start(model, seed, label=None):
    return model.encode(SIGMA_MAX * noise([seed], model.picture_shape), SIGMA_MAX, label)


@torch.no_grad()
def stand_in(model, kind, seed):
    """r at T, by loops: single noises, added up in float64."""
    if kind == "zero":
        return [torch.zeros(1, *e.shape) for e in model.spectrum()]
    if kind == "resample":
        return start(model, derived_seed(seed, ablations.RESAMPLE_KEY))
    x = SIGMA_MAX * noise(range(MEAN_SEED, MEAN_SEED + MEAN_NOISES), model.picture_shape)
    return [z.double().mean(0, keepdim=True).float() for z in model.encode(x, SIGMA_MAX)]


def by_hand(model, kind, seed, tau, left_out):
    """Picture at tau without what `left_out` marks, one bool tensor a level."""
    with torch.no_grad():
        z, r = (model.evolve(of, 1.0, tau) for of in (start(model, seed), stand_in(model, kind, seed)))
        return model.decode([torch.where(m, b, a) for a, b, m in zip(z, r, left_out, strict=True)])


def same(picture, array):
    return np.abs(to_bytes(picture)[0].permute(1, 2, 0).numpy().astype(int) - array).max() <= 1


@pytest.mark.parametrize("kind", ABLATIONS)
def test_bands_and_modes_are_left_out_by_hand(bench, kind):
    model = bench.model
    entries = model.spectrum()
    first = [pair_mask(band_masks(e.alpha, EDGES)[0]) for e in entries]
    r = bench.mask_bands(MaskRequest(SEED, edges=EDGES, gains=(0, 1, 1), ablation=kind))
    assert same(by_hand(model, kind, SEED, 0.0, first), r.masked) and r.mse > 0
    chosen = torch.zeros(entries[1].alpha.numel(), dtype=torch.bool)
    chosen[[0, 7]] = True
    without = [torch.tensor(False) for _ in entries]
    without[1] = pair_mask(chosen.view(entries[1].alpha.shape))
    r = bench.mode(ModeRequest(SEED, 1, (0, 7), tau=0.4, ablation=kind))
    assert same(by_hand(model, kind, SEED, 0.4, without), r.without)


@pytest.mark.parametrize("kind", ABLATIONS)
def test_the_decoded_effect_and_the_labels_leave_out_the_same(bench, kind):
    model = bench.model
    entries = model.spectrum()
    with torch.no_grad():
        whole = model.decode(model.evolve(start(model, SEED), 1.0, 0.0))
    wanted = []
    for band in range(3):
        marks = [pair_mask(band_masks(e.alpha, EDGES)[band]) for e in entries]
        wanted.append(float((by_hand(model, kind, SEED, 0.0, marks) - whole).square().mean()))
    effect = bench.cumulative_effect(EffectRequest((SEED,), edges=EDGES, decoded_times=1, ablation=kind))
    labels = bench.band_labels(BandLabelsRequest((SEED,), edges=EDGES, ablation=kind))
    assert effect.decoded_bands[:, 0] == pytest.approx(wanted, rel=1e-3)
    assert labels.change == pytest.approx(wanted, rel=1e-3)
    level = [torch.tensor(i == 2) for i in range(len(entries))]
    change = float((by_hand(model, kind, SEED, 0.0, level) - whole).square().mean())
    assert effect.decoded_levels[2, 0] == pytest.approx(change, rel=1e-3)


@pytest.mark.parametrize("kind", ABLATIONS)
def test_surgery_changes_what_differs_from_the_stand_in(bench, kind):
    """Against complex exponentials mode by mode: e^(rate d) r + e^(rate' d) (z - r)."""
    model, tau = bench.model, 0.3
    asked = SurgeryRequest(SEED, edges=(0.5,), alpha_shift=(0.7, 0.0), beta_scale=(1.0, 2.0), tau=tau, ablation=kind)
    out = []
    for z, r, e in zip(start(model, SEED), stand_in(model, kind, SEED), model.spectrum(), strict=True):
        low, high = (m.double() for m in band_masks(e.alpha, (0.5,)))
        old = torch.complex(e.alpha.double(), -e.beta.double())
        new = torch.complex(e.alpha.double() + 0.7 * low, -e.beta.double() * (low + 2 * high))
        z, r = (torch.complex(v[:, ::2].double(), v[:, 1::2].double()) for v in (z, r))
        w = torch.exp(old * (tau - 1)) * r + torch.exp(new * (tau - 1)) * (z - r)
        out.append(torch.stack([w.real, w.imag], 2).flatten(1, 2).float())
    with torch.no_grad():
        assert same(model.decode(out), bench.surgery(asked).altered)


def test_surgery_that_lets_everything_die_out_ends_in_the_ablation(bench):
    asked = SurgeryRequest(SEED, edges=(0.5,), alpha_shift=(8.0, 0.0), entries=(1, 3), ablation="mean")
    left = bench.mask_bands(MaskRequest(SEED, edges=(0.5,), gains=(0, 1), entries=(1, 3), ablation="mean"))
    died, zero = bench.surgery(asked), bench.surgery(replace(asked, ablation="zero"))

    def distance(r):
        return np.abs(r.altered.astype(int) - left.masked).mean()

    assert distance(died) < 1 < distance(zero)


def test_where_nothing_is_left_out_every_bit_stays_and_no_mean_is_made(monkeypatch):
    bench = Workbench(*random_pair())
    monkeypatch.setattr("analysis.workbench.session.mean_latents", lambda *_, **__: pytest.fail("a mean was made"))
    assert bench.mask_bands(MaskRequest(SEED)).mse == 0
    assert bench.surgery(SurgeryRequest(SEED)).mse == 0


def test_a_mean_is_made_once_a_class_and_not_under_the_lock(monkeypatch):
    bench = Workbench(random_pair(1, classes=3)[0])
    made, true = [], ablations.mean_latents
    monkeypatch.setattr(ablations, "MEAN_NOISES", 8)
    monkeypatch.setattr(
        "analysis.workbench.session.mean_latents",
        lambda model, label, **more: made.append(label) or true(model, label, 8, **more),
    )
    for label in (2, -1, 2, -1, 2):
        before = bench.encodes
        bench.mask_bands(MaskRequest(1, label, gains=(0, 1, 1)))
        assert bench.encodes - before <= 1
    assert made == [2, -1]
    with torch.no_grad():
        x = SIGMA_MAX * noise(range(MEAN_SEED, MEAN_SEED + 8), bench.model.picture_shape)
        wanted = bench.model.encode(x, SIGMA_MAX, torch.full((8,), 2))
    for found, z in zip(bench.mean(2), wanted, strict=True):
        torch.testing.assert_close(found, z.mean(0, keepdim=True), atol=1e-5, rtol=1e-4)


def test_a_mean_that_ran_out_of_time_goes_on(monkeypatch):
    monkeypatch.setattr(ablations, "ABLATION_BATCH", 256)
    bench, shares = Workbench(random_pair()[0]), []

    def impatient(share, _):
        shares.append(share)
        if len(shares) == 3:
            raise UserError("This takes longer than that.")

    with pytest.raises(UserError):
        bench.mean(-1, impatient)
    bench.mean(-1, impatient)
    assert shares == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_settings_from_before_mean_zero_and_are_written_as_they_were(request_):
    assert request_.ablation == "mean" and request_.as_settings()["ablation"] == "mean"
    old = {k: v for k, v in request_.as_settings().items() if k != "ablation"}
    opened = type(request_).from_settings(old)
    assert opened.ablation == "zero" and opened.as_settings() == old
    assert type(request_).from_settings(request_.as_settings()) == request_
    with pytest.raises(UserError) as e:
        type(request_).from_settings({**old, "ablation": "median"})
    assert e.value.field == "ablation"


def test_an_old_recipe_gives_the_picture_that_it_gave(bench):
    new = recipe.describe(MaskRequest(SEED, edges=EDGES, gains=(0, 1, 1)), bench)
    told = json.loads(new.text)
    assert told["settings"].pop("ablation") == "mean"
    old = recipe.from_json(json.dumps(told))
    answer = recipe.replay(old, bench)
    model = bench.model
    first = [pair_mask(band_masks(e.alpha, EDGES)[0]) for e in model.spectrum()]
    assert same(by_hand(model, "zero", SEED, 0.0, first), answer.masked)
    assert not np.array_equal(answer.masked, recipe.replay(new, bench).masked)


def test_attribution_by_exchange_in_the_picture(bench):
    """One pair at a time: encode both, carry, put one band or level of the second into the first, decode."""
    model, sigma = bench.model, 1.0
    asked = AttributionRequest(8, sigma, edges=(0.5,), rows=("place",), draws=100, seed=0)
    r = bench.attribution(asked)
    before, after = scenes.scene_pairs("place", 8)
    level = sigma * noise(range(8), (3, 16, 16))
    entries, tau = model.spectrum(), float(model.tau(sigma))
    marks = [[pair_mask(band_masks(e.alpha, (0.5,))[b]) for e in entries] for b in range(2)]
    marks += [[torch.tensor(i == left) for i in range(len(entries))] for left in range(len(entries))]
    changes = np.zeros((8, 1 + len(marks)))
    with torch.no_grad():
        for n in range(8):
            z, other = (
                model.evolve(model.encode(scenes.draw("shapes", x[n : n + 1], 16) + level[n], sigma), tau, 0.0)
                for x in (before, after)
            )
            first = model.decode(z)
            changes[n, 0] = (model.decode(other) - first).square().mean()
            for i, mark in enumerate(marks):
                mixed = [torch.where(m, b, a) for a, b, m in zip(z, other, mark, strict=True)]
                changes[n, 1 + i] = (model.decode(mixed) - first).square().mean()
    shares = changes[:, 1:].mean(0) / changes[:, 0].mean()
    assert r.bands[0] == pytest.approx(shares[:2], rel=1e-3) and r.levels[0] == pytest.approx(shares[2:], rel=1e-3)
    assert (r.bands_low[0] <= r.bands[0]).all() and (r.bands[0] <= r.bands_high[0]).all()
    latent = bench.attribution(replace(asked, measure="latent"))
    assert np.array_equal(latent.share, r.share) and not np.allclose(latent.bands, r.bands)
    assert AttributionRequest.from_settings(
        {k: v for k, v in asked.as_settings().items() if k != "measure"}
    ).measure == "latent"  # fmt: skip


def test_pairs_that_do_not_differ_are_left_out_of_the_shares():
    changes = torch.tensor([[2.0, 1.0, 0.5], [0.0, 0.0, 0.0], [6.0, 1.0, 1.5]], dtype=torch.float64)
    found = probes.exchange_shares(changes, draws=50)
    assert found[0].tolist() == [0.25, 0.25]
    assert bool((found[1] <= found[0]).all() and (found[0] <= found[2]).all())
    assert bool(probes.exchange_shares(changes[1:2]).isnan().all())


@pytest.mark.parametrize(
    ("card", "idle"),
    [
        ({"metrics": {"leaving-out": {"idle": ["skip 1", "bottleneck"], "bound": 0.01}}}, (1, 4)),
        ({"metrics": {"leaving-out": {"idle": [], "bound": 0.01}}}, ()),
        ({"metrics": {"leaving-out": {"idle": "all", "bound": 0.01}}}, None), ({"metrics": []}, None), ({}, None),
    ],
)  # fmt: skip
def test_idle_levels_are_told_from_the_card(card, idle):
    model = random_pair()[0]
    model.card = card
    found = Workbench(model).spectrum()
    assert found.idle == idle and (found.idle_bound is None) == (idle is None)
