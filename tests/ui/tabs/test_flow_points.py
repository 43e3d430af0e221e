"""Tab "Flow lab": handlers as plain functions, and drawing and training as far as they need no page."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.flow.point_requests import DRAWN
from analysis.flow.points import PointFlows
from analysis.recipes import recipe
from flow_core.paths import PATH_NAMES, PATHS
from flow_core.samplers import METHODS, SAMPLER_NAMES
from ui.components.players import Panel, flow_value
from ui.server.runs import Superseded
from ui.tabs.flow_points import START, FlowLab
from ui.tabs.flow_settings import DRAWING_SIDE, read_by
from ui.tabs.flow_training import Trainer, cells_of, own_net, ring

PLAIN = ("icfm", "euler"), ("idff", "published"), ("idff", "multistep"), ("idff", "bridge")


@pytest.fixture(scope="module")
def lab() -> FlowLab:
    torch.set_num_threads(1)
    return FlowLab(PointFlows())


def controls(*settings, density="8gaussians", points=64, net="oracle", drawing="", own=(), seed=0, nfe=4):
    """What the page sends: shared controls, then shown, path, sampler, nfe, sigma0, three gammas of each setting."""
    rest = [v for path, sampler in settings for v in (True, path, sampler, nfe, 0.2, 0.2, -0.5, 0.0)]
    return [density, seed, points, "uniform", net, drawing, own, *rest]


def test_four_settings_from_one_noise(lab):
    value, words, _ = lab.flows(*controls(*PLAIN))
    panels = json.loads(value)["panels"]
    assert [p["title"][0] for p in panels] == list("ABCD") and panels[1]["title"] == "B: IDFF, published momentum"
    for p in panels:
        assert p["x"][0] == panels[0]["x"][0] and p["y"][0] == panels[0]["y"][0]
        assert len(p["times"]) == len(p["x"]) == 5 and len(p["x"][0]) == 64
        assert p["note"] == "exact oracle, no network"
    assert "4</b><span>network calls" in panels[0]["numbers"] and "and 3 derivatives" in panels[1]["numbers"]
    requests = lab.requests(*controls(*PLAIN))
    mmd2 = [lab.bench.flow_2d(r).numbers.mmd2 for r in requests]
    best = "ABCD"[int(np.argmin(mmd2))]
    assert f"{best} has the least MMD², {min(mmd2):.4f}" in words and "data against data gives" in words
    assert "not all cost the same" in words  # the published drift takes derivatives


def test_one_bad_setting_does_not_hide_the_others(lab):
    values = controls(*PLAIN)
    values[7 + 8 + 5] = 1e6  # gamma1 of B
    values[7 + 2 * 8] = False  # C is not shown
    panels = json.loads(lab.flows(*values)[0])["panels"]
    assert panels[2] is None and panels[0]["figure"] and panels[3]["figure"]
    assert panels[1]["figure"] is None and "gamma1 must be a number from -100 to 100." in panels[1]["numbers"]
    kept = recipe.from_json(json.loads(lab.flows(*values)[2])["recipe"]).settings.request()
    assert kept.settings == tuple(lab.requests(*values)[k] if k in (0, 3) else None for k in range(4))
    hidden = [False if i >= 7 and (i - 7) % 8 == 0 else v for i, v in enumerate(controls(*PLAIN))]
    _, words, keep = lab.flows(*hidden)
    assert "No setting can be run" in words and keep == ""


def test_a_sentence_is_escaped():
    panel = Panel("A", "", None, "", "<script>")
    assert "&lt;script&gt;" in json.loads(flow_value([panel]))["panels"][0]["numbers"]


def test_the_first_view_is_never_empty(lab):
    panels = json.loads(lab.flows(*controls(*START, net="auto"))[0])["panels"]
    assert all(p["figure"] for p in panels)


def test_every_path_and_sampler_has_a_name_and_hides_what_it_does_not_read():
    assert set(PATH_NAMES) == set(PATHS) and set(SAMPLER_NAMES) == set(METHODS)
    seen = {s: [u["visible"] for u in read_by("idff", s)] for s in METHODS}
    assert seen["published"] == [True] * 4 and seen["matched"] == [True, True, False, False]
    assert seen["euler"] == [True, False, False, False] and read_by("icfm", "euler")[0]["visible"] is False


def test_sweep(lab, monkeypatch):
    monkeypatch.setattr("ui.tabs.flow_points.SWEEP_POINTS", 32)
    told = []
    words, nfe, gamma = lab.sweep(*controls(*PLAIN[:2]), lambda share, what: told.append(share))
    assert "has the least MMD²" in words and "4 seeds from 0 on, 32 points" in words and len(told) > 100
    names = [t.get("name") for t in json.loads(nfe["value"])["data"]]
    assert "I-CFM, Euler" in names and "exact oracle, Euler" in names
    assert gamma["visible"] and "IDFF, published momentum" in gamma["value"]

    def superseded(share, what):
        raise Superseded

    with pytest.raises(Superseded):
        lab.sweep(*controls(*PLAIN[:2]), superseded)
    values = controls(PLAIN[0])
    values[7] = False
    with pytest.raises(UserError, match="tick at least one"):
        lab.sweep(*values, None)


def test_drawing():
    assert cells_of("") == cells_of(ring()) and np.array(cells_of("")).shape == (DRAWING_SIDE, DRAWING_SIDE)
    bits = "1" * DRAWING_SIDE + "0" * (DRAWING_SIDE * DRAWING_SIDE - DRAWING_SIDE)
    assert np.array_equal(np.array(cells_of(bits)).sum(1), [DRAWING_SIDE] + [0] * (DRAWING_SIDE - 1))
    assert Trainer.stroke(SimpleNamespace(_data={"mask": bits})) == (bits, DRAWN)
    with pytest.raises(UserError, match="paint"):
        Trainer.stroke(SimpleNamespace(_data={"mask": "0" * DRAWING_SIDE * DRAWING_SIDE}))
    for data in (None, {"mask": "1"}, {"mask": "2" * DRAWING_SIDE * DRAWING_SIDE}):
        with pytest.raises(UserError):
            Trainer.stroke(SimpleNamespace(_data=data))


def test_a_net_trained_on_a_drawing_is_used_at_once(lab):
    trainer = Trainer(lab.bench)
    shown = list(trainer.train(DRAWN, "", "idff", 0.2, 60, 0, ()))
    assert len(shown) == 3 and "Training" in shown[0][0] and "Trained" in shown[-1][0]
    assert len(json.loads(shown[1][1])["data"]) == 2  # loss and MMD^2
    own = shown[-1][-1]
    assert own == ((DRAWN, ring(), "idff", 0.2, lab.bench.trained[-1]),)
    panels = json.loads(lab.flows(*controls(("idff", "euler"), density=DRAWN, net="auto", own=own))[0])["panels"]
    assert panels[0]["note"] == "net trained here"
    kept = lab.bench.trained
    assert own_net(own, DRAWN, ring(), "idff", 0.2, kept) and own_net(own, DRAWN, "", "idff", 0.2, kept)
    assert own_net(own, DRAWN, "", "idff", 0.3, kept) is None and own_net(own, "moons", "", "idff", 0.2, kept) is None
    assert own_net(own, DRAWN, "", "idff", 0.2, ()) is None  # forgotten by the bench


def test_a_stopped_training_keeps_its_net(lab):
    def stop(share, what):
        raise Superseded

    *_, last = Trainer(lab.bench).train("moons", "", "icfm", 0.2, 1000, 5, (), stop)
    assert "Stopped" in last[0] and "50 of 1,000" in last[0] and lab.bench.trained[-1] == last[-1][0][-1]
