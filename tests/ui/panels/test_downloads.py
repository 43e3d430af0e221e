"""Files of the current view: what is in them, read back by other means."""

import base64
import csv
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from analysis.export import web
from analysis.export.batches import CURVE_RATIOS
from analysis.recipes import recipe
from analysis.workbench.effects import EffectRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from tests.refusals import refuses
from tests.sentences import tells
from ui.panels.downloads import DATA_FIGURES, LARGE_SIDE, OF_EDIT, PAPER_FIGURES, SEED_CURVES, Downloads
from ui.tabs.change.edit import EditTab
from ui.tabs.change.edit_controls import EditControls

WHO = {"model": "tiny", "seed": 3, "label": -1, "steps": 5}
EDIT = {
    "reference": "seed", "other": 5, "other_label": -1, "picture": None, "encoding": "noise", "noise_seed": 0,
    "tau": 0.5, "low": 0.3, "high": 0.6, "bands": [2], "order": "alpha", "ratio": 50, "region": "whole", "mask": None,
    "levels": [], "feather": 0,
}  # fmt: skip
BANDS = {"low": 0.2, "high": 0.7, "small": 1.0, "middle": 0.0, "large": 1.0, "order": "abs", "levels": [0, 99]}


def content(value):
    file = json.loads(value)
    return file["name"], base64.b64decode(file["data"])


def test_modes_and_spectrum(library):
    files, entries = Downloads(library), library.get("tiny").spectrum().entries
    name, data = content(files.modes("tiny"))
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert name == "tiny-modes.csv" and len(rows) == sum(e.alpha.size for e in entries)
    assert np.float32(rows[0]["alpha"]) == entries[0].alpha.ravel()[0]
    name, data = content(files.spectrum("tiny"))
    archive = np.load(io.BytesIO(data), allow_pickle=False)
    assert name == "tiny-spectrum.npz" and np.array_equal(archive["beta_1"], entries[1].beta)


def test_the_animation_has_every_level(library):
    name, data = content(Downloads(library).animation(**WHO))
    image = Image.open(io.BytesIO(data))
    assert name == "tiny-seed3-trajectory.gif" and image.n_frames == 5 and image.size == (256, 256)


@pytest.mark.parametrize("form", ["png", "svg", "html"])
@pytest.mark.parametrize("what", [key for _, key in DATA_FIGURES])
def test_every_figure_and_format(library, what, form):
    """Pictures of a figure are drawn by the page, from the figure itself; a web page of it is made here."""
    file = json.loads(Downloads(library).figure(what, 0, form, **WHO, **BANDS))
    assert file["name"].endswith(f".{form}") and what in file["name"]
    if form == "html":
        assert base64.b64decode(file["data"]).startswith(b"<!doctype html>")
    else:
        assert file["format"] == form and file["figure"]["data"] and "data" not in file
        assert file["figure"]["layout"]["paper_bgcolor"] == "white" and min(file["width"], file["height"]) > 100


def test_the_figure_follows_level_and_bands(library):
    files = Downloads(library)
    one, again = (content(files.figure("eigenvalues", 0, "html", **WHO, **BANDS)) for _ in range(2))
    assert one == again and one[0] == "tiny-eigenvalues-skip-0.html"
    moved = files.figure("eigenvalues", 0, "html", **WHO, **BANDS | {"low": 0.5, "high": 0.5})
    assert content(moved)[1] != one[1]
    assert content(files.figure("eigenvalues", 99, "html", **WHO, **BANDS))[0] == "tiny-eigenvalues-bottleneck.html"


def test_figures_for_a_paper_are_pdf(library):
    files, where = Downloads(library), {k: v for k, v in WHO.items() if k != "steps"}
    for _, paper in PAPER_FIGURES:
        name, data = content(files.paper_figure(paper, 0, **where, **BANDS))
        assert name == f"tiny-{paper}.pdf" and data.startswith(b"%PDF")
    with refuses("figure"):
        files.paper_figure("nothing", 0, **where, **BANDS)


def test_the_report_is_of_this_seed_and_these_bands(library):
    name, data = content(Downloads(library).report(0, **WHO, **BANDS))
    text = data.decode()
    assert name == "tiny-seed3-report.html" and "seed 3" in text and "0.2, 0.7" in text and "levels 0." in text
    walked = library.get("tiny").trajectory(TrajectoryRequest(3, -1, 5))
    assert tells(text, "Koopman path", walked.nfe_model, walked.nfe_teacher)


def test_the_web_page_is_a_zip_of_this_model(library, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript", reason="the extra `web` is not installed")
    for name in web.RUNTIME:
        for end in (".mjs", ".wasm"):
            (tmp_path / f"{name}{end}").write_text(name)
    monkeypatch.setattr(web, "find_runtime", lambda runtime=None, install=True: tmp_path)
    shares = []
    name, data = content(Downloads(library).site("tiny", lambda share, desc: shares.append(share)))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        said = json.loads(archive.read("tiny/site.json"))
        assert "tiny/index.html" in archive.namelist()
    assert name == "tiny-page.zip" and said["name"] == "tiny" and len(shares) >= 4
    with refuses("patience"):
        Downloads(library, patience=0).site("tiny", lambda share, desc: None)


def test_what_cannot_be_saved_is_a_sentence(library):
    files = Downloads(library)
    cases = [
        (lambda: files.figure("error", 0, "png", **WHO | {"model": "tiny-classes"}, **BANDS), "teacher"),
        (lambda: files.figure("nothing", 0, "png", **WHO, **BANDS), "figure"),
        (lambda: files.figure("eigenvalues", 0, "exe", **WHO, **BANDS), "format"),
        (lambda: files.animation("tiny", None, -1, 5), "seed"),
        (lambda: files.report(0, **WHO | {"seed": -1}, **BANDS), "seed"),
        (lambda: files.modes("nobody"), "model"),
    ]
    for ask, field in cases:
        with refuses(field):
            ask()


def test_levels_of_another_model(library):
    levels = Downloads(library).levels("tiny-classes")
    assert levels["value"] == len(levels["choices"]) - 1 and levels["choices"][-1][0] == "bottleneck"


def test_beside_the_teacher_is_twice_as_wide(library):
    name, data = content(Downloads(library).beside(**WHO))
    image = Image.open(io.BytesIO(data))
    assert name.endswith(".gif") and image.width == 2 * image.height and image.n_frames == WHO["steps"]
    with refuses("model"):
        Downloads(library).beside(**WHO | {"model": "tiny-classes"})


@pytest.mark.parametrize("smooth", [False, True])
def test_the_large_picture_carries_its_recipe(library, smooth):
    data = content(Downloads(library).large("tiny", 3, -1, smooth))[1]
    picture = np.asarray(Image.open(io.BytesIO(data)))
    small = library.get("tiny").generate(GenerateRequest((3,))).pictures[0]
    assert picture.shape == (LARGE_SIDE, LARGE_SIDE, 3) and recipe.read_png(data).request == GenerateRequest((3,))
    scale = LARGE_SIDE // len(small)
    assert np.array_equal(picture, np.kron(small, np.ones((scale, scale, 1), np.uint8))) == (not smooth)


def test_latents_are_those_of_the_decoder(library):
    archive = np.load(io.BytesIO(content(Downloads(library).latents("tiny", 3, -1))[1]), allow_pickle=False)
    expected = library.get("tiny").final_latents(3, -1)
    assert len(archive["names"]) == len(expected)
    assert np.array_equal(archive["latent_0"], expected[0][0].numpy())


def test_the_film_shows_every_level_side_by_side(library):
    av = pytest.importorskip("av")
    name, data = content(Downloads(library).film(**WHO))
    with av.open(io.BytesIO(data)) as film:
        shown = [(f.time, f.to_ndarray(format="rgb24")) for f in film.decode(video=0)]
        seconds = film.duration / 1e6
    walked = library.get("tiny").trajectory(TrajectoryRequest(3, -1, 5))
    assert name.endswith(".mp4") and len(shown) == 6 and seconds == pytest.approx(4 * 0.12 + 1.5, abs=0.05)
    for (_, picture), left, right in zip(shown, walked.koopman, walked.denoised, strict=False):
        assert picture.shape == (256, 512, 3)
        large = np.kron(np.concatenate([left, right], axis=1), np.ones((16, 16, 1), np.uint8))
        inner = np.s_[8::16, 8::16]  # colour has half the resolution: edges of squares are mixed
        assert np.abs(picture[inner].astype(int) - large[inner]).mean() < 6
    with refuses("model"):
        Downloads(library).film(**WHO | {"model": "tiny-classes"})


@pytest.mark.parametrize("curve", [key for _, key in SEED_CURVES])
def test_a_curve_over_seeds_has_students_interval(library, curve):
    edit = {f"{OF_EDIT}{name}": value for name, value in EDIT.items()}
    name, data = content(Downloads(library).batch(curve, 3, **WHO, **BANDS, **edit))
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    bench = library.get("tiny")
    if curve == "path":
        each = np.stack([bench.trajectory(TrajectoryRequest(seed, -1, 5)).mse for seed in (3, 4, 5)])
        mine = [r for r in rows if r["curve"] == "mse"]
    elif curve == "mix":
        _, asked = EditTab(library, EditControls.names()).request("tiny", 3, -1, **EDIT)
        each = np.array(
            [
                [bench.edit(replace(asked, seed=s, ratio=r)).numbers.low_distance for r in CURVE_RATIOS]
                for s in (3, 4, 5)
            ]
        )
        mine = [r for r in rows if r["curve"] == "chosen bands, layout moved"]
        assert [float(r["ratio"]) for r in mine] == list(CURVE_RATIOS) and len({r["curve"] for r in rows}) == 4
    else:
        asked = [EffectRequest((seed,), -1, (0.2, 0.7), "abs") for seed in (3, 4, 5)]
        each = np.stack([bench.cumulative_effect(a).bands[0] for a in asked])
        mine = [r for r in rows if r["curve"] == rows[0]["curve"]]
    assert name == f"tiny-{curve}-seeds3to5.csv" and {r["seeds"] for r in rows} == {"3"}
    np.testing.assert_allclose([float(r["mean"]) for r in mine], each.mean(0), rtol=1e-6, atol=1e-9)
    low, high = stats.t.interval(0.95, 2, each.mean(0), each.std(0, ddof=1) / np.sqrt(3) + 1e-300)
    np.testing.assert_allclose([float(r["low"]) for r in mine], low, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose([float(r["high"]) for r in mine], high, rtol=1e-5, atol=1e-7)


def test_a_batch_that_cannot_be_is_a_sentence(library):
    files = Downloads(library)
    with refuses("edit"):
        files.batch("mix", 3, **WHO, **BANDS, **{f"{OF_EDIT}{k}": v for k, v in (EDIT | {"bands": []}).items()})
    for seeds in (1, 65):
        with refuses("seeds"):
            files.batch("path", seeds, **WHO, **BANDS)
    with refuses("curve"):
        files.batch("x", 3, **WHO, **BANDS)
    with refuses("teacher"):
        files.batch("path", 2, **WHO | {"model": "tiny-classes"}, **BANDS)
