"""Channel pairs by what leaving them out changes."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.workbench.library import ModelLibrary
from analysis.workbench.ranking import RankRequest
from analysis.workbench.spectrum import ModeRequest


@pytest.fixture(scope="module")
def bench(models):
    return ModelLibrary(models, default="shapes").get("shapes")


def test_each_pair_changes_what_its_modes_change_together(bench):
    entry = bench.spectrum().entries[-1]
    places = entry.alpha[0].size
    result = bench.rank(RankRequest(4, entry.index, ablation="zero"))
    assert sorted(result.pair) == list(range(entry.alpha.shape[0])) and (np.diff(result.mse) <= 0).all()
    for at in (0, -1):
        pair = int(result.pair[at])
        modes = tuple(range(pair * places, (pair + 1) * places))
        by_hand = bench.mode(ModeRequest(4, entry.index, modes, ablation="zero"))
        np.testing.assert_allclose(result.mse[at], by_hand.mse, rtol=1e-3, atol=1e-9)
        assert np.abs(result.without[at].astype(int) - by_hand.without).max() <= 1


def test_a_level_that_is_not_there_is_a_sentence(bench):
    with pytest.raises(UserError):
        bench.rank(RankRequest(0, 63))
