"""Tab "Flow lab": handlers as plain functions, and drawing and training as far as they need no page."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.flow import points
from analysis.flow.clouds import DRAWING
from analysis.flow.nets import MAX_TRAIN_STEPS
from analysis.flow.points import LikelihoodRequest, PointFlows
from analysis.recipes import recipe
from benchmarks.trips import QUESTIONS, trip
from flow_core.paths import PATH_NAMES, PATHS
from flow_core.samplers import METHODS, SAMPLER_NAMES
from tests.refusals import refuses
from tests.sentences import tells
from tests.ui.made import controls_of
from ui.components.players import Panel, flow_value
from ui.server.runs import Superseded
from ui.tabs.flows.points import FROM_NOISE_ONLY, START_SETTINGS, FlowControls, FlowLab
from ui.tabs.flows.set_up import NOTHING_RUNS, UNEQUAL_COST
from ui.tabs.flows.settings import DRAWING_SIDE, Ends, bars, cells_of, own_net, read_by, ring
from ui.tabs.flows.training import Trainer, TrainingControls

PLAIN = ("icfm", "euler"), ("idff", "published"), ("idff", "multistep"), ("idff", "bridge")


@pytest.fixture(scope="module")
def lab() -> FlowLab:
    torch.set_num_threads(1)
    return FlowLab(PointFlows(), FlowControls.names())


def controls(
    *settings, density="8gaussians", source="normal", points=64, net="oracle", drawing="", own=(), seed=0, nfe=4
):
    """What the page sends: shared controls, and the fields of each setting with its letter."""
    values = {
        "density": density, "source": source, "source_drawing": "", "seed": seed, "points": points, "grid": "uniform",
        "net": net, "drawing": drawing, "own": own,
    }  # fmt: skip
    numbers = {"nfe": nfe, "sigma0": 0.2, "gamma1": 0.2, "gamma2": -0.5, "gamma3": 0.0}
    for letter, (path, sampler) in zip("abcd", settings, strict=False):
        fields = {"shown": True, "path": path, "sampler": sampler, **numbers}
        values |= {f"{name}_{letter}": value for name, value in fields.items()}
    return values


def hidden(values: dict) -> dict:
    return {k: False if k.startswith("shown_") else v for k, v in values.items()}


def test_four_settings_from_one_noise(lab):
    shown = lab.show(**controls(*PLAIN))
    panels, words = json.loads(shown["player"])["panels"], shown["words"]
    assert [p["title"][0] for p in panels] == list("ABCD") and panels[1]["title"] == "B: IDFF, published momentum"
    for p in panels:
        assert p["x"][0] == panels[0]["x"][0] and p["y"][0] == panels[0]["y"][0]
        assert len(p["times"]) == len(p["x"]) == 5 and len(p["x"][0]) == 64
        assert p["note"] == "exact oracle, no network"
    assert "<b>4</b>" in panels[0]["numbers"] and tells(panels[1]["numbers"], 4, 3)
    requests = lab.requests(**controls(*PLAIN))
    mmd2 = [lab.flows.flow_2d(r).numbers.mmd2 for r in requests]
    best = "ABCD"[int(np.argmin(mmd2))]
    assert words.partition(">")[2].startswith(f"{best} ") and f"{min(mmd2):.4f} " in words
    assert UNEQUAL_COST in words  # the published drift takes derivatives


def test_a_moved_nfe_runs_its_own_setting_and_stays_within_its_moves(lab, monkeypatch):
    """Each step of a net goes through a sampler, a field, a counter, a model and a path; nothing else is per step."""
    asked = []
    true = points.sample
    monkeypatch.setattr(points, "sample", lambda *args, **more: asked.append(args[4]) or true(*args, **more))
    before, after = (controls(*START_SETTINGS, net="auto", seed=9) | {"nfe_a": nfe} for nfe in (7, 8))
    lab.show(**before)
    asked.clear()
    there = trip(lambda: lab.show(**after))
    assert asked == [8] and QUESTIONS[1].control == "flow-nfe-a"
    assert 100 < there.moves <= QUESTIONS[1].most_moves
    asked.clear()
    assert trip(lambda: lab.show(**after)).moves < there.moves and not asked


def test_one_bad_setting_does_not_hide_the_others(lab):
    values = controls(*PLAIN)
    values |= {"gamma1_b": 1e6, "shown_c": False}
    shown = lab.show(**values)
    panels = json.loads(shown["player"])["panels"]
    assert panels[2] is None and panels[0]["figure"] and panels[3]["figure"]
    assert panels[1]["figure"] is None and tells(panels[1]["numbers"], "gamma1", -100, 100)
    kept = recipe.from_json(json.loads(shown["save"])["recipe"]).request
    assert kept.settings == tuple(lab.requests(**values)[k] if k in (0, 3) else None for k in range(4))
    nothing = lab.show(**hidden(controls(*PLAIN)))
    assert NOTHING_RUNS in nothing["words"] and nothing["save"] == ""


def test_a_drawing_is_seen_where_no_net_can_go_there(lab):
    """OT-CFM has no closed form: its panel says so, beside the density that is drawn."""
    values = controls(*START_SETTINGS, density=DRAWING, net="auto")
    panels = json.loads(lab.show(**values)["player"])["panels"]
    assert values["path_a"] == "otcfm" and panels[0]["times"] is None and panels[0]["numbers"]
    density = np.array(panels[0]["figure"]["data"][0]["z"]["bdata"] is not None)
    assert density.all() and panels[1]["times"] and panels[1]["figure"]


def test_a_sweep_leaves_out_what_has_no_net(lab, monkeypatch):
    monkeypatch.setattr("ui.tabs.flows.points.SWEEP_POINTS", 32)
    shown = lab.sweep(**controls(("otcfm", "euler"), ("icfm", "euler"), density=DRAWING, net="auto"))
    names = [t.get("name") for t in json.loads(shown["sweep_nfe"]["value"])["data"]]
    assert "I-CFM, Euler" in names and "OT-CFM, Euler" not in names and "OT-CFM, Euler" in shown["sweep_words"]
    with refuses("net"):
        lab.sweep(**controls(("otcfm", "euler"), density=DRAWING, net="auto"))


def test_a_sentence_is_escaped():
    panel = Panel("A", "", None, "", "<script>")
    assert "&lt;script&gt;" in json.loads(flow_value([panel]))["panels"][0]["numbers"]


def test_the_first_view_is_never_empty(lab):
    panels = json.loads(lab.show(**controls(*START_SETTINGS, net="auto"))["player"])["panels"]
    assert all(p["figure"] for p in panels)
    nets = {sampler: path for path, sampler in START_SETTINGS}
    assert nets["heun"] == nets["published"] == "idff", "the control of momentum, on the same net"


def test_every_path_and_sampler_has_a_name_and_hides_what_it_does_not_read():
    assert set(PATH_NAMES) == set(PATHS) and set(SAMPLER_NAMES) == set(METHODS)
    seen = {s: list(read_by("idff", s).values()) for s in METHODS}
    assert seen["published"] == [True] * 4 and seen["matched"] == [True, True, False, False]
    assert seen["euler"] == [True, False, False, False] and read_by("icfm", "euler")["sigma0"] is False


def test_sweep(lab, monkeypatch):
    monkeypatch.setattr("ui.tabs.flows.points.SWEEP_POINTS", 32)
    told = []
    shown = lab.sweep(lambda share, what: told.append(share), **controls(*PLAIN[:2]))
    words, nfe, gamma = shown["sweep_words"], shown["sweep_nfe"], shown["sweep_gamma"]
    assert tells(words, 4, 0, 32) and len(told) > 100
    names = [t.get("name") for t in json.loads(nfe["value"])["data"]]
    assert "I-CFM, Euler" in names and "exact oracle, Euler" in names
    assert gamma["visible"] and "IDFF, published momentum" in gamma["value"]

    def superseded(share, what):
        raise Superseded

    with pytest.raises(Superseded):
        lab.sweep(superseded, **controls(*PLAIN[:2]))
    with refuses("settings"):
        lab.sweep(**hidden(controls(PLAIN[0])))


def trainer_of(lab) -> Trainer:
    return Trainer(lab.flows, TrainingControls.names())


def test_drawing(lab):
    assert Ends(DRAWING).asked()["drawing"] == cells_of(ring())
    assert np.array(cells_of(ring())).shape == (DRAWING_SIDE, DRAWING_SIDE)
    bits = "1" * DRAWING_SIDE + "0" * (DRAWING_SIDE * DRAWING_SIDE - DRAWING_SIDE)
    assert np.array_equal(np.array(cells_of(bits)).sum(1), [DRAWING_SIDE] + [0] * (DRAWING_SIDE - 1))
    trainer = trainer_of(lab)
    assert trainer.stroke(SimpleNamespace(_data={"mask": bits})) == {"drawing": bits, "density": DRAWING}
    with refuses("drawing"):
        trainer.stroke(SimpleNamespace(_data={"mask": "0" * DRAWING_SIDE * DRAWING_SIDE}))
    for data in (None, {"mask": "1"}, {"mask": "2" * DRAWING_SIDE * DRAWING_SIDE}):
        with pytest.raises(UserError):
            trainer.stroke(SimpleNamespace(_data=data))


def test_a_net_trained_on_a_drawing_is_used_at_once(lab):
    trainer = trainer_of(lab)
    shown = list(trainer.train(DRAWING, "", "normal", "", "idff", 0.2, 60, 0, ()))
    assert len(shown) == 3 and tells(shown[0]["status"], 60) and tells(shown[-1]["status"], 60, 60)
    assert len(json.loads(shown[1]["loss"])["data"]) == 2  # loss and MMD^2
    own = shown[-1]["own"]
    assert own == ((DRAWING, ring(), "normal", "", "idff", 0.2, lab.flows.trained[-1]),)
    values = controls(("idff", "euler"), density=DRAWING, net="auto", own=own)
    panels = json.loads(lab.show(**values)["player"])["panels"]
    assert panels[0]["note"] == "net trained here"
    kept = lab.flows.trained
    ends = Ends(DRAWING)
    assert own_net(own, Ends(DRAWING, ring()), "idff", 0.2, kept) and own_net(own, ends, "idff", 0.2, kept)
    assert own_net(own, ends, "idff", 0.3, kept) is None and own_net(own, Ends("moons"), "idff", 0.2, kept) is None
    assert own_net(own, ends, "idff", 0.2, ()) is None  # forgotten by the bench
    assert own_net(own, Ends(DRAWING, source="moons"), "idff", 0.2, kept) is None


def test_from_a_density_to_another(lab):
    """On the straight paths alone: a closed form where there is one, else what has to be trained; nothing ships."""
    asked = controls(("otcfm", "euler"), *PLAIN[:3], density="moons", source="8gaussians", net="auto")
    shown = lab.show(**asked)
    value = json.loads(shown["player"])
    assert value["begin"] == "8gaussians"
    ot, icfm, *rest = value["panels"]
    assert ot["times"] is None and ot["numbers"] and ot["figure"]
    assert icfm["note"] == "exact oracle, no network" and len(icfm["times"]) == 5
    assert rest == [None, None] and "C, D" in shown["words"]
    kept = recipe.from_json(json.loads(shown["save"])["recipe"]).request
    assert kept.asked[0].source == "8gaussians" and len(kept.asked) == 1
    assert lab.likely(picked(1, [0.0, 0.0]), **asked) == FROM_NOISE_ONLY  # no density of a flow from elsewhere


def test_a_net_from_a_drawing_to_another_is_used_for_that_pair_alone(lab):
    *_, last = trainer_of(lab).train(DRAWING, "", DRAWING, "", "otcfm", 0.2, 60, 0, ())
    own = last["own"]
    assert own[0][:4] == (DRAWING, ring(), DRAWING, bars())
    asked = {"density": DRAWING, "net": "auto", "own": own}
    between = json.loads(lab.show(**controls(("otcfm", "euler"), source=DRAWING, **asked))["player"])["panels"][0]
    assert between["note"] == "net trained here"
    assert all(abs(abs(x) - 2.9) < 0.45 for x in between["x"][0])  # they begin on the two bars
    noise = json.loads(lab.show(**controls(("otcfm", "euler"), **asked))["player"])["panels"][0]
    assert noise["times"] is None


def test_another_source_offers_the_paths_that_may_begin_there(lab):
    trainer = trainer_of(lab)
    drawn, noise = trainer.begins(DRAWING, "idff"), trainer.begins("normal", "icfm")
    assert drawn["source_box"]["visible"] and drawn["path"]["value"] == "otcfm"
    assert "idff" not in [path for _, path in drawn["path"]["choices"]]
    assert not noise["source_box"]["visible"] and noise["path"]["value"] == "icfm"
    bits = "1" + "0" * (DRAWING_SIDE * DRAWING_SIDE - 1)
    assert trainer.source_stroke(SimpleNamespace(_data={"mask": bits})) == {"source_drawing": bits}


def test_a_stopped_training_keeps_its_net(lab):
    def stop(share, what):
        raise Superseded

    *_, last = trainer_of(lab).train("moons", "", "normal", "", "icfm", 0.2, 1000, 5, (), stop)
    assert tells(last["status"], 50, 1000)
    assert lab.flows.trained[-1] == last["own"][0][-1]


def test_a_training_that_fails_says_why_and_can_be_started_again(lab):
    trainer, visitor = trainer_of(lab), SimpleNamespace(session_hash="s")
    wish = trainer.ask(visitor)["wish"]
    question = {
        "density": "moons", "drawing": "", "source": "normal", "source_drawing": "", "path": "icfm", "sigma0": 0.2,
        "steps": 10**9, "seed": 0, "own": (),
    }  # fmt: skip
    *_, failed, last = trainer.watched(visitor, wish, **question)
    assert tells(failed["status"], 25, MAX_TRAIN_STEPS)
    assert last["start"]["interactive"] and not last["stop"]["interactive"]


def picked(setting, point) -> SimpleNamespace:
    return SimpleNamespace(_data={"setting": setting, "point": point})


def test_a_clicked_point_has_the_flows_density_beside_the_exact_one(lab):
    told = lab.likely(picked(0, [5.0, 0.0]), **controls(("icfm", "euler")))
    request = LikelihoodRequest(path="icfm", point=(5.0, 0.0), net="oracle")
    result = lab.flows.likelihood(request)
    assert f"e^{result.log_prob:.2f}" in told and f"e^{result.exact_log_prob:.2f}" in told


@pytest.mark.parametrize("event", [(9, [0, 0]), (0, None), (0, [0, "x"]), (0, [1e9, 0]), ("a", [0, 0])])
def test_a_hostile_point_is_a_sentence(lab, event):
    with pytest.raises(UserError):
        lab.likely(picked(*event), **controls(("icfm", "euler")))


def test_a_point_of_a_setting_that_is_not_shown_tells_nothing(lab):
    assert lab.likely(picked(3, [0.0, 0.0]), **controls(("icfm", "euler"))) == ""


def test_results_say_which_controls_they_are_made_with(lab, monkeypatch):
    monkeypatch.setattr("ui.tabs.flows.points.SWEEP_POINTS", 32)
    values = controls(*PLAIN[:2], seed=5) | {"shown_b": False, "path_b": "idff", "sampler_b": "published"}
    shared = {"density": "8gaussians", "source": "normal", "seed": "5", "points": "64", "grid": "uniform",
              "net": "oracle"}  # fmt: skip
    settings = {"shown_a": "1", "path_a": "icfm", "sampler_a": "euler", "shown_b": "0"}  # B is not shown, A reads no γ
    assert controls_of(lab.show(**values)["words"]) == shared | settings | {"nfe_a": "4"}
    assert controls_of(lab.sweep(**values)["sweep_words"]) == shared | settings
    read = lab.made(values | {"shown_b": True}).controls
    assert read["gamma1_b"] == "0.2" and read["sigma0_b"] == "0.2" and "sigma0_a" not in read
