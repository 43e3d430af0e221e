"""Questions of flows in the plane from another source than noise: closed form, live training, recipes, refusals."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.flow.nets import TrainRequest, _key
from analysis.flow.points import Flow2DRequest, PointFlows, SweepRequest
from analysis.flow.settings import SideBySideRequest
from analysis.recipes.recipe import request_of, settings_of
from flow_core.densities.toys import toy
from tests.refusals import refuses

RING = ((0, 1, 0), (1, 0, 1), (0, 1, 0))


@pytest.fixture(scope="module")
def bench():
    return PointFlows()


def asked(**kwargs):
    return Flow2DRequest(**{"density": "moons", "source": "8gaussians", "path": "icfm", "points": 64, **kwargs})


def test_points_begin_at_the_source_and_end_at_the_density(bench):
    result = bench.flow_2d(asked(sampler="heun", nfe=30, points=512))
    assert result.net == "oracle" and result.nfe == 30 and result.numbers.mmd2 < 0.01
    start = torch.from_numpy(result.trajectories[:, 0]).double()
    far = torch.cdist(start, toy("8gaussians").density.means).min(1).values
    assert float((far < 2).double().mean()) > 0.95
    again = bench.flow_2d(asked(sampler="euler", nfe=2, points=512))
    np.testing.assert_array_equal(again.trajectories[:, 0], result.trajectories[:, 0])
    jumped = bench.flow_2d(asked(path="meanflow", nfe=1, points=64))
    assert jumped.nfe == 1 and jumped.net == "oracle"


def test_a_net_from_a_drawing_to_a_drawing(bench):
    request = TrainRequest(
        "drawn", drawing=RING, path="otcfm", source="drawn", source_drawing=RING[::-1], steps=50, width=32
    )
    step = list(bench.train_toy(request))[-1]
    assert step.finished and step.numbers is not None
    question = asked(
        density="drawn", drawing=RING, source="drawn", source_drawing=RING[::-1], path="otcfm", net=step.key
    )
    result = bench.flow_2d(question)
    assert result.net == step.key and result.oracle is None
    assert np.abs(result.trajectories[:, 0]).max() <= 4
    with refuses("net"):
        bench.flow_2d(dataclasses.replace(question, source="normal", source_drawing=None))
    with refuses("net"):
        bench.flow_2d(dataclasses.replace(question, path="icfm", net="auto"))


def test_a_training_from_noise_keeps_its_key():
    """Keys say all of a training; those of before there were sources are still right."""
    said = {
        "density": "8gaussians",
        "drawing": None,
        "path": "idff",
        "seed": 0,
        "sigma0": 0.2,
        "steps": 25,
        "width": 16,
    }
    digest = hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest()[:16]
    assert _key(TrainRequest(steps=25, width=16), 25) == f"trained-{digest}-25"
    assert _key(TrainRequest(path="icfm", source="moons"), 25) != _key(TrainRequest(path="icfm"), 25)


@pytest.mark.parametrize("changes,field", [
    ({"path": "idff"}, "source"), ({"path": "vp"}, "source"), ({"source": "cat"}, "source"),
    ({"source": "drawn"}, "source_drawing"), ({"source_drawing": RING}, "source_drawing"),
])  # fmt: skip
def test_refusals(changes, field):
    with pytest.raises(UserError) as e:
        asked(**changes)
    assert e.value.field == field


def test_what_ships_begins_at_noise(bench):
    with refuses("net"):
        bench.flow_2d(asked(net="shipped"))
    with refuses("settings"):
        SweepRequest((asked(), asked(source="normal")))
    swept = bench.sweep(SweepRequest((asked(points=64),), nfes=(1, 4), gammas=(), seeds=2))
    assert np.isfinite(swept.by_nfe).all() and np.isfinite(swept.oracle_by_nfe).all()


def test_a_recipe_says_a_source_only_where_there_is_one():
    plain = SideBySideRequest((Flow2DRequest(path="icfm", points=64), None))
    said = settings_of("flow_2d", plain)
    assert "source" not in said and "source" not in said["settings"][0]
    assert request_of(said) == ("flow_2d", plain)
    moved = SideBySideRequest((asked(), asked(nfe=9)))
    said = settings_of("flow_2d", moved)
    assert said["source"] == "8gaussians" and "source_drawing" not in said
    assert request_of(said) == ("flow_2d", moved)
    drawn = SideBySideRequest((asked(source="drawn", source_drawing=RING),))
    assert request_of(settings_of("flow_2d", drawn)) == ("flow_2d", drawn)
