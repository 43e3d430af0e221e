"""Guidance of pictures of a class: what is asked, what it costs, its sweep, and recipes that say it."""

import dataclasses

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.core.images import as_pictures
from analysis.flow.image_sweeps import GuidanceSweepRequest, guidance_sweep
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from analysis.flow.settings import SideBySideRequest
from analysis.recipes.recipe import request_of, settings_of
from flow_core.fields import Exact, Prediction
from flow_core.model import FlowConfig, save
from flow_core.samplers import euler
from foundation import noise
from tests.analysis.flow.image_flows import random_flow, write_flows

ASKED = FlowPicturesRequest(data="cifar10", label=1, nfe=4, seeds=(3, 5), guidance=2.5)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return ImageFlows(write_flows(tmp_path_factory.mktemp("flows")))


def by_hand(model, low, high, scale=2.5):
    """Euler's method on the guided x1, written out."""
    labels = torch.tensor([1, 1])

    def f(x, t):
        a, b = model(x, t, labels).x1, model(x, t).x1
        return Prediction(x1=b + scale * (a - b) if low <= float(t) <= high else a)

    return as_pictures(euler(f, noise((3, 5), (3, 16, 16)), Exact(model.path), 4).x, "")


@pytest.mark.parametrize("low,high,calls", [(0.0, 1.0, 8), (0.25, 0.5, 6), (0.9, 1.0, 4)])
def test_the_pictures_and_the_calls(bench, low, high, calls):
    request = dataclasses.replace(ASKED, guidance_from=low, guidance_to=high)
    result = bench.flow_pictures(request)
    assert result.nfe == calls and len(result.times) == 5
    np.testing.assert_array_equal(result.pictures, by_hand(bench.net(request).model, low, high))


def test_without_guidance_nothing_changes(bench):
    plain = bench.flow_pictures(dataclasses.replace(ASKED, guidance=1.0))
    assert plain.nfe == 4
    still = bench.flow_pictures(FlowPicturesRequest(data="cifar10", label=1, nfe=4, seeds=(3, 5)))
    np.testing.assert_array_equal(plain.pictures, still.pictures)
    assert not np.array_equal(plain.pictures, bench.flow_pictures(ASKED).pictures)


def test_the_exact_flow_is_the_guided_one(bench):
    guided, plain = (bench.exact(dataclasses.replace(ASKED, guidance=g)) for g in (2.5, 1.0))
    assert not np.array_equal(guided, plain)
    taylor = bench.flow_pictures(dataclasses.replace(ASKED, sampler="taylor2"))
    assert taylor.nfe == 8


def test_a_net_of_mean_velocities_is_a_choice_beside_the_others(tmp_path):
    mean = random_flow(FlowConfig("meanflow", 0.0, predicts="average", data_std=0.5), 4, classes=3)
    save(mean, tmp_path / "images-shapes-meanflow.flow.safetensors", {}, torch.float32)
    flows = ImageFlows(tmp_path)
    assert flows.kind("shapes").paths == ("meanflow",)
    result = flows.flow_pictures(FlowPicturesRequest(path="meanflow", nfe=1, seeds=(3, 5)))
    x = noise((3, 5), (3, 16, 16))
    with torch.no_grad():
        want = as_pictures(x + mean(x, 0.0, end=1.0).velocity, "")
    np.testing.assert_array_equal(result.pictures, want)
    assert result.nfe == 1 and result.net == "images-shapes-meanflow"
    guided = flows.flow_pictures(FlowPicturesRequest(path="meanflow", nfe=2, seeds=(3,), label=1, guidance=2.0))
    assert guided.nfe == 4


def test_a_sweep_over_scales(bench):
    late = dataclasses.replace(ASKED, guidance_from=0.5)
    swept = guidance_sweep(bench, GuidanceSweepRequest((ASKED, late), scales=(0.0, 1.0, 2.5)))
    assert swept.pictures.shape == (2, 3, 2, 16, 16, 3) and swept.nfe.tolist() == [[8, 4, 8], [6, 4, 6]]
    np.testing.assert_array_equal(swept.pictures[0, 2], bench.flow_pictures(ASKED).pictures)
    np.testing.assert_array_equal(swept.pictures[1, 2], bench.flow_pictures(late).pictures)
    same = 0.0 if swept.measure == "LPIPS" else np.inf
    assert (swept.distance[:, 1] == same).all() and (swept.distance[:, 2] != same).all()


@pytest.mark.parametrize("changes,field", [
    ({"label": -1}, "guidance"), ({"guidance": 25.0}, "guidance"), ({"guidance_from": 0.6, "guidance_to": 0.5},
    "guidance_from"), ({"guidance_to": 1.5}, "guidance_to"), ({"nfe": 50, "seeds": tuple(range(8))}, "nfe"),
])  # fmt: skip
def test_refusals(changes, field):
    with pytest.raises(UserError) as e:
        dataclasses.replace(ASKED, **changes)
    assert (e.value.field or "") == field
    for settings in ((FlowPicturesRequest(),), (ASKED, dataclasses.replace(ASKED, seeds=(1, 2)))):
        with pytest.raises(UserError) as e:
            GuidanceSweepRequest(settings, scales=(1.0,))
        assert e.value.field == "settings"


def test_a_recipe_says_guidance_only_where_there_is_some():
    plain = SideBySideRequest((FlowPicturesRequest(label=1),))
    said = settings_of("flow_images", plain)
    assert not any("guidance" in k for k in said["settings"][0]) and request_of(said) == ("flow_images", plain)
    guided = SideBySideRequest((ASKED, dataclasses.replace(ASKED, guidance=1.0)))
    said = settings_of("flow_images", guided)
    assert said["settings"][0]["guidance"] == 2.5 and "guidance" not in said["settings"][1]
    assert request_of(said) == ("flow_images", guided)
