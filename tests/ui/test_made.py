"""Every result of Watch, Look inside and Change carries model, class and seed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from analysis.studio import Studio
from tests.ui.made import made_of
from ui.components.made import Made
from ui.components.painter import hole
from ui.source import NO_CLASS
from ui.tabs.change.compare import OF_A_SIDE, CompareControls, CompareTab
from ui.tabs.change.directions import DirectionControls, DirectionTab
from ui.tabs.change.edit import EditTab
from ui.tabs.change.edit_controls import EditControls
from ui.tabs.change.grid import GridControls, GridPanel
from ui.tabs.change.inversion import InversionControls, InversionTab
from ui.tabs.change.restore import RestoreControls, RestoreTab
from ui.tabs.inside.effects import EffectControls, EffectsTab
from ui.tabs.inside.pairs import PairControls, PairPart
from ui.tabs.inside.spectrum import SpectrumTab
from ui.tabs.inside.spectrum_controls import SpectrumControls
from ui.tabs.inside.surgery import NEUTRAL, Surgery, SurgeryControls
from ui.tabs.watch.generate import GenerateControls, GenerateTab
from ui.tabs.watch.race import RaceControls, RaceTab
from ui.tabs.watch.walk import WalkControls, WalkTab

MODEL, SEED, LABEL = "tiny-classes", 3, 1
WHO = {"model": MODEL, "seed": SEED, "label": LABEL}
THIS = {"model": MODEL, "label": "<b>ship</b>", "seed": SEED}
BANDS = {"low": 0.3, "high": 0.6, "order": "alpha"}
GAINS = {"small": 0.5, "middle": 1.0, "large": 1.0}
EDIT = {
    "reference": "seed", "other": 5, "other_label": NO_CLASS, "picture": None, "encoding": "noise", "noise_seed": 0,
    "tau": 0.5, "low": 0.3, "high": 0.6, "bands": [2], "order": "alpha", "ratio": 50, "region": "whole", "mask": None,
    "levels": [], "feather": 0,
}  # fmt: skip
HOLE = {
    "origin": "seed", "brought": None, "task": "inpaint", "mask": hole("left half", 16), "steps": 1,
    "end": 0, "skip": False, "by": "model", "method": "iterative", "tau": 0.5, "filling_seed": 7, "truth": True,
}  # fmt: skip


def restored(library) -> dict:
    tab = RestoreTab(library, RestoreControls.names())
    visitor = SimpleNamespace(session_hash="made")
    tab.wish(visitor)
    *_, last = tab.run(visitor, **WHO, **HOLE)
    return last


RESULTS = {
    "watch": lambda library: GenerateTab(library, GenerateControls.names()).picture(MODEL, SEED, LABEL),
    "way": lambda library: GenerateTab(library, GenerateControls.names()).trajectory(MODEL, SEED, LABEL, 4),
    "walk": lambda library: WalkTab(library, WalkControls.names()).walk(MODEL, SEED, LABEL, 9, 3),
    "race": lambda library: RaceTab(library, Studio(library=library).images, RaceControls.names()).race(
        MODEL, SEED, LABEL, None
    ),
    "modes": lambda library: SpectrumTab(library, SpectrumControls.names()).contributions(
        MODEL, SEED, LABEL, 0, *BANDS.values(), [0, 3]
    ),
    "bands": lambda library: SpectrumTab(library, SpectrumControls.names()).masked(
        **WHO, **BANDS, **GAINS, levels=[]
    ),
    "surgery": lambda library: Surgery(library, SurgeryControls.names()).operate(
        True, **WHO, **BANDS, band=0, levels=[], tau=0.0, **NEUTRAL
    ),
    "pairs": lambda library: PairPart(library, PairControls.names()).rank(MODEL, SEED, LABEL, 0),
    "over time": lambda library: EffectsTab(library, EffectControls.names()).decoded(
        MODEL, SEED, LABEL, *BANDS.values(), 1
    ),
    "edit": lambda library: EditTab(library, EditControls.names()).show(**WHO, **EDIT),
    "restore": restored,
    "directions": lambda library: DirectionTab(library, DirectionControls.names()).find(
        **WHO, method="mean", contrast=None, class_from=0, class_to=1, index=1, region="whole", reach=2
    ),
    "inversion": lambda library: InversionTab(library, InversionControls.names()).invert(
        **WHO, origin="seed", brought=None, steps=4
    ),
}  # fmt: skip


@pytest.mark.parametrize("view", RESULTS)
def test_a_result_carries_model_class_and_seed(library, view):
    told = [made for shown in RESULTS[view](library).values() if isinstance(shown, str) for made in made_of(shown)]
    assert told and all(made == THIS for made in told)


def test_a_sheet_of_seeds_has_no_one_seed(library):
    shown = GenerateTab(library, GenerateControls.names()).sheet(MODEL, LABEL, 12)
    assert made_of(shown["sheet_made"]) == [THIS | {"seed": None}] and "seeds 12 to 23" in shown["sheet_made"]


def test_each_side_of_a_comparison_has_its_own(library):
    sides = {f"{name}_{s}": value for s in "ab" for name, value in zip(
        OF_A_SIDE, (MODEL, SEED + (s == "b"), LABEL, 0.3, 0.6, 1, 1, 1, "alpha"), strict=True)}  # fmt: skip
    shown = CompareTab(library, CompareControls.names()).pair(**sides)
    assert made_of(shown["pictures"]) == [THIS, THIS | {"seed": SEED + 1}]


def test_a_grid_leaves_out_what_differs_from_cell_to_cell(library):
    fixed = {"reference": 1, "ratio": 0.5, "time": 0.5, "region": "whole", "noise": 0, "steps": 4}
    panel = GridPanel(library, GridControls.names())
    *_, last = panel.make("bands", "large", "0,1", "seed", "1,2", [2], **fixed, **WHO, **BANDS, **GAINS)
    assert made_of(last["page"]) == [THIS | {"seed": None}]


def test_a_picture_of_ones_own_has_no_seed(library):
    tab = InversionTab(library, InversionControls.names())
    brought = hole("random dots", 16)[..., None].repeat(3, axis=2)
    shown = tab.invert(**WHO, origin="picture", brought=brought, steps=4)
    assert made_of(shown["words"]) == [THIS | {"seed": None}]


def test_names_are_escaped():
    line = Made("<b>", "<i>", 0).line(over="<u>")
    assert not {"<b>", "<i>", "<u>"} & {line[i : i + 3] for i in range(len(line))}
