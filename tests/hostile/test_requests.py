"""Every frozen request with anything in its fields: it is refused in a sentence, or holds finite numbers in range."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import race
from analysis.flow import image_sweeps, nets, points, settings, transport
from analysis.flow import images as flow_images
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.points import Flow2DRequest
from analysis.workbench import editing, effects, images, probes, restoration, signatures, spectrum
from tests.hostile.judge import assert_finite, judged
from tests.hostile.strategies import ANY, fuzz

EXAMPLES = 100
PICTURE, MASK = np.full((16, 16, 3), 7, np.uint8), np.full((16, 16), 255, np.uint8)
MODULES = (
    images,
    spectrum,
    effects,
    probes,
    signatures,
    editing,
    restoration,
    points,
    nets,
    settings,
    flow_images,
    image_sweeps,
    transport,
    race,
)
ALL = [
    value
    for module in MODULES
    for name, value in sorted(vars(module).items())
    if name.endswith("Request") and value.__module__ == module.__name__
]
HONEST = {"seeds": (0,), "seed": 0, "entry": 0, "modes": (0,), "picture": PICTURE, "mask": MASK}
SETTINGS = {
    settings.SideBySideRequest: Flow2DRequest(),
    points.SweepRequest: Flow2DRequest(),
    image_sweeps.PictureSweepRequest: FlowPicturesRequest(seeds=(0, 1)),
    image_sweeps.GuidanceSweepRequest: FlowPicturesRequest(label=0),
}
LATER = ("label", "reference_label")  # how many classes there are, only the Workbench knows
ARRAYS = st.sampled_from(
    [
        PICTURE, MASK, MASK > 0, MASK / 255, MASK * np.nan, MASK - 1e9, MASK.astype(object), MASK.astype("<U9"),
        np.zeros((0, 0)), np.zeros((0, 0, 3), np.uint8), np.zeros((9999, 1), np.uint8), np.zeros((2,) * 9),
        np.zeros((16, 16), np.complex64), np.float64("nan"), np.array(3), MASK[::-1, ::-2],
    ]
)  # fmt: skip
FIELDS = {  # what only Python callers can send, where they may
    "picture": ARRAYS, "mask": ARRAYS, "drawing": ARRAYS,
    "settings": st.lists(st.sampled_from(list(SETTINGS.values())) | ANY, max_size=5).map(tuple),
}  # fmt: skip


def honest(request) -> dict:
    """What has to be given."""
    needed = [f.name for f in dataclasses.fields(request) if f.default is dataclasses.MISSING]
    return (
        {name: HONEST.get(name) for name in needed}
        | ({"settings": (SETTINGS[request],)} if request in SETTINGS else {})
        | ({"seeds": 2} if request is points.SweepRequest else {})
    )


def assert_clean(request) -> None:
    assert_finite([getattr(request, f.name) for f in dataclasses.fields(request) if f.name not in (*LATER, "settings")])


def test_all_requests_are_known():
    assert len(ALL) >= 16 and all(dataclasses.is_dataclass(r) for r in ALL)


@pytest.mark.parametrize("request_", ALL, ids=lambda r: r.__name__)
def test_anything_in_the_fields(request_):
    names = [f.name for f in dataclasses.fields(request_)]

    @fuzz(EXAMPLES)
    @given(data=st.data(), which=st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    def every(data, which):
        changed = {name: data.draw(ANY | FIELDS.get(name, st.tuples(ANY)), label=name) for name in which}
        judged(lambda: request_(**(honest(request_) | changed)), check=assert_clean)

    request_(**honest(request_))
    every()


@pytest.mark.parametrize("edges", [(0.9, 0.1), (1, 0), (0.5, 0.5, 0.4), (-1e-9, 1), (0.1,) * 9, (), (None,), ((0.1,),)])
@pytest.mark.parametrize("request_", [r for r in ALL if "edges" in {f.name for f in dataclasses.fields(r)}])
def test_edges_that_do_not_rise(request_, edges):
    assert judged(lambda: request_(**(honest(request_) | {"edges": edges})), check=assert_clean) is None
