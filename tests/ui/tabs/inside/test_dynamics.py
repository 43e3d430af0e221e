"""View "Your dynamics" as plain functions."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest

from analysis.figures.dynamics import eigenvalue_plane, strong_modes
from analysis.koopman import trajectories
from analysis.koopman.trajectories import EXAMPLE_RATES, example_states, open_states, study
from tests.refusals import refuses
from ui.server.runs import Superseded
from ui.tabs.inside.dynamics import DynamicsControls, DynamicsTab, carries


@pytest.fixture(scope="module")
def tab():
    return DynamicsTab(DynamicsControls.names())


def packed(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def test_the_example_marks_its_rates(tab):
    shown = tab.measure(None, "optimised", 4, 0.25)
    rates = json.loads(shown["plane"]["value"])["data"][1]
    assert rates["x"] == [r.real for r in EXAMPLE_RATES] and rates["y"] == [r.imag for r in EXAMPLE_RATES]
    found = study(example_states(), 4, method="optimised")
    for rate in EXAMPLE_RATES:  # noise of .3, and yet near
        assert np.abs(found.alpha + 1j * found.beta - rate).min() < 0.1


def test_a_file_is_studied(tab):
    paths = example_states(0.01, seed=3).paths.numpy()
    brought = tab.bring(packed(states=paths))
    assert "16 trajectories" in brought["of"] and str(paths.shape[2]) in brought["of"]
    shown = tab.measure(brought["brought"], "exact", 4, 0.5)
    assert len(json.loads(shown["plane"]["value"])["data"]) == 1  # nothing known to mark
    found = study(open_states(packed(states=paths)), 4, 0.5)
    curves = {t["name"]: t for t in json.loads(shown["errors"]["value"])["data"]}
    assert len(curves) == len(found.errors) and shown["errors"]["visible"]
    assert "<script" not in shown["words"] and repr(brought["brought"]).count(",") < 6  # its bytes are no key


def test_what_cannot_be_read_is_refused(tab, monkeypatch):
    for data in (None, b"", b"nothing"):
        with refuses(*({"npz"} if not data else {"states"})):
            tab.bring(data)
    with refuses("states"):
        tab.bring(packed(other=np.zeros(3)))
    monkeypatch.setattr(trajectories, "VISITOR_BYTES", 10)
    with refuses("npz"):
        tab.bring(packed(states=np.zeros((2, 4, 3))))
    with refuses("method"):
        tab.measure(None, "other", 4, 0.25)


def test_it_can_be_stopped(tab):
    def stop(share, what):
        raise Superseded

    with pytest.raises(Superseded):
        tab.measure(None, "exact", 4, 0.25, stop)


def test_weak_modes_do_not_decide_what_is_in_view():
    found = study(example_states(), 8)
    figure = eigenvalue_plane(found, EXAMPLE_RATES)
    strong = strong_modes(found)
    low, high = figure.layout.xaxis.range
    assert low < found.alpha[strong].min() and found.alpha[strong].max() < high
    outside = int(((found.alpha < low) | (found.alpha > high)).sum())
    assert int(strong.sum()) == 4 and outside > 0 and str(outside) in figure.layout.annotations[0].text


def test_what_dies_at_once_is_weak_however_large_it_began():
    found = study(example_states(), 8)
    rates = {name: np.zeros(2) for name in ("beta", "beta_low", "beta_high")}
    rates |= {name: np.array([-0.1, -90.0]) for name in ("alpha", "alpha_low", "alpha_high")}
    found = dataclasses.replace(found, **rates, amplitude=np.ones(2))
    assert strong_modes(found).tolist() == [True, False]
    low, high = eigenvalue_plane(found).layout.xaxis.range
    assert -1 < low < -0.1 < high


def test_noise_alone_has_no_law():
    rng = np.random.default_rng(0)
    states = open_states(packed(states=rng.normal(size=(8, 12, 5))))
    assert not carries(study(states, 2)) and carries(study(example_states(0.01), 4))
