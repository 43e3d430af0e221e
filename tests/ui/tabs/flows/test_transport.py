"""Minibatch transport by batch size on the page: the handler as a plain function."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from analysis.flow import transport as pairs
from analysis.flow.points import PointFlows
from analysis.flow.transport import TransportRequest
from ui.tabs.flows.settings import cells_of, ring
from ui.tabs.flows.transport import TransportControls, TransportPart


@pytest.fixture
def part(monkeypatch):
    for name, value in {"NOISES": 16, "PAIRINGS": 2, "REFERENCE": 100}.items():
        monkeypatch.setattr(pairs, name, value)
    return TransportPart(PointFlows(), TransportControls.names())


@pytest.mark.parametrize("density", ["8gaussians", "drawn"])
def test_sentence_and_figure_are_of_the_density_and_seed_of_the_tab(part, density):
    out = part.pair(density, "", 7)
    r = part.flows.transport(TransportRequest(density, cells_of(ring()) if density == "drawn" else None, seed=7))
    cost, mmd2 = r.cost.mean(1), r.mmd2.mean(1)
    assert f"{cost[0]:.2f} to {cost[-1]:.2f}" in out["words"] and f"{mmd2[0]:.4f} to {mmd2[-1]:.4f}" in out["words"]
    shown = json.loads(out["figure"]["value"])["data"][1]["y"]
    drawn = np.frombuffer(base64.b64decode(shown["bdata"]), shown["dtype"])
    assert out["figure"]["visible"] and np.allclose(drawn, cost, rtol=1e-5)
