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
from tests.sentences import numbers, tells


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
    sigma = float(f"{SIGMA[N // 2]:.2g}")
    assert tells(words, "skip 1", 50, 0.5, sigma, "middle α", 60) and numbers(words) == [1, 50, 0.5, sigma, 60]
    assert "middle |α|" in effect_words(r, "abs")


def test_a_level_that_turns_back_is_told():
    hill = np.minimum(1 - TAU, 0.6) * 2 - np.maximum(0.4 - TAU, 0) * 2
    r = shares(effect(), [hill, 0 * hill, 0 * hill, 0 * hill], [hill, 0 * hill, 0 * hill])
    assert tells(effect_words(r), round(100 * hill.max()), 0.4)


def test_energy_and_rest():
    up, flat = 0.2 + 0.5 * (1 - TAU), np.full(N, 0.1)
    r = shares(effect(kind="energy"), [1 - up, up, 0 * up, 0 * up], [up, 0.9 - up, flat])
    words = effect_words(r)
    assert tells(words, "skip 0", 80, "skip 1", 70, "smallest α", 20, 70, "middle α", 70, 20)
    still = effect_words(shares(r, [flat * 4, flat, flat, flat], [flat, flat, flat]))
    assert numbers(still) == [0, 40, 40] and "α" not in still  # of skip 0; no band gains
    assert "skip" not in effect_words(dataclasses.replace(effect(), moves=False))


def test_what_pictures_miss():
    r = effect()
    bands = np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.7], [0.0, 0.0, 0.0]])
    r = dataclasses.replace(r, decoded_bands=bands, decoded_levels=np.eye(4)[:, :3])
    words = decoded_words(r)
    assert tells(words, "middle α", 0.7, 1, "smallest α", "skip 2", 1)
    same = decoded_words(dataclasses.replace(r, decoded_bands=bands[:, ::-1] * [1, 1, 0.1] + [[1], [0], [0]]))
    assert tells(same, "smallest α", 1, "skip 2") and same.count("α") == 1


def test_coarse_to_fine():
    words = label_words(labels())
    coarse_to_fine = "largest α", 0.1, 0.1, 0.3, "smallest α", 0.2, 0.1, 0.3
    assert tells(words, *coarse_to_fine, "smallest α", "middle α", "largest α", 0.3)  # not apart; missed most
    sure = label_words(dataclasses.replace(labels(), distinct=(True, True)))
    assert tells(sure, *coarse_to_fine, "largest α", 0.3) and "middle α" not in sure
    assert "α" not in label_words(dataclasses.replace(labels(), centroid=np.full(3, np.nan)))


def test_only_intervals_apart_from_the_baselines_count():
    r = attribution()
    assert compared(r).tolist() == [[-1, 0, 1], [1, 0, -1], [0, 0, 0]]
    assert not compared(r, "levels").any()
    words = attribution_words(r)
    assert tells(words, "smallest α", "texture", "background", "middle α", "largest α", "background", "texture")
    assert words.count("texture") == words.count("background") == 2, "middle α carries nothing of its own"
    alike = dataclasses.replace(r, bands_low=r.bands - 1, bands_high=r.bands + 1)
    assert "α" not in attribution_words(alike)
    bare = dataclasses.replace(r, rows=("background", "texture", "place"))
    assert not compared(bare).any()
