"""Edits by level, with a soft region, with a reference by inversion, and the card's defaults; all by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from analysis.core.errors import UserError
from analysis.koopman.inversion import invert_ode
from analysis.koopman.spectrum import band_masks
from analysis.workbench.editing import EditRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.pictures import to_bytes
from foundation.procedural import shapes
from koopman_core.edm import SIGMA_MAX, karras_sigmas
from koopman_core.operator import sigma_of_tau
from tests.analysis.conftest import random_pair


@pytest.fixture(scope="module")
def bench():
    return Workbench(*random_pair())


@torch.no_grad()
def mixed_by_hand(bench, asked, path, region, levels):
    """Element by element: bands and levels, the region at each latent's size by block means."""
    model = bench.model
    z = model.evolve(model.encode(SIGMA_MAX * noise([asked.seed], (3, 16, 16)), SIGMA_MAX), 1.0, 0.0)
    out = []
    for i, (a, b, e) in enumerate(zip(z, path, model.spectrum(), strict=True)):
        h = e.shape[1]
        g = region.view(h, 16 // h, h, 16 // h).mean((1, 3))
        masks = band_masks(e.alpha, asked.edges)
        chosen = torch.stack([masks[k] for k in asked.bands]).any(0).repeat_interleave(2, 0) * float(i in levels)
        out.append(a + asked.ratio * chosen * g * (b - a))
    return model.decode(z).clamp(-1, 1), model.decode(out).clamp(-1, 1)


def test_levels_a_feather_and_leakage(bench):
    asked = EditRequest(
        1, reference_seed=2, encoding="latent", edges=(0.4,), bands=(1,), ratio=0.8, region="lower-half",
        entries=(1, 3), feather=1.5,
    )  # fmt: skip
    r = bench.edit(asked)
    hard = np.zeros((16, 16))
    hard[8:] = 1
    blurred, weight = (gaussian_filter(x, 1.5, mode="constant", truncate=12) for x in (hard, np.ones((16, 16))))
    region = torch.from_numpy(blurred / weight).float()
    with torch.no_grad():
        other = bench.model.encode(SIGMA_MAX * noise([2], (3, 16, 16)), SIGMA_MAX)
        path = bench.model.evolve(other, 1.0, 0.0)
    original, edited = mixed_by_hand(bench, asked, path, region, (1, 3))
    assert np.abs(to_bytes(edited)[0].permute(1, 2, 0).numpy().astype(int) - r.edited).max() <= 1
    change = (edited - original).double().square().mean(1)[0]
    outside, inside = (float((change * w).sum() / w.sum()) for w in (1 - region.double(), region.double()))
    assert r.leakage == pytest.approx(outside / inside, rel=1e-3)
    _, control = mixed_by_hand(bench, replace(asked, bands=(0, 1)), path, region, range(9))
    assert np.abs(to_bytes(control)[0].permute(1, 2, 0).numpy().astype(int) - r.control).max() <= 1
    whole = bench.edit(replace(asked, region="whole"))
    assert whole.leakage is None and whole.leakage_control is None
    with pytest.raises(UserError) as e:
        bench.edit(replace(asked, entries=(9,)))
    assert e.value.field == "entries"


def test_settings_from_before_levels_mix_them_all():
    asked = EditRequest(1)
    old = asked.as_settings()
    assert "entries" not in old and "feather" not in old and EditRequest.from_settings(old).entries == ()
    new = EditRequest(1, entries=(2,), feather=0.5).as_settings()
    assert new["entries"] == [2] and new["feather"] == 0.5 and EditRequest.from_settings(new).entries == (2,)


@pytest.mark.parametrize("tau", [0.4, 0.0])
def test_a_reference_by_inversion(bench, tau):
    picture = shapes.images([3], 16)[0]
    shown = []
    asked = EditRequest(
        1,
        reference="picture",
        picture=picture,
        encoding="inversion",
        tau=tau,
        ratio=1.0,
        region="whole",
        bands=(0, 1, 2),
    )
    r = bench.edit(asked, lambda share, picture: shown.append(share))
    given = torch.from_numpy(picture.transpose(2, 0, 1))[None].float() / 127.5 - 1
    sigma = float(sigma_of_tau(tau))
    with torch.no_grad():
        state = given
        if tau:
            grid = karras_sigmas(1 + math.ceil(17 * tau), sigma_max=sigma).flip(0)
            state = invert_ode(lambda x, s: bench.teacher(x, s, None), given, grid).x
            assert shown[-1] == pytest.approx(1)
        made = bench.model.decode(bench.model.evolve(bench.model.encode(state, sigma), tau, 0.0))
    assert np.abs(to_bytes(made)[0].permute(1, 2, 0).numpy().astype(int) - r.encoded).max() <= 1
    with pytest.raises(UserError) as e:
        Workbench(bench.model).edit(asked)
    assert e.value.field == "encoding"


def test_defaults_are_the_cards_where_it_has_some():
    model = random_pair()[0]
    usual = {"bands": EditRequest(0).bands, "edges": EditRequest(0).edges, "order": "alpha", "tau": 0.5}
    for card, wanted in (
        ({}, usual),
        ({"metrics": {"edit-choice": {"bands": [1, 2], "tau": 0.2}}}, usual | {"bands": (1, 2), "tau": 0.2}),
        ({"metrics": {"edit-choice": {"bands": [7], "tau": 0.2}}}, usual), ({"metrics": {"edit-choice": []}}, usual),
    ):  # fmt: skip
        model.card = card
        assert Workbench(model).edit_defaults() == wanted
