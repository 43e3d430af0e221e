"""Answers about signatures: which groups a model has, what is read from them, what is refused."""

import csv
import io

import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.evaluate.hkd.signatures import signature_blocks
from analysis.export.files import signatures_csv
from analysis.figures import signatures as figures
from analysis.koopman.scenes import DRAWN
from analysis.workbench.findings import signature_words
from analysis.workbench.signatures import SignatureRequest, contrast_names
from analysis.workbench.workbench import Workbench
from tests.analysis.conftest import random_pair
from tests.refusals import refuses
from tests.sentences import numbers, tells


@pytest.fixture(scope="module")
def drawn():
    """A model of drawn scenes without classes."""
    bench = Workbench(*random_pair())
    bench.model.card = {"data": {"spec": "shapes"}}
    return bench


@pytest.fixture(scope="module")
def classes():
    bench = Workbench(random_pair(classes=3)[0])
    bench.model.card = {}
    return bench


def test_contrasts_are_the_datas(drawn, classes):
    assert "" not in contrast_names(drawn) and contrast_names(classes) == ("",)
    portraits = Workbench(random_pair(classes=8)[0])
    portraits.model.card = {"data": {"spec": "portraits"}}
    assert contrast_names(portraits)[0] == "" and "glasses=1" in contrast_names(portraits)
    found = portraits.signatures(SignatureRequest(count=8))
    assert not found.own and len(found.groups) == 8 and found.chance == pytest.approx(1 / 8)


def test_drawn_scenes_fall_into_two_sides(drawn):
    contrast = contrast_names(drawn)[0]
    r = drawn.signatures(SignatureRequest(contrast, 16))
    assert len(r.groups) == 2 and not r.own and r.group.tolist() == [0] * 16 + [1] * 16
    levels, n = len(drawn.entries), len(r.tau)
    assert r.profile.shape == (n, 2, levels, 3) and r.separation.shape == (n, levels, 3)
    assert r.hits.shape == (3, n) and r.margin.shape == (2, n, 3) and r.energies.shape == (32, n, levels, 3)
    assert np.allclose(r.margin[:, :, 0], r.hits[0] - r.hits[1:]) and (r.hits_low <= r.hits).all()
    assert np.allclose(r.profile[:, 0], -r.profile[:, 1], atol=1e-9)  # two groups of one size lie on both sides
    assert drawn.signatures(SignatureRequest(contrast, 16)) is r  # kept


def test_groups_that_differ_in_brightness_are_read(drawn, monkeypatch):
    """A stronger difference than any factor: white scenes against black ones, which even random weights see."""

    def render(records, side):
        white = records["background" if "background" in records.dtype.names else records.dtype.names[0]]
        bright = np.asarray(white).reshape(len(records), -1).mean(1) > 0.5
        return np.repeat(255 * bright.astype(np.uint8), side * side * 3).reshape(-1, side, side, 3)

    monkeypatch.setattr(DRAWN["shapes"], "render", render)
    name = next(n for n in contrast_names(drawn) if n.startswith("background"))
    r = drawn.signatures(SignatureRequest(name, 16, seed=5))
    clean = int(np.argmin(r.tau))
    assert r.hits[0, clean] > 0.8 > r.chance and r.separation[clean].max() > 0.5
    read, chance = round(100 * r.hits[0, clean]), round(100 * r.chance)
    assert tells(signature_words(r)[0], 2, read, float(f"{r.tau[clean]:g}"), chance)
    assert len(numbers(signature_words(r)[0])) == 5  # and until when they are told apart


def test_own_pictures_of_every_class(classes):
    r = classes.signatures(SignatureRequest(count=8))
    assert r.own and r.groups == classes.classes and r.distance.shape == (len(r.tau), 3, 3)
    assert r.chance == pytest.approx(1 / 3)


def test_what_is_not_known_is_refused(drawn, classes):
    with refuses("contrast"):
        drawn.signatures(SignatureRequest("no such factor", 8))
    with refuses("contrast"):
        classes.signatures(SignatureRequest("smile", 8))
    with refuses("count"):
        SignatureRequest(count=4)
    bare = Workbench(random_pair()[0])
    bare.model.card = {}
    with pytest.raises(UserError):
        bare.signatures(SignatureRequest())


def test_a_value_that_is_too_rare_is_refused(drawn, monkeypatch):
    monkeypatch.setattr("analysis.workbench.signatures.SCENES_TO_CHOOSE", 1)
    with refuses("count"):
        drawn.signatures(SignatureRequest(contrast_names(drawn)[0], 24, seed=9))


def test_the_file_has_a_line_an_energy(classes):
    r = classes.signatures(SignatureRequest(count=8))
    lines = list(csv.DictReader(io.StringIO(signatures_csv(r))))
    assert len(lines) == r.energies.size and {line["group"] for line in lines} == set(r.groups)
    assert float(lines[-1]["log energy"]) == pytest.approx(float(r.energies[-1, -1, -1, -1]), rel=1e-6)


def test_figures_and_the_table_are_the_results(classes):
    r = classes.signatures(SignatureRequest(count=8))
    curves = {t.name: t for t in figures.reading_curves(r).data if t.name}
    assert len(curves) == 3 and np.allclose(curves["bands by α"].y, r.hits[0], atol=1e-6)
    assert figures.profile_map(r, 1).data[0].z.shape == (3, r.profile[0, 0].size)
    assert np.allclose(figures.distance_map(r, 1).data[0].z, r.distance[1], atol=1e-5)
    table, verdict = signature_blocks({"": r, "other": r})
    assert verdict.figures["contrasts"] == 2
    above = int(r.hits_low[0, int(np.argmin(r.tau))] > r.chance)
    assert verdict.figures["above_chance"][0] == 2 * above and len(table.rows) == 2
