"""The HTTP endpoint of flows of pictures: what it returns, its limits, and that hostile calls get one sentence."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from analysis.flow.images import FlowPicturesRequest, ImageFlows
from analysis.studio import Studio
from tests.refusals import refuses
from tests.ui.api.asking import client_with, functions, refuses_over_http
from tests.ui.api.test_endpoints import picture
from ui.api.endpoints import BY_NAME


@pytest.fixture(scope="module")
def bench(flows_folder) -> ImageFlows:
    return ImageFlows(flows_folder)


@pytest.fixture(scope="module")
def client(bench):
    with client_with(Studio(images=bench), "flow_images") as client:
        yield client


def test_flow_images(client, bench):
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == {"/flow_images"}
    out = client.predict(
        sampler="published", gamma1=0.2, gamma2=0.1, nfe=3, seeds=[1, 4], steps=True, distance=True,
        api_name="/flow_images",
    )  # fmt: skip
    request = FlowPicturesRequest(sampler="published", gamma1=0.2, gamma2=0.1, nfe=3, seeds=(1, 4))
    r, d = bench.flow_pictures(request), bench.distance(request)
    assert (out["nfe"], out["derivatives"], out["net"]) == (3, r.derivatives, "images-shapes") and r.derivatives == 2
    assert np.array_equal(np.stack([picture(p) for p in out["pictures"]]), r.pictures)
    for name, frames in (("x1_hat", r.predictions), ("states", r.states)):
        assert np.array_equal(np.stack([[picture(p) for p in row] for row in out[name]]), frames)
    assert np.array_equal(np.stack([picture(p) for p in out["exact"]]), d.exact)
    assert np.allclose(out["distance"]["mse"], d.mse) and (out["distance"]["lpips"] is None) == (d.lpips is None)


def test_defaults_are_enough(client):
    out = client.predict(api_name="/flow_images")
    assert len(out["pictures"]) == 1 and all(out[k] is None for k in ("x1_hat", "states", "exact", "distance"))


def test_equal_pictures_have_no_decibels(bench, monkeypatch):
    made = bench.flow_pictures(FlowPicturesRequest(seeds=(0,))).pictures
    monkeypatch.setattr(bench, "exact", lambda request, report=None: made)
    out = functions(Studio(images=bench)).flow_images(distance=True)
    assert out["distance"]["mse"] == [0] and out["distance"]["psnr"] == [None]
    json.dumps(out, allow_nan=False)


def test_a_call_that_lasts_too_long_is_given_up(bench):
    hurried = replace(BY_NAME["flow_images"], patience=-1).function(Studio(images=bench))
    with refuses("patience"):
        hurried(seeds=[77], distance=True)


HOSTILE = [
    ({"nfe": 0}, "nfe"),
    ({"nfe": 10**30}, "nfe"),
    ({"seeds": []}, "seeds"),
    ({"seeds": [0] * 9}, "seeds"),
    ({"seeds": [1e300]}, "seeds"),
    ({"gamma1": 1e6}, "gamma1"),
    ({"gamma3": 1.0, "sampler": "published", "nfe": 50, "seeds": [0, 1, 2]}, "nfe"),
    ({"data": "../../etc/passwd"}, "data"),
    ({"path": "otcfm", "sampler": "bridge"}, "sampler"),
    ({"label": 3}, "label"),
    ({"steps": "yes"}, "steps"),
    ({"steps": True, "nfe": 50, "seeds": [0] * 8}, "steps"),
]


@pytest.mark.parametrize(("arguments", "field"), HOSTILE, ids=lambda v: str(v)[:40])
def test_a_hostile_call_gets_one_sentence(client, arguments, field):
    with refuses_over_http(field):
        client.predict(**arguments, api_name="/flow_images")
