"""Flows that the page begins with are of the pictures that the open model makes."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

import koopman_core
from analysis.flow.images import IMAGE_PATH_NAMES, TEACHER, ImageFlows
from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from tests.analysis.conftest import random_pair
from tests.analysis.flow.image_flows import write_flows
from tests.ui.serving import page_of
from ui.panels.address import Address, controls_of
from ui.source import NO_CLASS
from ui.tabs.flows.images import FlowImages, FlowImagesControls, following, start_settings
from ui.tabs.watch.race import RaceControls, RaceTab


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models of shapes and of portraits with their teachers, and one that does not say of what; flows of shapes."""
    where = write_flows(tmp_path_factory.mktemp("models"))
    for seed, name in enumerate(("shapes", "portraits", "stranger")):
        model, teacher = random_pair(seed)
        data = {"name": name} if name != "stranger" else {}
        koopman_core.save(model, where / f"{name}.hkd.safetensors", {"name": name, "data": data})
        if name != "stranger":
            koopman_core.save(teacher, where / f"{name}.teacher.safetensors", {"name": name})
    return where


@pytest.fixture
def race(folder) -> RaceTab:
    return RaceTab(ModelLibrary(folder), ImageFlows(folder), RaceControls.names())


def test_a_race_runs_a_trained_flow_of_the_same_pictures_else_the_teacher_else_none(race):
    assert race.chosen("shapes", None, None) == "idff"
    assert race.chosen("portraits", None, None) == TEACHER
    assert race.chosen("stranger", None, None) is None
    assert race.paths("stranger")["path"]["interactive"] is False


def test_what_a_race_began_with_is_nobodys_choice(race):
    assert race.chosen("shapes", TEACHER, "portraits") == "idff"  # as the list of portraits begins
    assert race.chosen("shapes", TEACHER, "shapes") == TEACHER  # chosen by hand
    assert race.chosen("portraits", "otcfm", "shapes") == TEACHER  # has no such flow
    assert race.chosen("shapes", "otcfm", "portraits") == "otcfm"
    assert race.chosen("shapes", TEACHER, "gone") == TEACHER


@pytest.fixture
def follow(folder):
    tab = FlowImages(ImageFlows(folder), FlowImagesControls.names())
    return tab, following(tab, ModelLibrary(folder), "known")


def begun(paths) -> dict:
    """Nets and samplers of the settings as some data begins with."""
    return {
        f"{part}_{letter}": value
        for letter, of in zip("abcd", start_settings(paths), strict=True)
        for part, value in zip(("path", "sampler"), of, strict=True)
    }


def test_the_pictures_flows_follow_the_model_that_is_open(follow):
    tab, opened = follow
    of = {name: begun(tab.flows.kind(name).paths) for name in ("shapes", "portraits")}
    shown = opened("shapes", "portraits", "portraits", NO_CLASS, **of["portraits"])
    assert (shown["data"], shown["known"]) == ("shapes", "shapes")
    assert {name: shown[name]["value"] for name in of["shapes"]} == of["shapes"]
    back = opened("portraits", "shapes", "shapes", NO_CLASS, **of["shapes"])
    assert {name: back[name]["value"] for name in of["portraits"]} == of["portraits"]
    touched = of["portraits"] | {"sampler_a": "rk4"}
    shown = opened("shapes", "portraits", "portraits", NO_CLASS, **touched)
    assert shown["path_a"]["value"] == TEACHER and "sampler_a" not in shown


def test_without_flows_of_its_pictures_or_with_the_same_model_all_stays(follow):
    tab, opened = follow
    of = begun(tab.flows.kind("shapes").paths)
    assert opened("stranger", "portraits", "shapes", NO_CLASS, **of) == {"known": "stranger"}
    assert "data" not in opened("portraits", "portraits", "shapes", NO_CLASS, **of)


def test_an_address_sets_the_flow_of_its_models_race(folder):
    library = ModelLibrary(folder, default="portraits")
    page = page_of(library, "race", studio=Studio(folder, library=library), seed=3)[1]
    c, kept = page.built["race"].controls, {p.elem_id: p for f in page.frames.values() for p in controls_of(f)}
    address = Address(library, page, kept)

    def read(**asked) -> dict:
        return address.read(SimpleNamespace(_data={"hash": f"#{urlencode(asked)}"}), 0)

    out = read(v="race", m="shapes", s=3, **{"race-path": IMAGE_PATH_NAMES["otcfm"]})
    assert (out[c.path]["value"], out[c.known]) == ("otcfm", "shapes")
    out = read(**{"race-path": IMAGE_PATH_NAMES["otcfm"]})  # portraits have none
    assert out[c.path]["value"] == TEACHER and c.path.elem_id in kept
