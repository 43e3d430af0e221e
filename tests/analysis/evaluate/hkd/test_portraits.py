"""Every part of a model of portraits that needs its data: on a tiny one, with its own factors."""

from functools import partial

import pytest

from analysis.evaluate.hkd import directions, inversion, koopman, leaving_out, restoration
from analysis.evaluate.tables.markdown import Table
from analysis.evaluate.tables.parts import Job
from analysis.koopman.ablations import mean_latents
from analysis.metrics.image import mse
from analysis.workbench.workbench import Workbench
from foundation.procedural import portraits
from tests.analysis.conftest import random_pair

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench():
    model, teacher = random_pair(5, classes=8)
    model.card = {"name": "faces", "data": {"spec": "portraits", "classes": list(portraits.HAIR_STYLES)}}
    for p in (*model.parameters(), *teacher.parameters()):
        p.requires_grad_(False)
    return Workbench(model, teacher, "faces")


def tables(outcome):
    return [b for b in outcome.blocks if isinstance(b, Table)]


def test_attribution_asks_about_the_factors_of_faces(bench):
    found = tables(koopman.attribution(Job(bench, 8)))
    first = [str(row[0]).strip("`") for row in found[0].rows]
    assert {"hair", "mouth", "glasses", "everything"} <= set(first) and "turn" not in first


@pytest.mark.parametrize("part", ["leaving-out", "directions", "inversion", "restoration", "bands"])
def test_parts(bench, part, monkeypatch, no_backbone):
    monkeypatch.setattr("analysis.workbench.session.mean_latents", partial(mean_latents, count=32))
    monkeypatch.setattr(leaving_out, "backbone", lambda _: mse)
    monkeypatch.setattr(restoration, "STEP_CHOICES", (2,))
    monkeypatch.setattr(directions, "BISECTIONS", 2)
    measure = {
        "leaving-out": leaving_out.leaving_out, "directions": directions.directions, "inversion": inversion.inversion,
        "restoration": restoration.restore, "bands": koopman.bands,
    }[part]  # fmt: skip
    count = {"restoration": 4}.get(part, 2)
    assert tables(measure(Job(bench, count)))
