"""Tab "Flow images": handlers as plain functions, and the player's value."""

from __future__ import annotations

import base64
import io
import itertools
import json

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from analysis.core.errors import UserError
from analysis.flow.images import IMAGE_PATH_NAMES, TEACHER, ImageFlows
from analysis.flow.settings import SideBySideRequest
from analysis.recipes import recipe
from analysis.studio import Studio
from flow_core.samplers import METHODS
from tests.refusals import refuses
from tests.sentences import tells
from tests.ui.made import controls_of
from tests.ui.serving import page_of
from tests.ui.tabs.flows.image_values import controls, hidden
from ui.components.players import SENT_FRAMES, Panel, images_value, shown_steps, tiled
from ui.server.runs import deadline
from ui.tabs.flows.image_results import OWN_FLOWS, OWN_NOISE
from ui.tabs.flows.images import START_SETTINGS, FlowImages, FlowImagesControls, start_settings
from ui.tabs.flows.set_up import NOTHING_RUNS, UNEQUAL_COST
from ui.tabs.flows.settings import read_by


@pytest.fixture(scope="module")
def tab(flows_folder) -> FlowImages:
    torch.set_num_threads(1)
    return FlowImages(ImageFlows(flows_folder), FlowImagesControls.names())


def opened(src: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(src.split(",")[1]))))


def test_four_settings_from_one_noise_with_every_step(tab):
    panels = json.loads(tab.show(**controls(*START_SETTINGS))["player"])
    assert [p["title"][0] for p in panels] == list("ABCD") and panels[2]["title"] == "C: IDFF, published momentum"
    assert panels[2]["note"] == "net images-shapes, γ₁ = 0.2" and "<b>3</b>" in panels[0]["numbers"]
    for p in panels:
        heun = "Heun" in p["title"]  # two calls a step, and the last step by Euler's method
        assert p["steps"] == list(range(3 if heun else 4))
        assert np.allclose(p["times"], [0, 1 / 2, 1] if heun else [0, 1 / 3, 2 / 3, 1])
        assert all((t["width"], t["height"]) == (32, 16) for t in p["tracks"])
        expected, state = (opened(t["src"]) for t in p["tracks"])
        assert np.array_equal(state[:16], opened(panels[0]["tracks"][1]["src"])[:16])  # the same noise
        assert np.array_equal(state[-16:], expected[-16:])  # at the end both are the picture
    result = tab.flows.flow_pictures(tab.requests(**controls(*START_SETTINGS))[3])
    assert np.array_equal(opened(panels[3]["tracks"][0]["src"])[16:32], np.concatenate(result.predictions[1], axis=1))


def test_distances_say_what_the_numbers_say(tab):
    values, told = controls(*START_SETTINGS), []
    shown = tab.distances(lambda share, what: told.append(what), **values)
    words, figures = shown["words"], shown["exact"]
    found = [tab.flows.distance(r) for r in tab.requests(**values)]
    measured = {k: d.mse if d.lpips is None else d.lpips for k, d in zip("ABCD", found, strict=True)}
    nearest = sorted(measured.items(), key=lambda v: v[1].mean())
    assert words.partition(">")[2].startswith(f"{nearest[0][0]} ")
    for letter, of in nearest[:2]:
        assert f"{letter} " in words and f" {of.mean():.4f} ± {of.std(ddof=1):.4f}" in words
    assert OWN_FLOWS in words and UNEQUAL_COST not in words and told
    assert figures.count("<img") == 2 and "Exact flow, OT-CFM net" in figures
    on_one_net = controls(("idff", "bridge"), ("idff", "heun"), ("idff", "euler"), ("idff", "rk4"))
    alone = tab.distances(**on_one_net)["words"]
    assert OWN_NOISE in alone and OWN_FLOWS not in alone


def test_one_bad_setting_does_not_hide_the_others(tab):
    values = controls(*START_SETTINGS)
    values |= {"gamma1_a": 1e6, "shown_b": False, "path_c": "otcfm"}  # C: momentum on a path without noise
    panels = json.loads(tab.show(**values)["player"])
    assert panels[1] is None and panels[3]["tracks"]
    assert panels[0]["tracks"] is None and tells(panels[0]["numbers"], "gamma1", -100, 100)
    assert panels[2]["tracks"] is None and panels[2]["numbers"]
    assert tab.distances(**values)["words"].partition(">")[2].startswith("D ")
    nothing = hidden(controls(*START_SETTINGS))
    assert NOTHING_RUNS in tab.distances(**nothing)["words"] and tab.show(**nothing)["save"] == ""
    kept = recipe.from_json(json.loads(tab.show(**values)["save"])["recipe"]).request
    assert kept.settings == (None, None, None, tab.requests(**values)[3])


def test_a_seed_that_is_being_typed_changes_nothing(tab):
    for seed in (None, -1, 2**40):
        assert tab.show(**controls(*START_SETTINGS, seed=seed)) == gr.skip()
    assert tab.requests(**controls(*START_SETTINGS, seed=2**32 - 1, pictures=8))[0].seeds[-1] == 2**32 - 1


def test_a_number_of_pictures_is_checked_before_anything_is_made(tab):
    for many in (0, 9, 10**12, None):
        with refuses("pictures"):
            tab.show(**controls(*START_SETTINGS, pictures=many))


def test_distances_that_take_too_long_say_so(tab):
    with refuses("patience"):
        tab.distances(deadline(-1), **controls(*START_SETTINGS, seed=55))


def test_classes_are_clamped_to_the_data(tab):
    def classes(*args):
        return tab.classes(*args)["label"]

    assert [n for n, _ in classes("cifar10", 2)["choices"]] == ["no class", "cat & dog", "<b>ship</b>", "plane"]
    assert classes("cifar10", 2)["value"] == 2 and classes("shapes", 2)["value"] == -1
    assert classes("shapes")["visible"] is False and tab.label("cifar10", 3) == tab.label("cifar10", None) == -1
    asked = [controls(("idff", "euler"), *START_SETTINGS[1:], data="cifar10", label=k) for k in (0, 1)]
    made = [tab.show(**values)["player"] for values in asked]
    assert json.loads(made[0])[0]["tracks"] != json.loads(made[1])[0]["tracks"]


def test_only_the_gammas_that_a_sampler_reads_are_seen():
    seen = {s: list(read_by("idff", s).values())[1:] for s in METHODS}
    assert seen["published"] == seen["momentum"] == [True] * 3 and seen["matched"] == [True, False, False]
    assert all(seen[s] == [False] * 3 for s in METHODS if s not in ("published", "momentum", "matched"))


def test_pictures_in_rows():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 2, 2, 3), np.uint8)
    made = tiled(pictures)
    assert made.shape == (4, 6, 3) and made[0, 2, 0] == 1 and made[2, 0, 0] == 3 and made[3, 5, 0] == 128
    assert tiled(pictures[:1]).shape == (2, 2, 3) and tiled(pictures[:4]).shape == (4, 4, 3)


def test_a_long_run_sends_some_of_its_moments():
    assert shown_steps(6) == list(range(6)) and shown_steps(2) == [0, 1]
    some = shown_steps(51)
    assert len(some) == SENT_FRAMES and some[0] == 0 and some[-1] == 50


def test_a_sentence_is_escaped():
    assert "&lt;script&gt;" in json.loads(images_value([Panel("A", "", None, "", "<script>")]))[0]["numbers"]


def test_a_page_without_models_says_how_to_get_one(tmp_path, library):
    flows = Studio(images=ImageFlows(tmp_path))
    demo, page = page_of(library, "images", studio=flows)
    assert page.built["images"].binding is None
    told = [b.value for b in demo.blocks.values() if getattr(b, "elem_id", "") == "images-none"]
    assert len(told) == 1 and "flow_core.train images" in told[0]


def test_guidance_needs_a_class_and_says_so(tab):
    grey, there = tab.guided("shapes", 1)["guidance"], tab.guided("cifar10", 1)["guidance"]
    assert grey["interactive"] is False and there["interactive"] is True and grey["info"] != there["info"]
    values = {"guidance": 3.0, "guidance_from": 0.8, "guidance_to": 0.2}
    (asked,) = [r for r in tab.requests(**controls(("idff", "euler"), data="cifar10", label=1), **values) if r]
    assert (asked.guidance, asked.guidance_from, asked.guidance_to) == (3.0, 0.2, 0.8)
    (plain,) = [r for r in tab.requests(**controls(("idff", "euler")), **values) if r]
    assert plain.guidance == 1


def test_settings_that_differ_in_guidance_are_refused(tab):
    values = controls(("idff", "euler"), data="cifar10", label=1)
    one, other = (next(r for r in tab.requests(**values, guidance=g) if r) for g in (2.0, 3.0))
    with pytest.raises(UserError):
        tab.fill(SideBySideRequest((one, other, None, None)))


def test_other_data_brings_its_own_nets(tab):
    asked = {"path_a": "otcfm", "path_b": "idff"}
    values = tab.of_data("cifar10", -1, **asked)
    assert [p for _, p in values["path_a"]["choices"]] == ["idff"]
    assert values["path_a"]["value"] == values["path_b"]["value"] == "idff"
    assert tab.of_data("shapes", -1, **asked)["path_a"]["value"] == "otcfm"


def test_settings_of_one_net_begin_with_four_samplers():
    assert start_settings(("idff", "otcfm", "teacher")) == START_SETTINGS
    alone = start_settings(("teacher",))
    assert {p for p, _ in alone} == {"teacher"} and len({s for _, s in alone}) == len(START_SETTINGS)


@pytest.mark.parametrize("paths", [p for n in (1, 2, 3) for p in itertools.combinations(("idff", "otcfm", TEACHER), n)])
def test_every_setting_that_is_begun_with_can_be_asked(paths):
    begun = start_settings(paths)
    assert {p for p, _ in begun} <= set(paths) and len(set(begun)) == len(START_SETTINGS)
    assert not [p for p, sampler in begun if sampler == "published" and p == "otcfm"]  # that path has no noise


def test_results_say_which_controls_they_are_made_with(tab):
    values = controls(("idff", "published"), seed=4) | {"guidance": 1.0}
    shown = controls_of(tab.show(**values)["words"])
    assert shown == controls_of(tab.distances(**values)["words"])
    assert (shown["data"], shown["seed"], shown["pictures"], shown["nfe_a"]) == ("shapes", "4", "2", "3")
    assert shown["path_a"] == IMAGE_PATH_NAMES["idff"] and shown["gamma1_a"] == "0.2"  # the words of its list
    assert "guidance" not in shown  # not read without a class


def test_an_address_has_the_classes_and_nets_of_its_data(library, flows_folder):
    page = page_of(library, "images", studio=Studio(images=ImageFlows(flows_folder)))[1]
    built, words = page.built["images"], IMAGE_PATH_NAMES
    c = built.controls
    names = {"images-data": "cifar10", "images-label": "plane", "images-path-b": words["otcfm"]}
    out = built.settle(names, {c.data: "cifar10"})
    assert out[c.label]["value"] == 2 and out[c.guidance]["interactive"]
    assert [choice for _, choice in out[c.settings[1].path]["choices"]] == list(c_paths := ["idff"])
    assert out[c.settings[1].path]["value"] in c_paths  # this data has no such net
    assert built.settle({"images-path-b": words["otcfm"]}, {})[c.settings[1].path]["value"] == "otcfm"
    assert built.settle({}, {}) == {}
