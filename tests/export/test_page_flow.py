"""The flow lab of the page, in Node: every sampler ends where Python's does, on nets and on closed forms."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.export import web, web_flow
from analysis.flow.points import Flow2DRequest
from analysis.studio import Studio
from flow_core.samplers import METHODS

POINTS = 64
SHARED = ("density", "drawing", "seed", "points", "grid")
SETTING = ("path", "sampler", "nfe", "sigma0", "gamma1", "gamma2", "gamma3", "net")
ASKED = {
    **{f"{s} on a net": {"path": "idff", "sampler": s, "nfe": 6, "gamma1": 0.7, "net": "shipped"} for s in METHODS},
    **{f"{s} on a velocity": {"path": "otcfm", "sampler": s, "nfe": 7, "net": "shipped"} for s in METHODS},
    **{f"{s} on a mixture": {"path": "idff", "sampler": s, "nfe": 5, "net": "oracle", "sigma0": 0.5} for s in METHODS},
    "taylor2 on cells": {"path": "icfm", "sampler": "taylor2", "nfe": 6, "net": "oracle", "density": "checkerboard"},
    "cosine": {"path": "idff", "sampler": "rk4p", "nfe": 10, "grid": "cosine", "net": "shipped"},
    **{
        f"order {k} of {s} on {net}": {
            "path": "idff", "sampler": s, "nfe": 6, "net": net, "gamma1": 0.3,
            **{f"gamma{k}": -0.4, f"gamma{k - 1}": 0.2},
        }
        for k in (2, 3) for s in ("published", "momentum") for net in ("shipped", "oracle")
    },
    "order 3 on cells": {
        "path": "idff", "sampler": "momentum", "nfe": 5, "net": "oracle", "density": "checkerboard", "gamma3": 0.2,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the page's worker says to every question."""
    esbuild = web.PAGE_SOURCE / "node_modules" / ".bin" / "esbuild"
    if shutil.which("node") is None or not esbuild.exists():
        pytest.skip("no Node on this machine, or the page's tools are not installed: npm ci in web/")
    folder = tmp_path_factory.mktemp("flow")
    web_flow.write_flow(folder)
    asked = []
    for fields in ASKED.values():
        plain = request_of(fields).as_settings()
        asked.append({"shared": {k: plain[k] for k in SHARED}, "setting": {k: plain[k] for k in SETTING}})
    (folder / "asked.json").write_text(json.dumps({"folder": str(folder), "asked": asked}))
    script, built = Path(__file__).with_name("flow_check.ts"), folder / "check.mjs"
    bundle = [str(esbuild), str(script), "--bundle", "--format=esm", "--platform=node", "--log-level=error"]
    subprocess.run([*bundle, f"--outfile={built}"], check=True, timeout=120)
    ran = subprocess.run(
        ["node", str(built), str(folder / "asked.json")], capture_output=True, text=True, check=True, timeout=280
    )
    return dict(zip(ASKED, json.loads(ran.stdout), strict=True))


def request_of(fields):
    return Flow2DRequest(**{"density": "8gaussians", "points": POINTS, "gamma1": 0.5} | fields)


@pytest.fixture(scope="module")
def flows():
    return Studio().points


@pytest.mark.parametrize("name", ASKED)
def test_points_end_where_pythons_do(answers, flows, name):
    request = request_of(ASKED[name])
    try:
        right = flows.flow_2d(request)
    except UserError:
        assert isinstance(answers[name], str)  # a sentence here, too
        return
    said = answers[name]
    assert not isinstance(said, str), said
    assert said["nfe"] == right.nfe
    np.testing.assert_allclose(said["times"], right.times, atol=1e-12)
    np.testing.assert_allclose(np.reshape(said["end"], (-1, 2)), right.points, atol=2e-4)
    assert said["mmd2"] == pytest.approx(right.numbers.mmd2, abs=2e-5)
    assert np.abs(right.points - right.trajectories[:, 0]).max() > 1
