"""The parts of an evaluation: what they print is what the Workbench answers."""

import pytest

from analysis.evaluate import koopman
from analysis.evaluate import koopman as result_tables
from analysis.evaluate import koopman as verdicts
from analysis.evaluate.edit_comparison import compare_edits
from analysis.workbench.findings import attribution_verdict, linearity_verdict, readings
from analysis.workbench.probes import AttributionRequest, BandLabelsRequest, LinearityRequest
from analysis.workbench.workbench import Workbench
from foundation.randomness import FIRST_SEED
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from koopman_core.operator import sigma_of_tau
from tests.analysis.conftest import random_pair


@pytest.fixture(scope="module")
def bench():
    bench = Workbench(*random_pair())
    bench.model.card = {"data": {"spec": "shapes", "name": "shapes"}}
    return bench


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch, tmp_path):
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def told():
    shares = []
    return shares, lambda share, what: shares.append(share)


def complete(shares):
    return shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_bands(bench):
    shares, progress = told()
    text = koopman.bands(bench, 3, progress)
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + 3))
    found = {order: bench.band_labels(BandLabelsRequest(seeds, order=order)) for order in ("alpha", "abs")}
    assert result_tables.bands_table(found) in text and complete(shares)
    assert all(verdicts.bands_verdict(r, order) in text for order, r in found.items())


def test_attribution(bench):
    shares, progress = told()
    text = koopman.attribution(bench, 8, progress)
    tested = []
    for sigma in (0.002, float(sigma_of_tau(0.5))):
        for order in ("alpha", "abs"):
            r = bench.attribution(AttributionRequest(8, sigma, carried=True, order=order, seed=FIRST_SEED))
            tested += readings(r, sigma, order)
            if order == "alpha":
                assert result_tables.attribution_table(r, "bands") in text
            assert result_tables.attribution_table(r, "levels") in text  # levels do not know the order
    assert len(tested) == 8 and result_tables.readings_table(tested) in text
    assert attribution_verdict(tested) in text and complete(shares)


@pytest.mark.parametrize("data", [{}, {"spec": "cifar10", "name": "CIFAR-10"}, {"spec": "folder", "name": "shapes"}])
def test_attribution_is_for_procedural_scenes_only(data):
    other = Workbench(*random_pair())
    other.model.card = {"data": data}
    text = koopman.attribution(other, 8)
    assert text.startswith("Not applicable: ") and text.endswith(f"trained on {data.get('name', 'other pictures')}.")


def test_linearity(bench):
    shares, progress = told()
    text = koopman.linearity(bench, 2, progress)
    r = bench.linearity(LinearityRequest((FIRST_SEED, FIRST_SEED + 1)))
    assert result_tables.linearity_table(r) in text and result_tables.dmd_table(r, bench.entries) in text
    assert linearity_verdict(r) in text and verdicts.dmd_verdict(r, bench.entries) in text
    assert complete(shares)


def test_linearity_without_dmd():
    model, teacher = random_pair()
    other = KoopmanDiffusion(model.config, KoopmanConfig(warp="log"))
    text = koopman.linearity(Workbench(other, teacher), 2)
    assert "DMD is not applicable" in text and "leading eigenvalues" not in text and "Verdict" in text


def test_editing(bench):
    shares, progress = told()
    text = koopman.editing(bench, 3, progress)
    pairs = [(FIRST_SEED + 2 * i, FIRST_SEED + 2 * i + 1) for i in range(3)]
    found = {name: compare_edits(bench.model, pairs, bands=bands, ratio=0.9) for name, bands in koopman.CHOICES.items()}
    lower = {r: compare_edits(bench.model, pairs, bands=(0,), ratio=r) for r in koopman.LOWER_RATIOS}
    assert result_tables.editing_tables(found, lower) in text and complete(shares)
    traded = verdicts.trades(found, {**lower, 0.9: found["smallest"]})
    assert result_tables.trades_table(traded) in text and verdicts.editing_verdict(found, traded) in text
    assert lower[0.0].arms["agnostic"]["low_distance"].mean == 0
