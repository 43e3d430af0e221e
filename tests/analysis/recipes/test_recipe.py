"""Recipes: round trips through JSON and PNG, bit-equal replays, and nothing but a sentence for anything else."""

import base64
import dataclasses
import io
import json
import math
import struct
import tomllib
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from analysis.core.errors import UserError
from analysis.core.images import embed, extract
from analysis.recipes import recipe as recipes
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.spectrum import MaskRequest
from analysis.workbench.workbench import Workbench
from foundation.files.checkpoints import checksum
from foundation.procedural import shapes
from tests.refusals import refuses

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bench(models):
    plain = ModelLibrary(models).get("shapes")
    return Workbench(plain.model, plain.teacher, "shapes")


def scene(number=3):
    return shapes.images([number], 16)[0]


HOLE = np.pad(np.ones((6, 7)), ((4, 6), (5, 4)))
SOFT = np.random.default_rng(0).random((16, 16))
REQUESTS = {
    "generate": GenerateRequest((5, 6)),
    "trajectory": TrajectoryRequest(3, steps=4),
    "mask_bands": MaskRequest(1, edges=(0.1, 1 / 3), gains=(0.0, 1.7, 0.123456789012345), order="abs", entries=(0, 2)),
    "edit": EditRequest(1, encoding="ode", tau=1 / 3, bands=(0, 2), ratio=0.7),
    "edit upload": EditRequest(1, reference="picture", picture=scene(), region="painted", mask=SOFT, ratio=2 / 3),
    "inpaint": InpaintRequest(scene(), HOLE, seed=4, steps=3),
    "inpaint latent": InpaintRequest(scene(), HOLE, seed=4, method="latent", truth=False),
    "colorize": ColorizeRequest(scene(), seed=2**32 - 1, steps=2),
}


def ask(bench, name):
    return getattr(bench, name.split()[0])(REQUESTS[name])


def equal(a, b):
    """Two values, arrays and dataclasses included, to the last bit; times do not count."""
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if dataclasses.is_dataclass(a):
        return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a) if f.name != "seconds")
    return a == b or (isinstance(a, float) and np.isnan(a) and np.isnan(b))


@pytest.mark.parametrize("name", REQUESTS)
def test_replay_is_bit_equal_through_json_and_png(bench, models, name, tmp_path):
    recipe = recipes.describe(REQUESTS[name], bench)
    assert recipe.kind == name.split()[0]
    text = recipes.to_json(recipe)
    assert text.isascii() and recipes.from_json(text) == recipe == recipes.from_json(text.encode())
    assert equal(recipe.request, REQUESTS[name])
    buffer = io.BytesIO()
    recipes.save_png(scene(), recipe, buffer)
    assert recipes.read_png(buffer.getvalue()) == recipe
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(buffer.getvalue()))), scene())
    recipes.save_png(scene()[..., 0], recipe, tmp_path / "x.png")
    assert recipes.read_png((tmp_path / "x.png").read_bytes()) == recipe
    library = ModelLibrary(models)  # loaded anew, nothing cached
    fresh = Workbench(library.get("shapes").model, library.get("shapes").teacher)
    assert equal(recipes.replay(recipes.from_json(text), fresh), ask(bench, name))


def test_replay_hands_progress_on(bench):
    seen = []
    recipes.replay(recipes.describe(REQUESTS["inpaint"], bench), bench, lambda share, picture: seen.append(share))
    assert len(seen) == 3
    recipes.replay(recipes.describe(REQUESTS["generate"], bench), bench, print)  # takes none


def test_every_field_of_a_request_is_in_its_recipe(bench):
    for name, request in REQUESTS.items():
        settings = json.loads(recipes.to_json(recipes.describe(request, bench)))["settings"]
        assert settings.pop("kind") == name.split()[0] and hasattr(Workbench, name.split()[0])
        names = {f.name for f in dataclasses.fields(request)}
        untouched = {name for name, value in request.former.items() if name not in settings}
        assert settings.keys() | untouched == names and not settings.keys() & untouched
        assert recipes.request_of({"kind": name.split()[0], **settings})[1].as_settings() == settings


def test_other_weights_are_refused(bench, models):
    many = ModelLibrary(models).get("many")
    recipe = recipes.describe(REQUESTS["generate"], bench)
    with refuses("weights"):
        recipes.replay(recipe, many)
    needs = recipes.describe(REQUESTS["trajectory"], bench)
    assert needs.teacher is not None and recipe.teacher is None
    with refuses("teacher"):
        recipes.replay(needs, Workbench(bench.model))


def test_the_checksum_is_of_the_weights(bench, models):
    again = ModelLibrary(models).get("shapes").model
    again.card = {"metrics": {"measured": 1}}
    assert checksum(again) == checksum(bench.model) != checksum(bench.teacher)
    other = ModelLibrary(models).get("shapes").model
    other.operators[0].a.data[0, 0, 0] += 1e-3
    assert checksum(other) != checksum(bench.model)


def test_the_program_says_its_version(bench):
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == recipes.PROGRAM


def test_names_become_harmless(bench):
    odd = Workbench(bench.model, None, "../my <b>model</b> ä")
    assert recipes.describe(REQUESTS["generate"], odd).model == "my--b-model--b---"
    assert recipes.describe(GenerateRequest((1,), None), odd).request.label == -1
    with refuses("kind"):
        recipes.describe("generate", bench)


def changed(bench, name="edit", **changes):
    data = json.loads(recipes.to_json(recipes.describe(REQUESTS[name], bench)))
    for path, value in changes.items():
        *inner, last = path.split("__")
        target = data
        for part in inner:
            target = target[part]
        target[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    "bad",
    [
        {"version": 2}, {"version": "1"}, {"model": "../../etc/passwd"}, {"model": "a/b"}, {"model": ""},
        {"checkpoint": "x"}, {"checkpoint": "A" * 64}, {"teacher": 3}, {"program": "<b>"}, {"path": "/tmp/x"},
        {"settings__kind": "exec"}, {"settings__kind": None}, {"settings__extra": 1}, {"settings__seed": -1},
        {"settings__seed": 2**32}, {"settings__seed": 1.0}, {"settings__seed": "1"}, {"settings__seed": True},
        {"settings__seed": 10**400}, {"settings__label": -2}, {"settings__tau": 1.5}, {"settings__tau": math.nan},
        {"settings__tau": math.inf}, {"settings__tau": None}, {"settings__ratio": -1e-300},
        {"settings__edges": [0.9, 0.1]}, {"settings__edges": []}, {"settings__edges": [0.1] * 9},
        {"settings__bands": [7]}, {"settings__order": "size"}, {"settings__region": "painted"},
        {"settings__encoding": "pickle"},
        {"settings__reference": "scene"}, {"settings__picture": "AAAA"}, {"settings__mask": "ä"}, {"settings": []},
    ],
    ids=str,
)  # fmt: skip
def test_bad_recipes(bench, bad):
    with refuses("recipe") as e:
        recipes.from_json(changed(bench, **bad))
    assert "<" not in str(e.value) and "\n" not in str(e.value) and len(str(e.value)) < 400


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"x" * 70_000,
        "\ud800",
        3,
        None,
    ],
    ids=range(12),
)
def test_not_recipes_at_all(data):
    with refuses("recipe"):
        recipes.from_json(data)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_bytes_are_a_recipe_or_a_sentence(bench, data):
    name = data.draw(st.sampled_from(sorted(REQUESTS)))
    raw = bytearray(recipes.to_json(recipes.describe(REQUESTS[name], bench)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        cut = data.draw(st.integers(0, 6))
        raw[at : at + cut] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"9", b"-", b"e99", b"null", b'"', b"[", b"NaN"])
        )
    try:
        recipe = recipes.from_json(bytes(raw))
    except UserError as e:
        assert str(e).isascii() and len(str(e)) < 400
    else:
        assert recipes.from_json(recipes.to_json(recipe)) == recipe


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_pngs_are_a_recipe_or_a_sentence(bench, data):
    buffer = io.BytesIO()
    recipes.save_png(scene(), recipes.describe(REQUESTS["inpaint"], bench), buffer)
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        recipes.read_png(bytes(raw))
    except UserError as e:
        assert str(e).isascii() and len(str(e)) < 400


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_large_pngs_are_refused_from_the_header():
    with refuses("png", "13000 x 13000"):
        recipes.read_png(SIGNATURE + header(13000, 13000) + chunk(b"IEND", b""))
    with refuses("png"):  # a second header that says something else
        recipes.read_png(
            SIGNATURE + header(16, 16) + header(60_000, 60_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        )
    with refuses("png", "4 MB"):
        recipes.read_png(SIGNATURE + bytes(5 * 2**20))
    for data in (b"", b"GIF89a" + bytes(50), SIGNATURE):
        with refuses("png"):
            recipes.read_png(data)


def test_pngs_without_a_usable_recipe():
    def png(**text):
        info, buffer = PngInfo(), io.BytesIO()
        for key, value in text.items():
            info.add_text(key.replace("_", "-"), value, zip=len(value) > 10_000)
        Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=info)
        return buffer.getvalue()

    with refuses("png"):
        recipes.read_png(png(comment="x"))
    with refuses("recipe"):
        recipes.read_png(png(koopman_studio_recipe="{}"))
    with pytest.raises(UserError):  # 3 MB of text in 3 kB: Pillow's own limit stops it
        recipes.read_png(png(koopman_studio_recipe=" " * 3_000_000))


def test_pictures_inside_a_recipe():
    for picture, mode in ((scene(), "RGB"), (scene()[..., 0], "L")):
        assert np.array_equal(extract(embed(picture), mode), picture)
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(embed(noisy)) < 20_000
    with refuses("recipe", "64 x 64"):
        embed(np.zeros((65, 8, 3), np.uint8))
    wide = io.BytesIO()
    Image.new("RGB", (128, 64)).save(wide, "PNG")
    large = base64.b64encode(wide.getvalue()).decode()
    for text in ("", "????", "AAAA", "ä", embed(scene())[:-40], embed(scene()[..., 0]), large, "iVBORw0KGgo="):
        with pytest.raises(UserError):
            extract(text)


def test_a_recipe_with_the_largest_pictures_fits(models):
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    bench = ModelLibrary(models).get("shapes")
    edit = EditRequest(1, reference="picture", picture=noisy[..., :3], region="painted", mask=noisy[..., 3])
    assert len(recipes.to_json(recipes.describe(edit, bench))) < recipes.MAX_RECIPE_BYTES
    with refuses("recipe", "64 x 64"):
        recipes.describe(ColorizeRequest(np.zeros((128, 128, 3), np.uint8)), bench)
