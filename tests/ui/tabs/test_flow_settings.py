"""What the tabs of flows keep, and how they take it up again: the same questions, or a sentence."""

from __future__ import annotations

import base64
import json

import gradio as gr
import pytest

from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.point_requests import DRAWN, Flow2DRequest
from analysis.flow.side_by_side import SideBySideRequest
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import describe_for
from analysis.series.forecast import ForecastRequest
from foundation.randomness import MAX_SEED
from tests.analysis.flow.tiny_flows import tiny_benches
from ui.tabs.flow_images import FlowImages, build_flow_images
from ui.tabs.flow_points import FlowLab, build_flow_lab
from ui.tabs.flow_settings import drawn_bits, in_a_row, nets_after, opened_nets
from ui.tabs.flow_training import cells_of, ring
from ui.tabs.time_series import ASK, TimeSeries, build_time_series

PLANE = {"seed": 3, "points": 64, "grid": "cosine", "net": "oracle"}


@pytest.fixture(scope="module")
def benches(flows_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)


@pytest.fixture(scope="module")
def opens(benches):
    """How the real tabs take up recipes, by kind."""
    with gr.Blocks(), gr.Tabs():
        with gr.Tab("Flow lab") as page:
            plane = build_flow_lab(page, benches.points)
        with gr.Tab("Flow images") as page:
            images = build_flow_images(page, benches.images)
        with gr.Tab("Time series") as page:
            series = build_time_series(page, benches.series)
    return {o.kinds[0]: o for o in (plane, images, series)}


def fill(benches, opens, question) -> list:
    recipe = describe_for(question, benches)
    values = opens[recipe.kind].fill(recipe.settings)
    assert len(values) == len(opens[recipe.kind].outputs)
    return list(values)


def plain(values) -> list:
    """Values as a page would send them; of hidden controls that are left as they are, none."""
    return [v.get("value") if isinstance(v, dict) else v for v in values]


def kept(value: str) -> recipes.Recipe:
    """The recipe of a row of buttons, the same in its picture."""
    read = json.loads(value)
    recipe = recipes.from_json(read["recipe"])
    assert recipes.read_png(base64.b64decode(read["png"])) == recipe
    return recipe


# ---------------------------------------------------------------------------------------------------------------------
# Flow lab


def test_the_flow_lab_asks_again_what_it_kept(benches, opens):
    question = SideBySideRequest(
        (
            Flow2DRequest(path="icfm", sampler="rk4", nfe=8, **PLANE),
            None,
            Flow2DRequest(sampler="published", nfe=2, sigma0=0.35, gamma1=-1 / 3, gamma2=0.1, gamma3=-2, **PLANE),
            None,
        )
    )
    values = fill(benches, opens, question)
    assert values[2 * 8 + 9 + 5]["visible"] and not values[9 + 5]["visible"]  # gamma1 of C and of A
    density, every, points, grid, net, seed, *drawn, opened = plain(values[:9])
    assert every == 8 and drawn == [None, None] and opened == ()
    lab = FlowLab(benches.points)
    again = [density, seed, points, grid, net, "", (), *plain(values[9:])]
    assert tuple(lab.requests(*again)) == question.settings
    recipe = kept(lab.flows(*again)[2])
    assert recipe == describe_for(question, benches)


def test_a_drawing_is_kept_and_painted_again(benches, opens):
    drawing = cells_of(ring())
    request = Flow2DRequest(density=DRAWN, drawing=drawing, **PLANE)
    values = fill(benches, opens, SideBySideRequest((request,)))
    assert values[6] == ring() == drawn_bits(request) == json.loads(values[7])["mask"]
    assert drawn_bits(Flow2DRequest()) == ""
    with pytest.raises(UserError, match="32 × 32"):
        fill(benches, opens, SideBySideRequest((Flow2DRequest(density=DRAWN, drawing=((0, 1),) * 2, **PLANE),)))


def test_the_nets_of_a_recipe_answer_and_the_others_stay():
    mine = [("moons", "", "idff", 0.2, "trained-1"), ("spirals", "", "icfm", 0.0, "trained-2")]
    shipped = SideBySideRequest((Flow2DRequest("moons"), Flow2DRequest("moons", path="otcfm")))
    chosen, opened = opened_nets(shipped)
    assert chosen == "auto" and opened == (("moons", "", "idff", 0.2, ""), ("moons", "", "otcfm", 0.0, ""))
    assert nets_after(tuple(mine), opened) == ((mine[1],), ())
    key = "trained-0123456789abcdef-50"
    chosen, opened = opened_nets(SideBySideRequest((Flow2DRequest("spirals", path="icfm", net=key),)))
    assert nets_after(tuple(mine), opened)[0] == (mine[0], ("spirals", "", "icfm", 0.0, key))
    assert opened_nets(SideBySideRequest((Flow2DRequest(net="oracle"),))) == ("oracle", ())
    assert nets_after(tuple(mine), ()) == (tuple(mine), ())
    for nets in (("oracle", "auto"), (key, "auto"), (key, key[:-1] + "1")):
        with pytest.raises(UserError, match="one choice of the network"):
            opened_nets(SideBySideRequest(tuple(Flow2DRequest(net=net) for net in nets)))


def test_what_a_slider_cannot_show_is_a_sentence(benches, opens):
    published = {"sampler": "published", **PLANE}
    for request, words in (
        (Flow2DRequest(gamma2=-50, **published), "γ₂ = -50, and on this page it goes from -20 to 20"),
        (Flow2DRequest(sigma0=0.01, **PLANE), "σ₀ = 0.01"),
        (Flow2DRequest(**PLANE | {"points": 20}), "Points = 20"),
    ):
        with pytest.raises(UserError, match=words):
            fill(benches, opens, SideBySideRequest((request,)))
    unread = Flow2DRequest(path="icfm", sigma0=0, gamma1=50, **PLANE)  # of no meaning there
    assert plain(fill(benches, opens, SideBySideRequest((unread,)))[9:15])[4:] == [None, None]


# ---------------------------------------------------------------------------------------------------------------------
# Flow images


def test_flow_images_asks_again_what_it_kept(benches, opens):
    common = {"data": "cifar10", "label": 2, "seeds": (5, 6), "grid": "cosine"}
    asked = (FlowPicturesRequest(nfe=2, **common), FlowPicturesRequest(sampler="matched", gamma1=3.5, nfe=3, **common))
    values = fill(benches, opens, SideBySideRequest((None, *asked)))
    data, label, pictures, every, grid, seed, *rest = plain(values)
    assert values[1]["visible"] and (label, pictures, seed, every) == (2, 2, 5, 2)
    tab = FlowImages(benches.images)
    again = [data, label, pictures, grid, seed, *rest]
    assert tuple(tab.requests(*again)) == (None, *asked, None)
    assert kept(tab.flows(*again)[2]) == describe_for(SideBySideRequest((None, *asked, None)), benches)


def test_seeds_in_a_row():
    assert in_a_row((7,)) == 1 and in_a_row(tuple(range(8))) == 8
    for seeds in ((1, 3), (2, 1), (4, 4), (MAX_SEED,)):
        with pytest.raises(UserError, match="seeds in a row"):
            in_a_row(seeds)


# ---------------------------------------------------------------------------------------------------------------------
# Time series


def test_time_series_asks_again_what_it_kept(benches, opens):
    question = ForecastRequest("small", 1 / 3, 5, 4, 3, "published", (1.5,), 7)
    values = fill(benches, opens, question)
    assert values[3]["maximum"] == 6 and values[7]["visible"] and values[9] == ASK
    model, known, *again = plain(values)[:9]
    tab = TimeSeries(benches.series)
    start, horizon, members, nfe, method, gamma, seed = again
    assert known == model == "small"  # so that the tab, when it is selected, does not choose a horizon
    out = tab.forecast(model, start, horizon, members, nfe, method, gamma, seed, 0)
    assert kept(out[2]) == describe_for(question, benches)


def test_the_usual_horizon_is_kept_as_a_number(benches):
    out = TimeSeries(benches.series).forecast("small", 0.3, 0, 4, 3, "euler", 0.5, 0, 0)
    assert kept(out[2]).settings.horizon == 3


def test_forecasts_that_the_page_cannot_show(benches, opens):
    for question, words in (
        (ForecastRequest("small", horizon=100), "horizon must be a whole number from 0 to 6"),
        (ForecastRequest("small", method="published", gammas=(0.5, 0.1)), "γ₁ alone"),
    ):
        with pytest.raises(UserError, match=words):
            fill(benches, opens, question)
    assert plain(fill(benches, opens, ForecastRequest("small", method="euler", gammas=(0.5, 9))))[7] == 0.5


def test_a_model_with_an_odd_name_has_no_recipe_but_a_forecast(benches, monkeypatch):
    tab = TimeSeries(benches.series)
    out = tab.forecast("small", 0.3, 2, 4, 3, "euler", 0.5, 0, 0)
    monkeypatch.setattr("ui.tabs.flow_settings.describe_flows", refuse)
    assert tab.forecast("small", 0.3, 2, 4, 3, "euler", 0.5, 0, 0) == (*out[:2], "", *out[3:])


def refuse(*_):
    raise UserError("No recipe holds this name: give the file another one.")
