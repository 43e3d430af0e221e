"""The sweep over guidance scales: the handler as a plain function on tiny nets."""

from __future__ import annotations

import pytest

from analysis.core.errors import UserError
from analysis.flow import image_sweeps
from analysis.flow.images import ImageFlows
from tests.analysis.flow.image_flows import write_flows
from ui.tabs.flows import guidance_sweep
from ui.tabs.flows.guidance_sweep import SWEPT_PICTURES, GuidanceControls, GuidanceSweep
from ui.tabs.flows.image_results import setting_name
from ui.tabs.flows.images import FlowImages, FlowImagesControls

VALUES = {
    "data": "cifar10", "label": 1, "pictures": 6, "grid": "uniform", "seed": 3, "guidance": 4.0, "guidance_from": 1.0,
    "guidance_to": 0.25,
    **{f"shown_{k}": k in "ab" for k in "abcd"}, **{f"path_{k}": "idff" for k in "abcd"},
    **{f"sampler_{k}": s for k, s in zip("abcd", ("euler", "heun", "euler", "euler"), strict=True)},
    **{f"nfe_{k}": 4 for k in "abcd"}, **{f"gamma{n}_{k}": 0.0 for k in "abcd" for n in (1, 2, 3)},
}  # fmt: skip


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    flows = ImageFlows(write_flows(tmp_path_factory.mktemp("flows")))
    tab = FlowImages(flows, FlowImagesControls.names())
    return GuidanceSweep(flows, tab, setting_name, GuidanceControls.names())


def test_a_row_a_setting_and_a_picture_a_scale(part, monkeypatch):
    asked: list = []

    def answer(flows, request, report):
        asked.append(request)
        return image_sweeps.guidance_sweep(flows, request, report)

    monkeypatch.setattr(guidance_sweep, "guidance_sweep", answer)
    out = part.sweep(**VALUES)
    (request,) = asked
    assert [s.sampler for s in request.settings] == ["euler", "heun"]
    assert {(s.guidance_from, s.guidance_to, s.label, len(s.seeds)) for s in request.settings} == {
        (0.25, 1.0, 1, SWEPT_PICTURES)
    }
    assert out["rows"].count("<img") == 2 * len(request.scales)
    result = image_sweeps.guidance_sweep(part.flows, request)
    for calls in set(result.nfe.ravel().tolist()):
        assert f"{calls} calls" in out["rows"]


def test_without_a_class_it_says_so(part):
    with pytest.raises(UserError) as e:
        part.sweep(**VALUES | {"label": -1})
    assert e.value.field == "settings"
