"""The report of what is looked at: complete, escaped, alone."""

import re

import pytest

from analysis.export.report import picture_report
from analysis.recipes import recipe
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.library import ModelInfo, ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from tests.sentences import tells


@pytest.fixture(scope="module")
def library(models):
    return ModelLibrary(models)


def test_everything_is_in_it(library):
    bench, path, mask = library.get("shapes"), TrajectoryRequest(5, -1, 6), MaskRequest(5, gains=(1, 0, 1))
    report = picture_report(bench, library.info("shapes"), path, mask, 0)
    assert report.count("<img") == 1 + 2 * 6 + 3  # picture, two paths, full and masked and difference
    assert report.count('type="application/json"') == 3  # error curve, eigenvalues, sorted alpha
    assert tells(report, "Koopman path", 1, 11)  # network calls of model and teacher
    for entry in bench.spectrum().entries:
        assert f"<td>{entry.name}</td>" in report
    assert f"{bench.mask_bands(mask).mse:.4g}" in report
    for request in (path, mask):
        digest = recipe.describe(request, bench).checkpoint
        assert report.count(digest) == 2


def test_it_asks_for_nothing(library):
    report = picture_report(
        library.get("shapes"), library.info("shapes"), TrajectoryRequest(5, -1, 4), MaskRequest(5), 99
    )
    page = re.sub(r"<script>.*?</script>", "", report, flags=re.DOTALL)  # plotly's own, bound by the policy
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)


def test_without_a_teacher(library):
    path, mask = TrajectoryRequest(5, 1, 4), MaskRequest(5, 1)
    report = picture_report(library.get("many"), library.info("many"), path, mask, 0)
    assert report.count("<img") == 1 + 4 + 3 and "seed 5, b;" in report


def test_a_card_is_text(library):
    card = {"note": "<script>1</script>", "data": {"<b>": ["x" * 5000]}}
    info = ModelInfo("shapes", card, 3, 16, ())
    report = picture_report(library.get("shapes"), info, TrajectoryRequest(5, -1, 4), MaskRequest(5), 0)
    assert "<script>1" not in report and "&lt;script&gt;1" in report and "<b>" not in report
    assert "x" * 300 not in report
