"""The HTTP endpoint of the time series: what it returns, its limits, and that hostile calls get one sentence."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from analysis.series.forecast import ForecastRequest
from analysis.studio import Studio
from tests.analysis.series.forecasts import bench_on
from tests.ui.api.asking import client_with, functions, refuses_over_http


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield bench_on(tmp_path_factory.mktemp("series"), patch)


@pytest.fixture(scope="module")
def client(bench):
    with client_with(Studio(series=bench), "forecast") as client:
        yield client


def test_one_endpoint(client):
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == {"/forecast"}


def test_forecast(client, bench):
    out = client.predict(
        model="small", start=0.4, horizon=2, members=4, nfe=3, method="published", gammas=[0.2, -0.5], seed=7,
        every_member=True, api_name="/forecast",
    )  # fmt: skip
    r = bench.forecast(ForecastRequest("small", 0.4, 2, 4, 3, "published", (0.2, -0.5), 7))
    assert (out["nfe"], out["derivatives"]) == (3, r.derivatives) and out["start"] == r.start and out["maps"] is None
    for name in ("truth", "mean", "quantiles", "members", "past", "times", "past_times"):
        assert np.allclose(out[name], getattr(r, name)), name
    for name, marks in r.marks.items():
        assert math.isclose(out["marks"][name]["crps_fair"], marks.crps_fair)
        assert np.allclose(out["marks"][name]["by_lead"], marks.by_lead)
    assert out["models"] == ["lorenz", "alanine", "field", "small"] and out["reference"] == "damped persistence"
    assert out["usual"] == {"this model": 0.25, "damped persistence": 0.5} and out["in_sample"] is False


def test_defaults_are_enough(client):
    out = client.predict(api_name="/forecast")
    assert out["model"] == "lorenz" and out["members"] is None and len(out["truth"]) > 0


def test_maps_have_null_on_land_and_dates_are_text(bench):
    out = functions(Studio(series=bench)).forecast("field", 0.0, 2, members=3, maps=True)
    assert out["times"] == ["2017-07", "2017-08"] and out["maps"]["mean"][0][1][2] is None
    assert out["maps"]["truth"][1][0][0] is not None and len(out["maps"]["longitudes"]) == 5
    json.dumps(out, allow_nan=False)


HOSTILE = [
    ({"model": "../../etc/passwd"}, "model"),
    ({"start": 2}, "start"),
    ({"horizon": 10**9}, "horizon"),
    ({"model": "small", "horizon": 100}, "horizon"),
    ({"members": 10**6}, "members"),
    ({"nfe": 0}, "nfe"),
    ({"method": "x"}, "method"),
    ({"gammas": []}, "gammas"),
    ({"gammas": [1e9]}, "gammas"),
    ({"gammas": ["x"]}, "gammas"),
    ({"seed": -1}, "seed"),
    ({"maps": "yes"}, "maps"),
]


@pytest.mark.parametrize(("arguments", "field"), HOSTILE, ids=lambda v: str(v)[:40])
def test_a_hostile_call_gets_one_sentence(client, arguments, field):
    with refuses_over_http(field):
        client.predict(**arguments, api_name="/forecast")
