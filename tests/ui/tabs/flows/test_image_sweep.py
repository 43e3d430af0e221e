"""View "Picture sweep": handlers as plain functions, and the words."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.flow.image_sweeps import PictureSweepResult
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from tests.refusals import refuses
from tests.sentences import tells
from tests.ui.made import controls_of
from tests.ui.tabs.flows.image_values import controls, hidden
from ui.server.runs import Superseded
from ui.tabs.flows.image_sweep import GAPS, PictureSweep, SweepControls, sweep_words
from ui.tabs.flows.images import START_SETTINGS, FlowImages, FlowImagesControls


@pytest.fixture(scope="module")
def part(flows_folder) -> PictureSweep:
    torch.set_num_threads(1)
    flows = ImageFlows(flows_folder)
    return PictureSweep(flows, FlowImages(flows, FlowImagesControls.names()), SweepControls.names())


def test_sweep(part):
    told = []
    shown = part.sweep(lambda share, what: told.append(share), sweep_seeds=2, **controls(*START_SETTINGS[:2]))
    words, figure = shown["words"], shown["figure"]
    assert tells(words, 2, 0, 1) and told[-1] > 0.9
    assert {"OT-CFM, Euler", "IDFF, Heun"} <= {t.get("name") for t in json.loads(figure["value"])["data"]}

    rows = list(csv.DictReader(io.StringIO(shown["curves"])))
    assert len(rows) == 2 * 9 and {r["seeds"] for r in rows} == {"2"}
    asked = [r for r in part.tab.requests(**controls(*START_SETTINGS[:2], pictures=2)) if r]
    found = part.flows.distance(replace(asked[0], nfe=1))
    first = found.psnr if found.lpips is None else found.lpips
    assert float(rows[0]["mean"]) == pytest.approx(first.mean(), rel=1e-6) and rows[0]["calls"] == "1"

    def superseded(share, what):
        raise Superseded

    with pytest.raises(Superseded):
        part.sweep(superseded, **controls(*START_SETTINGS[:2], seed=9))
    with refuses("settings"):
        part.sweep(**hidden(controls(START_SETTINGS[0])))


def test_sweep_words_know_which_way_is_better():
    distance = np.array([[[10.0, 12.0]], [[20.0, 24.0]], [[np.nan, 9.0]]])
    first = FlowPicturesRequest(seeds=(3, 4))
    psnr = sweep_words(PictureSweepResult(np.array([5]), distance, "PSNR"), ["one", "two", "three"], first)
    lpips = sweep_words(PictureSweepResult(np.array([5]), distance, "LPIPS"), ["one", "two", "three"], first)
    assert " two " in psnr and "22.0 ± 2.8 dB" in psnr and " one " in lpips and " two " not in lpips and GAPS in psnr
    none = sweep_words(PictureSweepResult(np.array([5]), distance[2:], "PSNR"), ["three"], first)
    assert " three " not in none and "NaN" not in none and "nan" not in none


def test_a_sweep_is_made_with_all_but_pictures_and_calls(part):
    values = controls(("idff", "published"), seed=4) | {"guidance": 1.0}
    shown = controls_of(part.tab.show(**values)["words"])
    swept = controls_of(part.sweep(sweep_seeds=2, **values)["words"])
    assert shown.keys() - swept.keys() == {"pictures", "nfe_a"}
