"""The HTTP endpoints about effects: what they return, their limits, and that hostile calls get one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.studio import Studio
from analysis.workbench.effects import EffectRequest
from analysis.workbench.probes import AttributionRequest, LinearityRequest
from analysis.workbench.signatures import SignatureRequest
from analysis.workbench.spectrum import ModeRequest, SurgeryRequest
from analysis.workbench.workbench import Workbench
from foundation.networks.unet import UNetConfig
from koopman_core.model import KoopmanDiffusion
from tests.refusals import refuses
from tests.ui.api.asking import client_with, functions, refuses_over_http
from tests.ui.api.test_endpoints import picture
from tests.ui.conftest import SIZE
from ui.api.codec import jsonable
from ui.api.endpoints import BY_NAME


@pytest.fixture(scope="module")
def endpoints(library):
    return functions(Studio(library=library))


@pytest.fixture(scope="module")
def client(library):
    names = ("cumulative_effect", "mode", "linearity", "attribution", "signatures", "surgery")
    with client_with(Studio(library=library), *names) as client:
        yield client


def test_endpoints_whose_defaults_are_enough(client):
    offered = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert offered == {"/cumulative_effect", "/mode", "/linearity", "/attribution", "/signatures", "/surgery"}
    assert len(client.predict("tiny", api_name="/surgery")["modes"]) == 3
    assert client.predict("tiny", [1], api_name="/cumulative_effect")["bands_sd"] == [[None] * 64] * 3


def test_cumulative_effect(client, library):
    out = client.predict("tiny", [1, 2], -1, [0.5], "abs", "energy", 5, 2, api_name="/cumulative_effect")
    r = library.get("tiny").cumulative_effect(EffectRequest((1, 2), -1, (0.5,), "abs", "energy", 5, 2))
    for name in (
        "tau",
        "sigma",
        "bands",
        "bands_sd",
        "levels",
        "joint",
        "decoded_tau",
        "decoded_bands",
        "decoded_levels",
    ):
        assert np.allclose(out[name], getattr(r, name))
    assert out["names"] == list(r.names) and out["kind"] == "energy" and out["moves"] is True


def test_mode(client, library):
    out = client.predict("tiny", 4, -1, 1, [9, 2], 0.5, 3, api_name="/mode")
    r = library.get("tiny").mode(ModeRequest(4, 1, (2, 9), -1, 0.5, 3))
    assert out["index"] == [2, 9] and np.allclose(out["half_life"], r.half_life) and out["name"] == "skip 1"
    assert np.array_equal(picture(out["contribution"]), r.contribution) and out["magnification"] == r.magnification


def test_what_is_infinite_is_null():
    idle = Workbench(KoopmanDiffusion(UNetConfig(**SIZE)))  # untrained: alpha = beta = 0
    out = functions(Studio(library=SimpleNamespace(get=lambda name: idle))).mode("", 0, -1, 0, [0, 1])
    assert out["half_life"] == out["period"] == [None, None]
    json.dumps(out, allow_nan=False)
    assert jsonable(np.array([np.inf, 1.0, np.nan])) == [None, 1.0, None]


def test_linearity(client, library):
    out = client.predict("tiny", [1, 2], -1, 4, True, 3, api_name="/linearity")
    r = library.get("tiny").linearity(LinearityRequest((1, 2), -1, 4, True, 3))
    assert np.allclose(out["learned"], r.learned) and np.allclose(out["mse"]["fitted"], r.mse["fitted"])
    assert np.allclose(out["differences"]["learned"], r.differences["learned"])
    assert np.allclose(out["common"], r.common)
    assert len(out["dmd"]) == len(out["names"]) and np.allclose(out["dmd"][0]["alpha"], r.dmd[0].alpha)
    json.dumps(out, allow_nan=False)
    bare = client.predict("tiny", [1], -1, 4, False, 0, api_name="/linearity")
    assert (
        bare["differences"] is None
        and bare["common"] is None
        and bare["dmd"] is None
        and bare["mse"] is None
        and bare["spread"][0][0] is None
    )


def test_attribution(client, library):
    out = client.predict("tiny", 8, 1.0, True, [0.5], "alpha", ["place", "everything"], 2, api_name="/attribution")
    r = library.get("tiny").attribution(AttributionRequest(8, 1.0, True, (0.5,), "alpha", ("place", "everything"), 2))
    assert out["rows"] == ["place", "everything"] and out["pairs"] == [8, 8]
    assert np.allclose(out["share"], r.share) and np.allclose(out["bands_low"], r.bands_low)


def test_signatures(client, library):
    out = client.predict("tiny-classes", "", 8, [0.5], "alpha", 3, api_name="/signatures")
    r = library.get("tiny-classes").signatures(SignatureRequest("", 8, (0.5,), "alpha", 3))
    assert out["groups"] == list(r.groups) and np.allclose(out["hits"], r.hits) and "energies" not in out
    assert np.allclose(out["profile"], r.profile) and out["own"] == r.own and out["chance"] == pytest.approx(r.chance)


def test_surgery(client, library):
    out = client.predict("tiny", 3, -1, [0.5], "abs", [2, 1], [0, 0.5], [], [1, 0], [1], 0.2, api_name="/surgery")
    r = library.get("tiny").surgery(SurgeryRequest(3, -1, (0.5,), "abs", (2, 1), (0, 0.5), (), (1, 0), (1,), 0.2))
    assert np.array_equal(picture(out["altered"]), r.altered) and out["held"] == r.held
    assert out["modes"] == r.modes.tolist() and out["growth"] == pytest.approx(r.growth)


def test_work_is_bounded(endpoints, library):
    with refuses("limit", "32"):
        endpoints.cumulative_effect("tiny", list(range(8)), decoded_times=5)
    with refuses("limit", "96"):
        endpoints.linearity("tiny", list(range(9)), steps=11)
    with refuses("limit", "128"):
        endpoints.attribution("tiny", pairs=200)
    with refuses("limit", "64"):
        endpoints.signatures("tiny-classes", count=65)
    for name, arguments in (
        ("linearity", {"seeds": [31], "steps": 4}), ("cumulative_effect", {"seeds": [31], "decoded_times": 1}),
        ("attribution", {"pairs": 9}),
    ):  # fmt: skip
        hurried = replace(BY_NAME[name], patience=0.0).function(Studio(library=library))
        with refuses("patience"):
            hurried("tiny", **arguments)


HOSTILE = [
    ("/cumulative_effect", ["nothing"], "model"),
    ("/cumulative_effect", ["tiny", "ab"], "seeds"),
    ("/cumulative_effect", ["tiny", []], "seeds"),
    ("/cumulative_effect", ["tiny", [None]], "seeds"),
    ("/cumulative_effect", ["tiny", [0], 3], "label"),
    ("/cumulative_effect", ["tiny", [0], -1, [0.9, 0.1]], "edges"),
    ("/cumulative_effect", ["tiny", [0], -1, [0.5], {"a": 1}], "order"),
    ("/cumulative_effect", ["tiny", [0], -1, [0.5], "alpha", ["arc"]], "kind"),
    ("/cumulative_effect", ["tiny", [0], -1, [0.5], "alpha", "arc", 10**9], "times"),
    ("/mode", ["tiny", 0, -1, 9], "entry"),
    ("/mode", ["tiny", 0, -1, 0, [10**7]], "modes"),
    ("/mode", ["tiny", 0, -1, 0, None], "modes"),
    ("/mode", ["tiny", 0, -1, 0, [0], 2], "tau"),
    ("/linearity", ["tiny-classes"], "teacher"),
    ("/linearity", ["tiny", [0], -1, 4, "yes"], "decoded"),
    ("/linearity", ["tiny", [0], -1, 4, True, 10**6], "dmd_rank"),
    ("/attribution", ["tiny", 8, 1e9], "sigma"),
    ("/attribution", ["tiny", 8, 1.0, False, [0.5], "alpha", ["nonsense"]], "rows"),
    ("/attribution", ["tiny", 8, 1.0, False, [0.5], "alpha", None], "rows"),
    ("/surgery", ["tiny", 0, -1, [0.5], "alpha", [1, 1, 1]], "alpha_scale"),
    ("/surgery", ["tiny", 0, -1, [0.5], "alpha", [99, 1]], "alpha_scale"),
    ("/surgery", ["tiny", 0, -1, [0.5], "alpha", [], [], [], [], [40]], "entries"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "field"), HOSTILE, ids=lambda v: str(v)[:40])
def test_a_hostile_call_gets_one_sentence(client, name, arguments, field):
    with refuses_over_http(field):
        client.predict(*arguments, api_name=name)
