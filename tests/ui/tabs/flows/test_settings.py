"""What the tabs of flows keep, and how they take it up again: the same questions, or a sentence."""

from __future__ import annotations

import base64
import json

import pytest

from analysis.core.errors import UserError
from analysis.flow.clouds import DRAWING
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.nets import TrainRequest
from analysis.flow.points import Flow2DRequest
from analysis.flow.settings import SideBySideRequest
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import describe_for
from analysis.series.forecast import ForecastRequest
from foundation.randomness import MAX_SEED
from tests.analysis.flow.tiny_flows import tiny_benches
from tests.refusals import refuses
from tests.ui.serving import page_of
from ui.tabs.flows.images import FlowImages, FlowImagesControls
from ui.tabs.flows.points import FlowControls, FlowLab
from ui.tabs.flows.settings import bars, cells_of, drawn_bits, in_a_row, nets_after, opened_nets, ring
from ui.tabs.forecast.time_series import ASK, SeriesControls, TimeSeries

PLANE = {"seed": 3, "points": 64, "grid": "cosine", "net": "oracle"}


@pytest.fixture(scope="module")
def benches(flows_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)


@pytest.fixture(scope="module")
def opens(library, benches):
    """How the real tabs take up recipes, by kind."""
    _, page = page_of(library, "flow", "images", "series", studio=benches)
    return {tab.binding.kinds[0]: tab for tab in page.built.values()}


def fill(benches, opens, question) -> dict:
    """What a recipe fills in, by the names of the controls."""
    recipe = describe_for(question, benches)
    tab = opens[recipe.kind]
    values, c = tab.binding.fill(recipe.request), tab.controls
    assert set(values) <= set(tab.binding.outputs)
    names = {part: name for name, part in {**c.named(), **(c.by_letter() if hasattr(c, "settings") else {})}.items()
             if name != "settings"}  # fmt: skip
    return {names[part]: value for part, value in values.items()}


def plain(values: dict) -> dict:
    """Values as a page would send them; of hidden controls that are left as they are, none."""
    return {name: v.get("value") if isinstance(v, dict) else v for name, v in values.items()}


def asked(values: dict, *shared: str) -> dict:
    """What a page asks with these values: the shared ones, and those of the settings."""
    return {n: v for n, v in plain(values).items() if n in shared or n[-2:] in ("_a", "_b", "_c", "_d")}


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
    assert values["gamma1_c"]["visible"] and not values["gamma1_a"]["visible"]
    drawn = {"drawing", "paper", "source_drawing", "source_paper"}
    assert values["nfe_all"] == 8 and not drawn & set(values) and values["opened"] == ()
    lab = FlowLab(benches.points, FlowControls.names())
    again = asked(values, "density", "source", "seed", "points", "grid", "net")
    again |= {"drawing": "", "source_drawing": "", "own": ()}
    assert tuple(lab.requests(**again)) == question.settings
    recipe = kept(lab.show(**again)["save"])
    assert recipe == describe_for(question, benches)


def test_a_drawing_is_kept_and_painted_again(benches, opens):
    drawing = cells_of(ring())
    request = Flow2DRequest(density=DRAWING, drawing=drawing, **PLANE)
    values = fill(benches, opens, SideBySideRequest((request,)))
    assert values["drawing"] == ring() == drawn_bits(request.drawing) == json.loads(values["paper"])["mask"]
    assert drawn_bits(None) == "" and values["source"] == "normal" and not values["source_box"]["visible"]
    between = {"source": DRAWING, "source_drawing": cells_of(bars()), "path": "icfm"}
    *_, look = benches.points.train_toy(TrainRequest(steps=25, width=16, **between))
    moved = Flow2DRequest(**between, **PLANE | {"net": look.key})
    values = fill(benches, opens, SideBySideRequest((moved,)))
    assert values["source"] == DRAWING and values["source_box"]["visible"] and values["source_drawing"] == bars()
    assert json.loads(values["source_paper"])["mask"] == bars()
    with refuses("drawing", "32 × 32"):
        fill(benches, opens, SideBySideRequest((Flow2DRequest(density=DRAWING, drawing=((0, 1),) * 2, **PLANE),)))


def test_the_nets_of_a_recipe_answer_and_the_others_stay():
    noise = ("normal", "")
    mine = [("moons", "", *noise, "idff", 0.2, "trained-1"), ("spirals", "", *noise, "icfm", 0.0, "trained-2")]
    shipped = SideBySideRequest((Flow2DRequest("moons"), Flow2DRequest("moons", path="otcfm")))
    chosen, opened = opened_nets(shipped)
    assert chosen == "auto" and opened == (
        ("moons", "", *noise, "idff", 0.2, ""), ("moons", "", *noise, "otcfm", 0.0, ""),
    )  # fmt: skip
    assert nets_after(tuple(mine), opened) == ((mine[1],), ())
    key = "trained-0123456789abcdef-50"
    chosen, opened = opened_nets(SideBySideRequest((Flow2DRequest("spirals", path="icfm", net=key),)))
    assert nets_after(tuple(mine), opened)[0] == (mine[0], ("spirals", "", *noise, "icfm", 0.0, key))
    assert opened_nets(SideBySideRequest((Flow2DRequest(net="oracle"),))) == ("oracle", ())
    assert nets_after(tuple(mine), ()) == (tuple(mine), ())
    for nets in (("oracle", "auto"), (key, "auto"), (key, key[:-1] + "1")):
        with refuses("net"):
            opened_nets(SideBySideRequest(tuple(Flow2DRequest(net=net) for net in nets)))


def test_what_a_slider_cannot_show_is_a_sentence(benches, opens):
    published = {"sampler": "published", **PLANE}
    for request, number in (
        (Flow2DRequest(gamma2=-50, **published), "-50"),
        (Flow2DRequest(sigma0=0.01, **PLANE), "0.01"),
        (Flow2DRequest(**PLANE | {"points": 20}), "20"),
    ):
        with refuses("recipe", number):
            fill(benches, opens, SideBySideRequest((request,)))
    unread = Flow2DRequest(path="icfm", sigma0=0, gamma1=50, **PLANE)  # of no meaning there
    values = plain(fill(benches, opens, SideBySideRequest((unread,))))
    assert values["sigma0_a"] is None and values["gamma1_a"] is None


# ---------------------------------------------------------------------------------------------------------------------
# Flow images


def test_flow_images_asks_again_what_it_kept(benches, opens):
    common = {"data": "cifar10", "label": 2, "seeds": (5, 6), "grid": "cosine"}
    two = (FlowPicturesRequest(nfe=2, **common), FlowPicturesRequest(sampler="matched", gamma1=3.5, nfe=3, **common))
    values = fill(benches, opens, SideBySideRequest((None, *two)))
    assert values["label"]["visible"] and values["label"]["value"] == 2
    assert [values[name] for name in ("pictures", "seed", "nfe_all")] == [2, 5, 2]
    tab = FlowImages(benches.images, FlowImagesControls.names())
    again = asked(values, "data", "label", "pictures", "grid", "seed")
    assert tuple(tab.requests(**again)) == (None, *two, None)
    assert kept(tab.show(**again)["save"]) == describe_for(SideBySideRequest((None, *two, None)), benches)


def test_seeds_in_a_row():
    assert in_a_row((7,)) == 1 and in_a_row(tuple(range(8))) == 8
    for seeds in ((1, 3), (2, 1), (4, 4), (MAX_SEED,)):
        with refuses("seeds"):
            in_a_row(seeds)


# ---------------------------------------------------------------------------------------------------------------------
# Time series


def test_time_series_asks_again_what_it_kept(benches, opens):
    question = ForecastRequest("small", 1 / 3, 5, 4, 3, "published", (1.5,), 7)
    values = fill(benches, opens, question)
    assert values["horizon"]["maximum"] == 6 and values["gamma"]["visible"] and values["run_words"] == ASK
    again = {k: v for k, v in plain(values).items() if not k.startswith("run_")}
    # so that the tab, when it is selected, does not choose a horizon
    assert again.pop("known") == again["model"] == "small"
    assert kept(series_tab(benches).forecast(**again, lead=0)["save"]) == describe_for(question, benches)


def series_tab(benches) -> TimeSeries:
    return TimeSeries(benches.series, SeriesControls.names())


def forecast(tab, start, horizon, **more) -> dict:
    settings = {"members": 4, "nfe": 3, "method": "euler", "gamma": 0.5, "seed": 0, "lead": 0}
    return tab.forecast("small", start, horizon, **settings | more)


def test_the_usual_horizon_is_kept_as_a_number(benches):
    assert kept(forecast(series_tab(benches), 0.3, 0)["save"]).request.horizon == 3


def test_forecasts_that_the_page_cannot_show(benches, opens):
    for question, field in (
        (ForecastRequest("small", horizon=100), "horizon"),
        (ForecastRequest("small", method="published", gammas=(0.5, 0.1)), "gammas"),
    ):
        with refuses(field):
            fill(benches, opens, question)
    assert plain(fill(benches, opens, ForecastRequest("small", method="euler", gammas=(0.5, 9))))["gamma"] == 0.5


def test_a_model_with_an_odd_name_has_no_recipe_but_a_forecast(benches, monkeypatch):
    tab = series_tab(benches)
    out = forecast(tab, 0.3, 2)
    monkeypatch.setattr("ui.tabs.flows.settings.describe_flows", refuse)
    assert out["save"] and forecast(tab, 0.3, 2) == out | {"save": ""}


def refuse(*_):
    raise UserError("No recipe holds this name: give the file another one.")
