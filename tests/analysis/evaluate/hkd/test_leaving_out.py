"""Leaving out by all ablations, against one picture at a time; which levels are idle."""

import pytest
import torch

from analysis.evaluate.hkd import leaving_out
from analysis.evaluate.hkd.leaving_out import IDLE_BOUND, STILL, LeftOut, measure_left_out
from analysis.evaluate.tables.parts import Job
from analysis.koopman import ablations
from analysis.koopman.spectrum import band_masks, pair_mask
from analysis.workbench.workbench import Workbench
from foundation.randomness import derived_seed, noise
from koopman_core.edm import SIGMA_MAX
from tests.analysis.conftest import random_pair
from tests.refusals import refuses
from tests.sentences import tells


def distance(x, y):
    return (x - y).abs().mean((1, 2, 3))


@pytest.fixture(scope="module")
def model():
    return random_pair()[0]


def test_every_distance_one_picture_at_a_time(model, monkeypatch):
    monkeypatch.setattr(leaving_out, "mean_latents", lambda m: ablations.mean_latents(m, count=5))
    monkeypatch.setattr(leaving_out, "LEFT_OUT_BATCH", 2)
    shares = []
    found = measure_left_out(model, [1, 2, 3], distance, edges=(0.4,), progress=lambda s, _: shares.append(s))
    assert shares == [pytest.approx(2 / 3), 1] and found.names[-1] == "bottleneck"
    entries = model.spectrum()
    levels = range(len(entries))
    parts = [[pair_mask(band_masks(e.alpha, (0.4,))[b]) for e in entries] for b in range(2)]
    parts += [[torch.tensor(i == left) for i in levels] for left in levels]

    def encoded(seed):
        return model.encode(SIGMA_MAX * noise([seed], model.picture_shape), SIGMA_MAX)

    with torch.no_grad():
        singles = [encoded(ablations.MEAN_SEED + i) for i in range(5)]
        mean = model.evolve([sum(x) / 5 for x in zip(*singles, strict=True)], 1.0, 0.0)
        for n, seed in enumerate([1, 2, 3]):
            start = encoded(seed)
            z = model.evolve(start, 1.0, 0.0)
            whole = model.decode(z).clamp(-1, 1)
            other = model.evolve(encoded(derived_seed(seed, ablations.RESAMPLE_KEY)), 1.0, 0.0)
            for kind, put in (("mean", mean), ("resample", other), ("zero", [torch.zeros_like(x) for x in z])):
                row = [
                    distance(whole, model.decode([torch.where(m, b, a) for a, b, m in zip(z, put, marks, strict=True)])
                             .clamp(-1, 1)) for marks in parts
                ]  # fmt: skip
                wanted = torch.cat(row).double()
                torch.testing.assert_close(found.bands[kind][n], wanted[:2], atol=1e-5, rtol=1e-3)
                torch.testing.assert_close(found.levels[kind][n], wanted[2:], atol=1e-5, rtol=1e-3)
            for level in levels:
                still = [start[i] if i == level else z[i] for i in levels]
                wanted = distance(whole, model.decode(still).clamp(-1, 1)).double()
                torch.testing.assert_close(found.levels[STILL][n, level : level + 1], wanted, atol=1e-5, rtol=1e-3)


def test_idle_is_small_by_both_and_beyond_chance():
    small, wide = torch.full((8,), IDLE_BOUND / 2), torch.tensor([0.0, 3 * IDLE_BOUND] * 4) / 2
    large = torch.full((8,), 2 * IDLE_BOUND)
    found = LeftOut(
        ("a", "b", "c", "d"), {},
        {"mean": torch.stack([small, small, large, wide], 1).double(),
         STILL: torch.stack([small, large, small, small], 1).double()},
    )  # fmt: skip
    assert found.idle == ("a",)


def test_the_part_reports_intervals_and_fills_the_card(model, monkeypatch):
    monkeypatch.setattr(leaving_out, "backbone", lambda _: distance)
    monkeypatch.setattr(leaving_out, "mean_latents", lambda m: ablations.mean_latents(m, count=5))
    outcome = leaving_out.leaving_out(Job(Workbench(model), 3))
    text, bands, levels, verdict = outcome.blocks
    assert tells(text, 3) and [r[0] for r in bands.rows] == ["smallest", "middle", "largest"]
    assert len(levels.rows) == 5 and all(len(cell.figures) == 3 for row in levels.rows for cell in row[1:])
    assert outcome.card["idle"] == verdict.figures["idle"]
    assert outcome.card["still"].keys() == {r[0] for r in levels.rows}
    monkeypatch.setattr(leaving_out, "backbone", lambda _: None)
    with refuses("lpips"):
        leaving_out.leaving_out(Job(Workbench(model), 3))
