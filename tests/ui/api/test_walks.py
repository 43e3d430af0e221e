"""The endpoints of walks, races and rankings: what the Workbench answers, and one sentence for what cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.flow.images import ImageFlows
from analysis.race import RACE_CALLS
from analysis.studio import Studio
from analysis.workbench.ranking import RankRequest
from analysis.workbench.walks import FewCallsRequest, WalkRequest
from tests.refusals import refuses
from tests.ui.api.asking import functions
from tests.ui.api.test_endpoints import picture


@pytest.fixture(scope="module")
def ask(library, tmp_path_factory):
    return functions(Studio(library=library, images=ImageFlows(tmp_path_factory.mktemp("no flows"))))


def test_a_walk_is_the_workbenchs(ask, library):
    out = ask.walk("tiny", 3, 8, -1, 5)
    expected = library.get("tiny").walk(WalkRequest(3, 8, frames=5))
    np.testing.assert_array_equal(np.stack([picture(p) for p in out["pictures"]]), expected.pictures)
    assert out["share"] == expected.share.tolist() and out["nfe"] == 1


def test_a_race_has_the_teacher_at_all_calls_and_says_who_is_not_there(ask, library):
    out = ask.race("tiny", 3)
    assert out["model"]["calls"] == [1] and out["teacher"]["calls"] == list(RACE_CALLS) and out["flow_path"] == ""
    assert out["flow"]["pictures"] == [] and "flow" in out["flow"]["absent"].lower()
    expected = library.get("tiny").few_calls(FewCallsRequest(3, calls=(1, 5), method="euler")).pictures
    np.testing.assert_array_equal(np.stack([picture(p) for p in out["teacher"]["pictures"][:2]]), expected)
    alone = ask.race("tiny-classes", 3, 1)
    assert alone["teacher"]["calls"] == [] and alone["teacher"]["absent"] and not alone["model"]["absent"]


def test_a_ranking_is_the_workbenchs(ask, library):
    out = ask.rank("tiny", 2, level=1, ablation="zero")
    expected = library.get("tiny").rank(RankRequest(2, 1, ablation="zero"))
    assert out["pair"] == expected.pair.tolist() and "without" not in out and out["level"] == 1
    np.testing.assert_allclose(out["mse"], expected.mse)
    shown = ask.rank("tiny", 2, level=1, ablation="zero", pictures=True)["without"]
    np.testing.assert_array_equal(picture(shown[0]), expected.without[0])


@pytest.mark.parametrize(("name", "arguments", "field"), [
    ("walk", {"frames": 1}, "frames"), ("walk", {"to": -1}, "to"), ("walk", {"model": "x"}, "model"),
    ("race", {"seed": 0.5}, "seed"), ("race", {"label": 99}, "label"), ("rank", {"level": 99}, "entry"),
    ("rank", {"pictures": 1}, "pictures"), ("rank", {"ablation": "x"}, "ablation"),
])  # fmt: skip
def test_what_cannot_be_is_refused(ask, name, arguments, field):
    with refuses(field):
        getattr(ask, name)(**arguments)
