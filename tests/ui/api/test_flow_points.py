"""The HTTP endpoints of the Flow lab: what they return, their limits, and that hostile calls get one sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from analysis.flow.points import Flow2DRequest, PointFlows
from analysis.flow.transport import TransportRequest
from analysis.studio import Studio
from flow_core.samplers import METHODS
from tests.ui.api.asking import client_with, functions, refuses_over_http
from ui.api import answers


@pytest.fixture(scope="module")
def client():
    with client_with(Studio(), "flow_2d", "train_toy", "likelihood", "transport") as client:
        yield client


def test_the_endpoints(client):
    offered = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert offered == {"/flow_2d", "/train_toy", "/likelihood", "/transport"}


def test_transport(client):
    out = client.predict(density="moons", sizes=[2, 8], seed=3, api_name="/transport")
    r = PointFlows().transport(TransportRequest("moons", sizes=(2, 8), seed=3))
    assert out["sizes"] == [2, 8]
    for name in ("cost", "mmd2", "spread", "scatter"):
        assert np.allclose(out[name], getattr(r, name), atol=1e-5), name
    with refuses_over_http("limit"):
        client.predict(sizes=[1, 2, 3, 4, 5], seeds=8, api_name="/transport")


def test_flow_2d(client):
    out = client.predict(
        sampler="published", gamma2=-0.5, points=32, net="oracle", trajectories=True, api_name="/flow_2d"
    )
    r = PointFlows().flow_2d(Flow2DRequest(sampler="published", gamma2=-0.5, points=32, net="oracle"))
    assert out["nfe"] == 5 and out["derivatives"] == r.derivatives == 4 and out["net"] == "oracle"
    assert np.allclose(out["points"], r.points, atol=1e-4) and np.allclose(
        out["trajectories"], r.trajectories, atol=1e-4
    )
    for name in ("numbers", "floor", "oracle"):
        for of in ("mmd2", "mmd2_biased", "w2"):
            assert math.isclose(out[name][of], getattr(getattr(r, name), of), abs_tol=1e-5)


@pytest.mark.parametrize("sampler", METHODS)
def test_calls_asked_are_calls_spent(client, sampler):
    for nfe in (1, 7, 50):
        out = client.predict(sampler=sampler, nfe=nfe, points=16, net="oracle", api_name="/flow_2d")
        assert out["nfe"] == nfe


def test_train_toy_and_what_it_trained(client):
    out = client.predict("drawn", "idff", 0.2, 60, 16, 0, [[0, 1], [1, 0]], api_name="/train_toy")
    assert out["step"] == out["steps"] == 60 and [s for s, _ in out["losses"]] == [50, 60]
    again = client.predict(density="drawn", drawing=[[0, 1], [1, 0]], points=16, net=out["key"], api_name="/flow_2d")
    assert again["net"] == out["key"] and again["trajectories"] is None and len(again["points"]) == 16


def test_a_training_out_of_time_comes_back_with_what_it_has(monkeypatch):
    monkeypatch.setattr(answers, "TRAINING_SECONDS", -1)
    bench = PointFlows()
    out = functions(Studio(points=bench)).train_toy("moons", "icfm", steps=1000, width=16)
    assert out["step"] == 50 and bench.trained == (out["key"],)
    json.dumps(out, allow_nan=False)


def test_the_likelihood_stands_beside_the_exact_density(client):
    point = [4.0, 1.0]
    out = client.predict(point=point, net="oracle", api_name="/likelihood")
    angles, variance = np.arange(8) * np.pi / 4, 0.1**0.5
    squares = (point[0] - 5 * np.cos(angles)) ** 2 + (point[1] - 5 * np.sin(angles)) ** 2
    exact = math.log(np.mean(np.exp(-squares / (2 * variance))) / (2 * math.pi * variance))
    assert math.isclose(out["exact_log_prob"], exact, abs_tol=1e-9)
    assert math.isclose(out["exact_bits_per_dim"], -exact / (2 * math.log(2)), abs_tol=1e-9)
    assert math.isclose(out["log_prob"], exact, abs_tol=0.02)
    assert math.isclose(out["bits_per_dim"], -out["log_prob"] / (2 * math.log(2)), abs_tol=1e-9)
    assert (out["nfe"], out["derivatives"], out["net"], len(out["latent"])) == (4 * 32, 8 * 32, "oracle", 2)


def test_where_the_density_is_zero_there_is_no_number(client):
    out = client.predict(density="checkerboard", point=[9, 9], steps=4, net="oracle", api_name="/likelihood")
    assert out["exact_log_prob"] is None and out["exact_bits_per_dim"] is None


HOSTILE = [
    ("/flow_2d", {"nfe": 0}, "nfe"),
    ("/flow_2d", {"nfe": 10**30}, "nfe"),
    ("/flow_2d", {"gamma1": 1e6}, "gamma1"),
    ("/flow_2d", {"sigma0": 0}, "sigma0"),
    ("/flow_2d", {"density": "../etc/passwd"}, "density"),
    ("/flow_2d", {"density": "drawn", "drawing": [[1] * 200] * 200}, "drawing"),
    ("/flow_2d", {"density": "drawn", "drawing": [[1, "x"], [1]]}, "drawing"),
    ("/flow_2d", {"points": 10**6}, "points"),
    ("/flow_2d", {"net": "../x"}, "net"),
    ("/flow_2d", {"trajectories": "yes"}, "trajectories"),
    ("/train_toy", {"steps": 10**6}, "steps"),
    ("/train_toy", {"width": 4096}, "width"),
    ("/train_toy", {"path": "x"}, "path"),
    ("/likelihood", {"point": [0]}, "point"),
    ("/likelihood", {"point": [0, 1e9]}, "point"),
    ("/likelihood", {"steps": 65}, "steps"),
]


@pytest.mark.parametrize(("name", "arguments", "field"), HOSTILE, ids=lambda v: str(v)[:40])
def test_a_hostile_call_gets_one_sentence(client, name, arguments, field):
    with refuses_over_http(field):
        client.predict(**arguments, api_name=name)
