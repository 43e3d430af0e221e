"""The HTTP endpoints through the real client: what they return, and that hostile calls get one sentence."""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

from analysis.workbench.images import GenerateRequest
from analysis.workbench.spectrum import MaskRequest
from tests.ui.api.asking import assert_sentence, refuses_over_http
from ui.server.limits import MAX_BODY_BYTES


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


def picture(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_only_the_documented_endpoints_are_offered(client):
    offered = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert offered == {
        "/models", "/generate", "/trajectory", "/spectrum", "/mask_bands", "/cumulative_effect", "/mode", "/linearity",
        "/attribution", "/surgery", "/edit", "/inpaint", "/colorize", "/recipe", "/describe", "/flow_2d", "/train_toy",
        "/flow_images", "/forecast", "/invert", "/direction", "/dynamics", "/likelihood", "/atlas", "/walk", "/race",
        "/rank", "/signatures", "/transport",
    }  # fmt: skip


def test_models_lists_readable_models_default_first(client):
    models = client.predict(api_name="/models")
    assert [m["name"] for m in models] == ["tiny", "tiny-classes"]
    assert models[0]["side"] == 16 and models[0]["card"]["metrics"] == {"mse": 0.5}
    assert models[1]["classes"][0] == "cat & dog"


def test_generate_gives_the_workbench_pictures(client, library):
    out = client.predict("tiny", [3, 5], api_name="/generate")
    expected = library.get("tiny").generate(GenerateRequest((3, 5))).pictures
    assert np.array_equal(np.stack([picture(p) for p in out["pictures"]]), expected)
    assert out["nfe"] == 1 and out["seconds"] > 0


def test_defaults_are_enough(client):
    assert len(client.predict(api_name="/generate")["pictures"]) == 1


def test_trajectory_counts_and_lengths(client):
    out = client.predict("tiny", 1, -1, 5, api_name="/trajectory")
    assert out["nfe_model"] == 1 and out["nfe_teacher"] == 9
    assert all(len(out[key]) == 5 for key in ("sigma", "tau", "koopman", "denoised", "state", "mse"))
    assert out["tau"][0] == pytest.approx(1) and out["tau"][-1] == pytest.approx(0)
    assert picture(out["final"]).shape == (16, 16, 3)


def test_trajectory_without_a_teacher_says_null(client):
    out = client.predict("tiny-classes", 1, 2, 4, api_name="/trajectory")
    assert out["denoised"] is None and out["mse"] is None and out["nfe_teacher"] == 0


def test_spectrum_is_the_models(client, library):
    out = client.predict("tiny", 1, api_name="/spectrum")
    entry = library.get("tiny").spectrum().entries[1]
    assert np.allclose(out["alpha"], entry.alpha) and np.allclose(out["beta"], entry.beta)
    assert [level["name"] for level in out["levels"]][-1] == "bottleneck"


def test_mask_bands_is_the_workbenchs(client, library):
    out = client.predict("tiny", 2, -1, [0.5], [0, 1], "abs", [0, 2], api_name="/mask_bands")
    expected = library.get("tiny").mask_bands(MaskRequest(2, -1, (0.5,), (0, 1), "abs", (0, 2)))
    assert np.array_equal(picture(out["masked"]), expected.masked)
    assert out["share"] == pytest.approx(expected.share.tolist())
    assert sum(out["share"]) == pytest.approx(1)


DEEP = 1
for _ in range(200):
    DEEP = [DEEP]
HOSTILE = [
    ("/generate", ["nobody", [0]], "model"),
    ("/generate", ["../../secret", [0]], "model"),
    ("/generate", [["tiny"], [0]], "model"),
    ("/generate", [{"a": 1}, [0]], "model"),
    ("/generate", ["tiny", 7], "seeds"),
    ("/generate", ["tiny", None], "seeds"),
    ("/generate", ["tiny", []], "seeds"),
    ("/generate", ["tiny", list(range(100_000))], "seeds"),
    ("/generate", ["tiny", [1e30]], "seeds"),
    ("/generate", ["tiny", [-1]], "seeds"),
    ("/generate", ["tiny", [0.5]], "seeds"),
    ("/generate", ["tiny", ["abc"]], "seeds"),
    ("/generate", ["tiny", [True]], "seeds"),
    ("/generate", ["tiny", DEEP], "seeds"),
    ("/generate", ["tiny", [0], 0], "label"),
    ("/generate", ["tiny-classes", [0], 3], "label"),
    ("/generate", ["tiny-classes", [0], "ship"], "label"),
    ("/trajectory", ["tiny", None, -1, 18], "seed"),
    ("/trajectory", ["tiny", 0, -1, 10**9], "steps"),
    ("/trajectory", ["tiny", 0, -1, 0], "steps"),
    ("/trajectory", ["tiny", 0, -1, None], "steps"),
    ("/spectrum", ["tiny", 99], "level"),
    ("/spectrum", ["tiny", -1], "level"),
    ("/spectrum", ["tiny", "0"], "level"),
    ("/mask_bands", ["tiny", 0, -1, [0.9, 0.1]], "edges"),
    ("/mask_bands", ["tiny", 0, -1, [0.1, 2]], "edges"),
    ("/mask_bands", ["tiny", 0, -1, "ab"], "edges"),
    ("/mask_bands", ["tiny", 0, -1, [0.3, 0.6], [1, 1]], "gains"),
    ("/mask_bands", ["tiny", 0, -1, [0.3, 0.6], [1, 1, 1e9]], "gains"),
    ("/mask_bands", ["tiny", 0, -1, [0.3, 0.6], [1, 1, None]], "gains"),
    ("/mask_bands", ["tiny", 0, -1, [0.3, 0.6], [1, 1, 1], {"x": []}], "order"),
    ("/mask_bands", ["tiny", 0, -1, [0.3, 0.6], [1, 1, 1], "alpha", [63]], "entries"),
    ("/mask_bands", ["tiny", 0, -1, [0.3, 0.6], [1, 1, 1], "alpha", 3], "entries"),
]


@pytest.mark.parametrize(("name", "arguments", "field"), HOSTILE, ids=lambda v: str(v)[:40])
def test_a_hostile_call_gets_one_sentence(client, name, arguments, field):
    with refuses_over_http(field):
        client.predict(*arguments, api_name=name)


def raw_call(url: str, name: str, body: bytes) -> str:
    """POST a body as it is, and read the answer's last event."""
    request = urllib.request.Request(f"{url}gradio_api/call/{name}", body, {"Content-Type": "application/json"})
    event = json.load(urllib.request.urlopen(request, timeout=20))["event_id"]
    with urllib.request.urlopen(f"{url}gradio_api/call/{name}/{event}", timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1" + "0" * 400])
def test_numbers_that_json_should_not_have(url, number):
    answer = raw_call(url, "generate", f'{{"data": ["tiny", [{number}], -1]}}'.encode())
    assert "event: error" in answer
    assert "Traceback" not in answer
    assert_sentence(json.loads(answer.split("data: ")[-1])["error"])


@pytest.mark.parametrize("body", [b"", b"{", b'{"data": 3}', b"[" * 100_000])
def test_bodies_that_are_no_call_are_refused(url, body):
    with pytest.raises(urllib.error.HTTPError) as caught:
        raw_call(url, "generate", body)
    assert 400 <= caught.value.code < 500
    assert b"Traceback" not in caught.value.read()


def test_a_body_over_the_limit_is_refused_unread(url):
    body = b'{"data": ["tiny", [' + b"1" * (MAX_BODY_BYTES + 1)
    with pytest.raises(urllib.error.URLError) as caught:  # the server may hang up before all is sent
        raw_call(url, "generate", body)
    assert getattr(caught.value, "code", 413) == 413


def test_the_server_still_answers_after_all_that(client):
    assert client.predict("tiny", [0], api_name="/generate")["nfe"] == 1


def test_the_page_is_kept_to_itself(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
