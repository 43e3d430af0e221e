"""Recipes of flows: round trips, bit-equal replays, the weights that they name, and a sentence for anything else."""

import dataclasses
import io
import json
import math
import shutil

import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.figures.style import PANEL
from analysis.flow.clouds import DRAWING
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from analysis.flow.nets import TrainRequest
from analysis.flow.points import Flow2DRequest, PointFlows
from analysis.flow.settings import SideBySideRequest
from analysis.recipes import recipe as recipes
from analysis.recipes.recipe import BESIDE, describe_flows, kind_of, nets_of
from analysis.recipes.replay import check_flows, describe_for, flows_of
from analysis.series.forecast import ForecastRequest
from analysis.series.long_run import LongRunRequest
from analysis.studio import Studio
from flow_core.model import FlowConfig, save
from foundation.files.checkpoints import checksum
from tests.analysis.flow.image_flows import random_flow
from tests.analysis.flow.tiny_flows import tiny_benches
from tests.analysis.recipes.test_recipe import equal
from tests.refusals import refuses

PLANE = {"seed": 3, "points": 64, "grid": "cosine"}
PAINTED = {"density": DRAWING, "drawing": ((0, 1, 1), (1, 0, 0)), "net": "oracle"}
PICTURES = {"seeds": (4, 5), "grid": "cosine"}
QUESTIONS = {
    "plane": SideBySideRequest(
        (
            Flow2DRequest(path="otcfm", nfe=3, **PLANE),
            None,
            Flow2DRequest(sampler="published", nfe=2, gamma1=-1 / 3, gamma3=0.1, **PLANE),
            Flow2DRequest(sampler="matched", sigma0=0.3, net="oracle", **PLANE),
        )
    ),
    "drawing": SideBySideRequest((Flow2DRequest(sampler="bridge", **PAINTED, **PLANE),)),
    "pictures": SideBySideRequest(
        (FlowPicturesRequest(path="otcfm", nfe=2, **PICTURES), None, FlowPicturesRequest(sampler="matched", **PICTURES))
    ),
    "classes": SideBySideRequest((FlowPicturesRequest("cifar10", label=2, nfe=2),)),
    "forecast": ForecastRequest("small", 1 / 3, 2, 4, 3, "published", (0.5, -0.25), 7),
}


@pytest.fixture(scope="module")
def benches(flows_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)


@pytest.mark.parametrize("name", QUESTIONS)
def test_replay_is_bit_equal_through_json_and_png(benches, flows_folder, name):
    question = QUESTIONS[name]
    recipe = describe_for(question, benches)
    text = recipes.to_json(recipe)
    assert text.isascii() and recipes.from_json(text) == recipe and recipe.of_flows
    assert recipe.request == question == check_flows(recipe, benches)
    buffer = io.BytesIO()
    recipes.save_png(np.zeros((PANEL, PANEL, 3), np.uint8), recipe, buffer)
    read = recipes.read_png(buffer.getvalue())
    assert read == recipe
    series = type(benches.series)(benches.series.folder)
    fresh = Studio(points=PointFlows(), images=ImageFlows(flows_folder), series=series)
    assert all(
        equal(a, b)
        for a, b in zip(parts(asked(fresh, check_flows(read, fresh))), parts(asked(benches, question)), strict=True)
    )


def asked(benches, question):
    """What the benches answer to each part of a question."""
    if isinstance(question, ForecastRequest):
        return benches.series.forecast(question)
    ask = {Flow2DRequest: benches.points.flow_2d, FlowPicturesRequest: benches.images.flow_pictures}
    return [None if s is None else ask[type(s)](s) for s in question.settings]


def parts(answer) -> list:
    """A forecast's fields, for NaN would be unequal to itself in its maps; else the settings' results."""
    return [answer.members, answer.truth, answer.mean] if hasattr(answer, "members") else list(answer)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_recipe_names_the_nets_that_answer(benches, name):
    recipe = describe_for(QUESTIONS[name], benches)
    answers = asked(benches, QUESTIONS[name])
    called = {answers.model} if name == "forecast" else {r.net for r in answers if r is not None}
    assert set(recipe.checksums) == called - {"oracle"}
    models = nets_of(QUESTIONS[name], flows_of(benches, recipe.kind))
    assert recipe.checksums == {name: checksum(model) for name, model in models.items()}


def test_every_field_of_a_question_is_in_its_recipe(benches):
    for question in QUESTIONS.values():
        settings = json.loads(recipes.to_json(describe_for(question, benches)))["settings"]
        kind, each = settings.pop("kind"), settings.pop("settings", [{}])
        cls = BESIDE.get(kind, type(question))
        for one in each:
            if one is not None:
                assert not settings.keys() & one.keys()
                fields, later = {f.name for f in dataclasses.fields(cls)}, cls.former
                assert {*settings, *one} | later.keys() == fields
                # what came after the first recipes is there where it says something else than they meant
                assert not any(k in later and v == later[k] for k, v in (settings | one).items())


def test_the_first_model_and_an_odd_question(benches):
    assert describe_for(ForecastRequest(), benches).request.model == benches.series.models[0].name
    assert kind_of(LongRunRequest()) is None and kind_of("x") is None
    for question in (LongRunRequest(), Flow2DRequest(), None):
        with refuses("kind"):
            describe_flows(question, benches.points)
        with refuses("kind"):
            describe_for(question, benches)


def test_drawings_are_of_0_and_1(benches):
    half = Flow2DRequest(density=DRAWING, drawing=((0.5, 1), (1, 0)))
    with refuses("", "0 and 1"):  # of which drawing, its writer is not told
        describe_for(SideBySideRequest((half,)), benches)
    largest = Flow2DRequest(density=DRAWING, drawing=((1,) * 128,) * 128, net="oracle")
    assert len(recipes.to_json(describe_for(SideBySideRequest((largest,) * 4), benches))) < recipes.MAX_RECIPE_BYTES


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ((), "settings"), ((None,), "settings"), ((Flow2DRequest(),) * 5, "settings"), ("ab", "settings"),
        ((Flow2DRequest(), FlowPicturesRequest()), "settings"), ((3,), "settings"),
        ((Flow2DRequest(seed=1), Flow2DRequest(seed=2)), "settings"),
        ((FlowPicturesRequest(), FlowPicturesRequest(seeds=(1,))), "settings"),
    ],
)  # fmt: skip
def test_what_cannot_stand_side_by_side(settings, field):
    with refuses(field):
        SideBySideRequest(settings)


# ---------------------------------------------------------------------------------------------------------------------
# Weights


def test_other_weights_are_refused(benches, flows_folder, tmp_path):
    recipe = describe_for(QUESTIONS["pictures"], benches)
    shutil.copytree(flows_folder, tmp_path / "flows")
    other = Studio(points=benches.points, images=ImageFlows(tmp_path / "flows"), series=benches.series)
    assert check_flows(recipe, other) == QUESTIONS["pictures"]  # the same weights elsewhere
    other = Studio(points=benches.points, images=ImageFlows(tmp_path / "flows"), series=benches.series)
    save(
        random_flow(FlowConfig("idff", 0.2, data_std=0.5), 9), tmp_path / "flows" / "images-shapes.flow.safetensors", {}
    )
    with refuses("weights"):
        check_flows(recipe, other)
    (tmp_path / "flows" / "images-shapes-otcfm.flow.safetensors").unlink()
    other = Studio(points=benches.points, images=ImageFlows(tmp_path / "flows"), series=benches.series)
    with pytest.raises(UserError, match="otcfm"):
        check_flows(recipe, other)


def test_the_noise_of_a_path_counts(tmp_path):
    """Equal tensors on another path are another net."""
    digests = [checksum(random_flow(FlowConfig("idff", sigma, data_std=0.5), 0)) for sigma in (0.2, 0.2, 0.3)]
    assert digests[0] == digests[1] != digests[2]


def test_a_net_that_the_recipe_does_not_know_is_refused(benches):
    recipe = describe_for(QUESTIONS["plane"], benches)
    text = recipes.to_json(dataclasses.replace(recipe, checksums={}))
    with refuses("weights"):
        check_flows(recipes.from_json(text), benches)
    more = dataclasses.replace(recipe, checksums={**recipe.checksums, "toy-moons": "0" * 64})
    with refuses("weights"):
        check_flows(more, benches)


def test_a_net_that_was_trained_here_is_used_while_it_is_kept(benches):
    for look in benches.points.train_toy(TrainRequest("moons", path="icfm", steps=25)):
        key = look.key
    question = SideBySideRequest((Flow2DRequest("moons", path="icfm", net=key, points=64),))
    recipe = describe_for(question, benches)
    assert list(recipe.checksums) == [key] and recipes.from_json(recipes.to_json(recipe)) == recipe
    assert asked(benches, check_flows(recipe, benches))[0].net == key
    elsewhere = Studio(points=PointFlows(), images=benches.images, series=benches.series)
    with refuses("net"):
        check_flows(recipe, elsewhere)
    assert list(elsewhere.points.train_toy(TrainRequest("moons", path="icfm", steps=25)))[-1].key == key
    again, first = (asked(b, check_flows(recipe, b))[0] for b in (elsewhere, benches))
    assert equal(again, first)  # trained again, it is the same


def test_worlds_that_are_not_here(benches, monkeypatch):
    recipe = describe_for(QUESTIONS["forecast"], benches)
    away = recipes.from_json(recipes.to_json(recipe).replace('"small"', '"tall"'))
    with refuses("model"):
        check_flows(away, benches)


# ---------------------------------------------------------------------------------------------------------------------
# From strangers


def changed(benches, name, path, value) -> str:
    """A recipe with another value at a place such as "settings.settings.0.nfe"."""
    data = json.loads(recipes.to_json(describe_for(QUESTIONS[name], benches)))
    *inner, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = data
    for part in inner:
        target = target[part]
    target[last] = value
    return json.dumps(data)


ZERO = "0" * 64
BAD = {  # (place, value), and the word that the sentence has: the last part of the place, if nothing else is said
    "plane": [
        ("version", 2), ("nets", None), ("nets", {"a/b": ZERO}), ("nets", {"../x": ZERO}), ("nets", {"x": "y"}),
        ("nets", {f"n{k}": ZERO for k in range(9)}), ("model", "shapes"), ("checkpoint", ZERO), ("teacher", None),
        ("settings.kind", "generate", "model"), ("settings.kind", "train", "model"), ("settings.density", "x"),
        ("settings.density", DRAWING, "drawing"), ("settings.drawing", ["01", "10"]), ("settings.points", 15),
        ("settings.seed", 1.0), ("settings.grid", None), ("settings.settings", []),
        ("settings.path", "idff", "share exactly"),
        ("settings.settings", [None], "one setting"), ("settings.settings.0", {}, "settings"),
        ("settings.settings.0.nfe", 51), ("settings.settings.0.net", "../x"), ("settings.settings.0.net", "trained-x"),
        ("settings.settings.0.x", 1, "unknown"), ("settings.settings.2.sigma0", 0), ("settings.settings.2.gamma1", 1e6),
        ("settings.settings.3.gamma1", -1.0), ("settings.settings.0.seed", 5),
    ],
    "drawing": [
        ("settings.drawing", ["01", "1"]), ("settings.drawing", ["02", "10"]), ("settings.drawing", None),
        ("settings.drawing", ["01", "101"]), ("settings.drawing", ["01"] * 129), ("settings.drawing", [[0, 1], [1, 0]]),
        ("settings.drawing", ["000", "000"], "Nothing is drawn"),
    ],
    "pictures": [
        ("settings.data", "../x"), ("settings.label", -2), ("settings.seeds", []), ("settings.seeds", [0] * 9),
        ("settings.settings.0.path", "icfm"), ("settings.settings.0.nfe", True),
        ("settings.settings.2.net", "oracle", "unknown"),
    ],
    "forecast": [
        ("settings.model", "../../x"), ("settings.model", ""), ("settings.start", 1.5), ("settings.horizon", 201),
        ("settings.members", 1), ("settings.method", "exec"), ("settings.gammas", []), ("settings.gammas", [0.1] * 4),
        ("settings.gammas", [math.nan]), ("settings.gammas", 3), ("settings.seed", 10**400), ("settings.start", None),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "bad"), [(name, bad) for name, every in BAD.items() for bad in every], ids=str)
def test_bad_recipes(benches, name, bad):
    path, value, *words = bad
    with pytest.raises(UserError) as caught:
        recipes.from_json(changed(benches, name, path, value))
    sentence = str(caught.value)
    assert (*words, path.split(".")[-1])[0] in sentence and "<" not in sentence and len(sentence) < 400
    assert sentence.endswith(".")


OLD = """{
 "version": 1,
 "program": "0.1.0",
 "torch": "2.13.0+cpu",
 "model": "shapes",
 "checkpoint": "aad4a374721b0e0d8aadbd8e3bd4c56bb2b9f0c2e0d5f8d5a7b9f6b1e2c3d4e5",
 "teacher": null,
 "settings": {
  "kind": "mask_bands",
  "seed": 1,
  "label": -1,
  "edges": [
   0.1,
   0.3333333333333333
  ],
  "gains": [
   0.0,
   1.7,
   1.0
  ],
  "order": "abs",
  "entries": []
 }
}"""


def test_recipes_of_models_are_written_as_before():
    """A text as the first release wrote it, to the letter."""
    recipe = recipes.from_json(OLD)
    assert not recipe.of_flows and recipe.kind == "mask_bands" and recipes.to_json(recipe) == OLD
