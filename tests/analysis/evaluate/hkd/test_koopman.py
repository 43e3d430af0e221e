"""The parts of an evaluation: what they print is what the Workbench answers."""

from dataclasses import replace

import pytest

from analysis.evaluate.hkd import koopman
from analysis.evaluate.hkd.edit_comparison import compare_edits
from analysis.evaluate.tables.markdown import Verdict
from analysis.evaluate.tables.parts import Job
from analysis.workbench.findings import attribution_verdict, linearity_verdict, readings
from analysis.workbench.probes import AttributionRequest, BandLabelsRequest, LinearityRequest
from analysis.workbench.workbench import Workbench
from foundation.randomness import FIRST_SEED
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from koopman_core.operator import sigma_of_tau
from tests.analysis.conftest import random_pair

pytestmark = pytest.mark.usefixtures("no_backbone")


@pytest.fixture(scope="module")
def bench():
    bench = Workbench(*random_pair())
    bench.model.card = {"data": {"spec": "shapes", "name": "shapes"}}
    return bench


def recorder():
    shares = []
    return shares, lambda share, what: shares.append(share)


def complete(shares):
    return shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_bands(bench):
    shares, progress = recorder()
    blocks = koopman.bands(Job(bench, 3, progress)).blocks
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + 3))
    for kind in ("mean", "zero"):
        asked = BandLabelsRequest(seeds, ablation=kind)
        found = {order: bench.band_labels(replace(asked, order=order)) for order in ("alpha", "abs")}
        assert koopman.bands_table(found) in blocks and complete(shares)
        assert all(koopman.bands_verdict(r, order) in blocks for order, r in found.items())


def test_attribution(bench):
    shares, progress = recorder()
    blocks = koopman.attribution(Job(bench, 8, progress)).blocks
    tested = []
    for sigma in (0.002, float(sigma_of_tau(0.5))):
        for order in ("alpha", "abs"):
            r = bench.attribution(AttributionRequest(8, sigma, carried=True, order=order, seed=FIRST_SEED))
            tested += readings(r, sigma, order)
            if order == "alpha":
                assert koopman.attribution_table(r, "bands") in blocks
            assert koopman.attribution_table(r, "levels") in blocks  # levels do not know the order
    assert koopman.blurs_table("shapes", r.rows, 8, bench.model.picture_shape[1]) in blocks
    assert len(tested) == 8 and koopman.readings_table(tested) in blocks
    assert blocks[-1].text == attribution_verdict(tested) and complete(shares)
    assert list(blocks[-1].figures["factors_held"].values()) == [len(t.held) for t in tested]


@pytest.mark.parametrize("data", [{}, {"spec": "cifar10", "name": "CIFAR-10"}, {"spec": "folder", "name": "shapes"}])
def test_attribution_is_for_procedural_scenes_only(data):
    other = Workbench(*random_pair())
    other.model.card = {"data": data}
    (text,) = koopman.attribution(Job(other, 8)).blocks
    assert data.get("name", "other pictures") in text


def test_linearity(bench):
    shares, progress = recorder()
    blocks = koopman.linearity(Job(bench, 2, progress)).blocks
    r = bench.linearity(LinearityRequest((FIRST_SEED, FIRST_SEED + 1)))
    assert koopman.linearity_table(r) in blocks and koopman.dmd_table(r, bench.entries) in blocks
    assert blocks[-2].text == linearity_verdict(r) and koopman.dmd_verdict(r, bench.entries) == blocks[-1]
    assert blocks[-2].figures["learned"] == pytest.approx([(e[1:] ** 2).mean() ** 0.5 for e in r.learned])
    assert complete(shares)


def test_linearity_without_dmd():
    model, teacher = random_pair()
    other = KoopmanDiffusion(model.config, KoopmanConfig(warp="log"))
    blocks = koopman.linearity(Job(Workbench(other, teacher), 2)).blocks
    assert [type(b) for b in blocks[-2:]] == [str, Verdict] and "leading" not in blocks[-1].figures


def test_editing(bench):
    shares, progress = recorder()
    blocks = koopman.editing(Job(bench, 3, progress)).blocks
    pairs = [(FIRST_SEED + 2 * i, FIRST_SEED + 2 * i + 1) for i in range(3)]
    found = {name: compare_edits(bench.model, pairs, bands=bands, ratio=0.9) for name, bands in koopman.CHOICES.items()}
    lower = {r: compare_edits(bench.model, pairs, bands=(0,), ratio=r) for r in koopman.LOWER_RATIOS}
    assert all(table in blocks for table in koopman.editing_tables(found, lower)) and complete(shares)
    traded = koopman.trades(found, {**lower, 0.9: found["smallest"]})
    assert koopman.trades_table(traded) in blocks and koopman.editing_verdict(found, traded) in blocks
    assert lower[0.0].arms["agnostic"]["low_distance"].value == 0
