"""Answers about directions: pictures recomputed from the direction itself, and what is refused."""

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.koopman import directions, editing
from analysis.koopman.jacobian import flat, unflat
from analysis.workbench import directions as answers
from analysis.workbench.directions import DirectionRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.pictures import to_bytes
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.operator import sigma_of_tau
from tests.analysis.conftest import random_pair


@pytest.fixture(scope="module", autouse=True)
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "STD_NOISES", 6)
        patch.setattr(answers, "MEAN_SCENES", 24)
        yield


@pytest.fixture(scope="module")
def bench():
    bench = Workbench(*random_pair())
    bench.model.card = {"data": {"spec": "shapes"}}
    return bench


@torch.no_grad()
def latents(model, seeds):
    x = SIGMA_MAX * noise(seeds, model.picture_shape)
    return flat(model.evolve(model.encode(x, SIGMA_MAX), 1.0, 0.0))


def same(picture, array):
    return np.abs(to_bytes(picture)[0].permute(1, 2, 0).numpy().astype(int) - array).max() <= 1


def test_a_factor_is_walked_in_standard_deviations_and_transferred(bench):
    model = bench.model
    asked = DirectionRequest(3, contrast="size", strengths=(-1.0, 2.0), transfer=(8,), tau=0.4, region="lower-half")
    shares = []
    r = bench.direction(asked, lambda share, _: shares.append(share))
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    d = directions.factor_direction(model, "shapes", "size", 0.4, 24)
    unit = d / d.norm()
    spread = float((latents(model, range(FIRST_SEED, FIRST_SEED + 6)) @ unit).std())
    assert r.spread == pytest.approx(spread, rel=1e-3)
    region = editing.region_mask("lower-half", 16, 16).double()
    with torch.no_grad():
        for i, (seed, pictures) in enumerate(((3, r.pictures), (8, r.transfer[0]))):
            z = latents(model, [seed])
            levels = [e.shape for e in model.spectrum()]
            whole = model.decode(unflat(z, levels)).double().clamp(-1, 1)
            for n, s in enumerate(asked.strengths):
                moved = model.decode(unflat(z + s * spread * unit, levels))
                assert same(moved, pictures[n])
                change = (moved.double().clamp(-1, 1) - whole).square().mean(1)
                assert r.inside[i, n] == pytest.approx(float((change * region).sum() / region.sum()), rel=1e-2)
                rest = float((change * (1 - region)).sum() / (1 - region).sum())
                assert r.outside[i, n] == pytest.approx(rest, rel=1e-2)
    assert r.place.sum() == pytest.approx(1) and r.place.shape == (5, 3) and r.nfe == 0


def test_classes_by_their_means(monkeypatch):
    bench = Workbench(random_pair(1, classes=3)[0])
    means = {c: [torch.randn(1, *e.shape, generator=torch.Generator().manual_seed(c)) for e in bench.entries]
             for c in (0, 2)}  # fmt: skip
    monkeypatch.setattr(bench, "mean", lambda label, progress=None: means[label])
    r = bench.direction(DirectionRequest(1, class_from=0, class_to=2, strengths=(1.0,)))
    with torch.no_grad():
        a, b = (flat(bench.model.evolve(means[c], 1.0, 0.0))[0] for c in (0, 2))
        z = latents(bench.model, [1])
        moved = bench.model.decode(unflat(z + r.spread * (b - a) / (b - a).norm(), [e.shape for e in bench.entries]))
    assert same(moved, r.pictures[0])
    with pytest.raises(UserError) as e:
        bench.direction(DirectionRequest(1, class_from=0, class_to=3))
    assert e.value.field == "class_to"


def test_the_decoders_direction_changes_its_region_first(bench):
    asked = DirectionRequest(3, method="decoder", count=2, region="lower-left-quadrant", rest=3, strengths=(0.2,))
    r = bench.direction(asked)
    assert r.values.shape == (2,) and r.values[0] >= r.values[1] > 0
    assert r.inside[0, 0] > r.outside[0, 0]
    again = bench.direction(asked)
    assert np.array_equal(r.pictures, again.pictures)


def test_groups_of_modes(bench):
    r = bench.direction(DirectionRequest(3, method="groups", count=3, index=1, strengths=(0.0, 1.0)))
    assert len(r.modes) == len(r.values) <= 3 and r.modes.sum() <= sum(e.alpha.numel() for e in bench.entries)
    # rows of a batch may differ by rounding
    assert r.inside[0, 0] < 1e-12 < r.inside[0, 1] and np.isnan(r.outside).all()


def test_the_teachers_direction_is_walked_by_its_ode(bench):
    asked = DirectionRequest(
        3, method="teacher", count=2, region="lower-half", tau=0.5, strengths=(1.0,), transfer=(4,)
    )
    r = bench.direction(asked)
    sigma = float(sigma_of_tau(0.5))
    assert r.spread == pytest.approx(sigma) and r.nfe == 2 * answers.TEACHER_STEPS - 1 and r.place is None
    grid = karras_sigmas(answers.TEACHER_STEPS, sigma_max=sigma)
    found = bench.cache  # the direction is kept; take it from there
    key = next(k for k in found._items if isinstance(k, tuple) and k[:2] == ("direction", "teacher"))
    d = found.find(key).direction
    with torch.no_grad():
        state = editing.ode_states(bench.teacher, [4], sigma).x
        moved = heun_sample(bench.teacher, state + sigma * (d / d.norm()).view(state.shape), grid).x
    assert same(moved, r.transfer[0, 0])


def test_what_is_refused(bench):
    for values, field in (
        ({"contrast": "weather"}, "contrast"), ({}, "contrast"), ({"method": "decoder", "index": 5}, "index"),
        ({"contrast": "size", "region": "painted"}, "mask"), ({"contrast": "size", "strengths": (30.0,)}, "strengths"),
    ):  # fmt: skip
        with pytest.raises(UserError) as e:
            bench.direction(DirectionRequest(1, **values))
        assert e.value.field == field
    alone = Workbench(random_pair()[0])
    with pytest.raises(UserError) as e:
        alone.direction(DirectionRequest(1, method="teacher"))
    assert e.value.field == "method"
    with pytest.raises(UserError) as e:
        alone.direction(DirectionRequest(1, contrast="size"))
    assert e.value.field == "contrast"
