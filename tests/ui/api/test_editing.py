"""/edit, /inpaint and /colorize through the real client, on a page that has nothing else."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from analysis.core.images import png_base64
from analysis.koopman.restoration import HoleNumbers
from analysis.studio import Studio
from analysis.workbench.editing import EditRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from tests.ui.api.asking import client_with, refuses_over_http
from ui.api.codec import jsonable
from ui.api.endpoints import BY_NAME
from ui.components.painter import hole
from ui.components.picture_chooser import photograph

CAT = photograph("cat", 16)
HOLE = hole("left half", 16)
CAT_TEXT, HOLE_TEXT = png_base64(CAT), png_base64(HOLE[..., None])


@pytest.fixture(scope="module")
def client(library):

    with client_with(Studio(library=library), "edit", "inpaint", "colorize") as client:
        yield client


def picture(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_edit_is_the_workbenchs(client, library):
    out = client.predict(
        "tiny", 3, -1, "picture", 1, -1, CAT_TEXT, "noise", 2, 0.4, [0.2, 0.6], [0, 2], "abs", 0.7, "painted",
        HOLE_TEXT, api_name="/edit",
    )  # fmt: skip
    r = library.get("tiny").edit(
        EditRequest(3, -1, "picture", 1, -1, CAT, "noise", 2, 0.4, (0.2, 0.6), (0, 2), "abs", 0.7, "painted", HOLE)
    )
    for name in ("original", "edited", "control", "reference", "encoded"):
        assert np.array_equal(picture(out[name]), getattr(r, name))
    assert np.array_equal(np.stack([picture(p) for p in out["strip"]]), r.strip)
    assert out["numbers"]["low_distance"] == pytest.approx(r.numbers.low_distance)
    assert out["numbers_control"]["outside"] == pytest.approx(r.numbers_control.outside)
    assert out["sigma"] == pytest.approx(r.sigma) and out["share"] == pytest.approx(r.share)


def test_inpaint_and_colorize_are_the_workbenchs(client, library):
    out = client.predict("tiny", CAT_TEXT, HOLE_TEXT, 5, -1, 3, "iterative", 0.5, True, True, api_name="/inpaint")
    r = library.get("tiny").inpaint(InpaintRequest(CAT, HOLE, 5, -1, 3))
    assert np.array_equal(picture(out["picture"]), r.picture) and np.array_equal(picture(out["given"]), r.given)
    assert len(out["frames"]) == 3 and out["nfe"] == 3 and out["sigma"] == pytest.approx(r.sigma.tolist())
    assert out["numbers"]["psnr"] == pytest.approx(r.numbers.psnr)
    out = client.predict("tiny", f"data:image/png;base64,{CAT_TEXT}", 5, -1, 2, False, api_name="/colorize")
    r = library.get("tiny").colorize(ColorizeRequest(CAT, 5, -1, 2, False))
    assert np.array_equal(picture(out["picture"]), r.picture) and out["numbers"] is None and out["frames"] == []


def test_defaults_are_enough_for_an_edit(client):
    out = client.predict("tiny", api_name="/edit")
    assert out["strip_ratios"] == [0.1, 0.2, 0.5, 0.8, 0.9] and picture(out["edited"]).shape == (16, 16, 3)


def test_no_infinity_leaves_the_house():
    numbers = jsonable(HoleNumbers(float("inf"), 1.0, None))
    assert numbers == {"psnr": None, "ssim": 1.0, "lpips": None}
    assert json.dumps(numbers, allow_nan=False)


def test_the_docstrings_are_what_callers_read(client):
    offered = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(offered) == {"/edit", "/inpaint", "/colorize"}
    assert "white = UNKNOWN" in BY_NAME["inpaint"].about


HOSTILE = [
    ("/edit", ["nobody"], "model"),
    ("/edit", ["tiny", -1], "seed"),
    ("/edit", ["tiny", 0, -1, "file"], "reference"),
    ("/edit", ["tiny", 0, -1, "picture"], "picture"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, CAT_TEXT], "picture"),
    ("/edit", ["tiny", 0, -1, "picture", 1, -1, "/etc/passwd"], "picture"),
    ("/edit", ["tiny", 0, -1, "picture", 1, -1, {"path": "/etc/passwd"}], "picture"),
    ("/edit", ["tiny", 0, -1, "scene", 1, -1, "", "latent"], "encoding"),
    ("/edit", ["tiny-classes", 0, -1, "seed", 1, -1, "", "ode"], "encoding"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, "", "noise", 0, 2], "tau"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, "", "noise", 0, 0.5, [0.9, 0.1]], "edges"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, "", "noise", 0, 0.5, [0.5], [7]], "bands"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, "", "noise", 0, 0.5, [0.5], 1], "bands"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, "", "noise", 0, 0.5, [0.5], [1], "alpha", 9], "ratio"),
    ("/edit", ["tiny", 0, -1, "seed", 1, -1, "", "noise", 0, 0.5, [0.5], [1], "alpha", 1, "painted"], "mask"),
    ("/inpaint", ["tiny"], "picture"),
    ("/inpaint", ["tiny", CAT_TEXT], "mask"),
    ("/inpaint", ["tiny", CAT_TEXT, "http://localhost/mask.png"], "mask"),
    ("/inpaint", ["tiny", CAT_TEXT, png_base64(np.zeros((8, 8, 1), np.uint8))], "mask"),
    ("/inpaint", ["tiny", CAT_TEXT, HOLE_TEXT, 0, -1, 10**9], "steps"),
    ("/inpaint", ["tiny", CAT_TEXT, HOLE_TEXT, 0, -1, 3, "magic"], "method"),
    ("/inpaint", ["tiny", CAT_TEXT, HOLE_TEXT, 0, -1, 3, "latent", 0.5, "yes"], "truth"),
    ("/colorize", ["tiny", [CAT_TEXT]], "picture"),
    ("/colorize", ["tiny", CAT_TEXT, 0, 5], "label"),
]


@pytest.mark.parametrize(("name", "arguments", "field"), HOSTILE, ids=lambda v: str(v)[:40])
def test_a_hostile_call_gets_one_sentence(client, name, arguments, field):
    with refuses_over_http(field):
        client.predict(*arguments, api_name=name)
