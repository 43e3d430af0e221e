"""View "Angles": handlers as plain functions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from analysis.flow import torus
from analysis.flow.torus import TorusFlows
from flow_core import save
from flow_core.model import FlowModel
from flow_core.networks import TorusConfig
from flow_core.series import alanine
from flow_core.training.torus import TORUS_FLOW
from tests.ui.made import controls_of
from ui.tabs.flows.torus import SHOWN_ANGLES, AnglesControls, AnglesTab


@pytest.fixture
def tab(tmp_path, monkeypatch):
    angles = np.random.default_rng(0).uniform(-3, 3, (2, 300, 2)).astype(np.float32)
    monkeypatch.setattr(torus.alanine, "load", lambda: alanine.Dihedrals(angles, 1.0, "ours"))
    torch.manual_seed(0)
    save(FlowModel(TORUS_FLOW, TorusConfig(width=8, depth=1)), tmp_path / "torus-alanine.flow.safetensors", {})
    return AnglesTab(TorusFlows(tmp_path), AnglesControls.names())


def test_points_stay_on_the_square(tab):
    out = tab.show("heun", 4, 300, 0)
    (panel,) = json.loads(out["player"])["panels"]
    assert len(panel["x"][0]) > SHOWN_ANGLES and len(panel["times"]) == len(panel["x"])
    inside = ((np.abs(np.array(panel["x"])) < 3.145) & (np.abs(np.array(panel["y"])) < 3.145)).sum(1)
    # at every moment each point is in the square once, but for those that rounding puts on both of its edges
    assert ((inside >= SHOWN_ANGLES) & (inside < SHOWN_ANGLES + 12)).all()
    low, high = panel["figure"]["layout"]["xaxis"]["range"]
    assert (low, high) == pytest.approx((-np.pi, np.pi), abs=1e-5)
    result = tab.flows.angles(torus.AnglesRequest("heun", 4, 0, 300))
    assert f"{result.distance:.3f}" in out["words"] and f"{result.floor:.3f}" in out["words"]


def test_a_folder_without_the_net_says_so(tab, tmp_path):
    lost = AnglesTab(TorusFlows(tmp_path / "nothing"), tab.controls)
    out = lost.show("heun", 4, 300, 0)
    (panel,) = json.loads(out["player"])["panels"]
    assert panel["times"] is None and panel["numbers"] and out["words"] == ""


def test_a_result_says_which_controls_it_is_made_with(tab):
    told = controls_of(tab.show("heun", 4, 300, 2)["words"])
    assert told == {"sampler": "heun", "nfe": "4", "points": "300", "seed": "2"}
