"""Sentences follow the numbers: other numbers, other sentences."""

import dataclasses

import numpy as np

from analysis.workbench.findings import (
    OPERATOR_CONTROLS,
    attribution_words,
    compared,
    control_words,
    decoded_words,
    effect_words,
    label_words,
    listed,
)
from tests.analysis.figures.test_effects import SIGMA, TAU, N, attribution, effect, labels


def shares(r, levels, bands):
    return dataclasses.replace(r, levels=np.array(levels), bands=np.array(bands))


def test_lists():
    assert [listed(v) for v in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["none", "a", "a and b", "a, b and c"]


def test_what_learning_adds_is_read_from_the_card():
    kept = {
        "images": 16_000,
        "trainings": 3,
        "figures": {"move": {"learned": [0.25, 0.2, 0.3], "held": [0.5, 0.4, 0.6]}},
    }
    words = control_words({"metrics": {OPERATOR_CONTROLS: kept}}, "move")
    assert all(part in words for part in ("16,000", "0.25 [0.2, 0.3] (learned)", "0.5 [0.4, 0.6] (held)"))
    strange = (
        {},
        {"metrics": {}},
        {"metrics": [1]},
        {"metrics": {OPERATOR_CONTROLS: {**kept, "figures": {"move": 3}}}},
    )
    assert [control_words(card, "move") for card in strange] == [""] * 4
    assert control_words({"metrics": {OPERATOR_CONTROLS: kept}}, "another") == ""


def test_the_level_that_moves_most_and_until_when():
    line = 1 - TAU  # reaches half at 0.5, nine tenths at 0.1
    r = shares(effect(), [0.2 * line, 0.5 * line, 0.1 * line, 0.2 * line], [0.1 * line, 0.6 * line, 0.3 * line])
    words = effect_words(r)
    assert words.startswith("skip 1 moves most: it makes 50 % of all displacement")
    assert f"half of that by τ = 0.50 (σ = {SIGMA[N // 2]:.2g})" in words
    assert "middle α moves most (60 %)" in words and "fell back" not in words
    assert "middle |α|" in effect_words(r, "abs")


def test_a_level_that_turns_back_is_told():
    hill = np.minimum(1 - TAU, 0.6) * 2 - np.maximum(0.4 - TAU, 0) * 2
    r = shares(effect(), [hill, 0 * hill, 0 * hill, 0 * hill], [hill, 0 * hill, 0 * hill])
    assert f"reached {100 * hill.max():.0f} % at τ = 0.40 and fell back" in effect_words(r)


def test_energy_and_rest():
    up, flat = 0.2 + 0.5 * (1 - TAU), np.full(N, 0.1)
    r = shares(effect(kind="energy"), [1 - up, up, 0 * up, 0 * up], [up, 0.9 - up, flat])
    words = effect_words(r)
    assert "skip 0 holds most energy at noise (80 %), skip 1 at the picture (70 %)" in words
    assert "smallest α gains most, from 20 % to 70 %" in words and "middle α loses most, from 70 % to 20 %" in words
    still = shares(r, [flat * 4, flat, flat, flat], [flat, flat, flat])
    assert "still does" in effect_words(still) and "hardly any" in effect_words(still)
    assert "do not move" in effect_words(dataclasses.replace(effect(), moves=False))


def test_what_pictures_miss():
    r = effect()
    bands = np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.7], [0.0, 0.0, 0.0]])
    r = dataclasses.replace(r, decoded_bands=bands, decoded_levels=np.eye(4)[:, :3])
    words = decoded_words(r)
    assert "misses the band of middle α most (MSE 0.7" in words and "τ = 1.00 it is that of smallest α" in words
    assert "skip 2 most (MSE 1" in words
    same = dataclasses.replace(r, decoded_bands=bands[:, ::-1] * [1, 1, 0.1] + [[1], [0], [0]])
    assert "as it does at τ = 1.00" in decoded_words(same)


def test_coarse_to_fine():
    words = label_words(labels())
    assert words.startswith("From coarse to fine") and words.index("largest α (0.100") < words.index(
        "smallest α (0.200"
    )
    assert "Not more than chance apart: smallest α and middle α" in words and "without the band of largest α" in words
    sure = dataclasses.replace(labels(), distinct=(True, True))
    assert "by more than chance" in label_words(sure)
    assert "any detail" in label_words(dataclasses.replace(labels(), centroid=np.full(3, np.nan)))


def test_only_intervals_apart_from_the_baselines_count():
    r = attribution()
    assert compared(r).tolist() == [[-1, 0, 1], [1, 0, -1], [0, 0, 0]]
    assert not compared(r, "levels").any()
    words = attribution_words(r)
    assert "smallest α: more of texture, less of background" in words and "middle α: nothing special" in words
    alike = dataclasses.replace(r, bands_low=r.bands - 1, bands_high=r.bands + 1)
    assert "nothing special is in them" in attribution_words(alike)
    bare = dataclasses.replace(r, rows=("background", "texture", "place"))
    assert not compared(bare).any()
