"""Restoration against baselines: fills by hand, the loop with an early end and a skip, an honest choice."""

import numpy as np
import pytest
import torch
from skimage.restoration import inpaint_biharmonic

from analysis.core.errors import UserError
from analysis.evaluate.hkd import restoration as measured
from analysis.evaluate.hkd.restoration import (
    PUBLISHED_SETTING,
    Setting,
    biharmonic,
    mean_colour,
    measure_task,
    square_hole,
)
from analysis.evaluate.tables.parts import Job
from analysis.koopman import restoration
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.pictures import to_bytes
from foundation.mistakes import Mistake
from foundation.randomness import derived_seed
from koopman_core.edm import SIGMA_MIN, karras_sigmas
from tests.analysis.conftest import random_pair
from tests.refusals import refuses


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch, tmp_path):
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


PICTURES = noise(range(6), (3, 16, 16)).clamp(-1, 1) / 2


def test_levels_may_end_early():
    assert restoration.replacement_sigmas(5).tolist() == karras_sigmas(6)[:-1].tolist()
    early = restoration.replacement_sigmas(5, 0.5)
    assert len(early) == 5 and early[0] == 80 and float(early[-1]) == pytest.approx(0.5)
    assert early.tolist() == karras_sigmas(5, sigma_min=0.5).tolist()
    assert restoration.replacement_sigmas(1, 0.5).tolist() == [80]
    for end in (-1.0, 80.0, 1e-4):
        with refuses("end", error=Mistake):
            restoration.replacement_sigmas(5, end)


def test_the_skip_is_the_mean_of_least_variance():
    """Two estimates with independent errors e and sigma: by simulation no other share does better."""
    error, sigma = 0.3, 0.2
    truth = torch.zeros(1, 1, 200, 200)
    x = truth + sigma * noise([1], truth.shape[1:])
    f = lambda x, s: truth + error * noise([2], truth.shape[1:])  # noqa: E731
    best = restoration.with_skip(f, error)(x, sigma).square().mean()
    for share in (0.0, 0.5, 0.8, 1.0):
        assert float(best) <= float((share * x + (1 - share) * f(x, sigma)).square().mean()) + 1e-9
    far = restoration.with_skip(f, error)(x, 1e4)
    torch.testing.assert_close(far, f(x, 1e4), atol=1e-5, rtol=1e-5)


def test_the_standing_error_is_that_of_known_pixels():
    hole = square_hole(16, 3)
    f = lambda x, s: x + torch.where(hole, 0.9, 0.1) * (s == SIGMA_MIN)  # noqa: E731
    assert restoration.standing_error(f, PICTURES[:1] / 4, ~hole) == pytest.approx(0.1, rel=1e-4)
    assert restoration.standing_error(f, PICTURES[:1] / 4) > 0.3


def test_fills_without_a_model():
    hole = square_hole(16, 5)
    assert int(hole.sum()) == 64 and torch.equal(hole, square_hole(16, 5))
    x = PICTURES[:1]
    filled = mean_colour(x, hole)
    for c in range(3):
        assert float(filled[0, c][hole].std()) < 1e-6
        assert float(filled[0, c][hole][0]) == pytest.approx(float(x[0, c][~hole].mean()), abs=1e-6)
    assert torch.equal(filled[..., ~hole], x[..., ~hole])
    spoilt = torch.where(hole, torch.full((), 0.77), x)  # what the hole holds is never looked at
    assert torch.equal(biharmonic(x, hole), biharmonic(spoilt, hole))
    one = inpaint_biharmonic(np.where(hole, 0, x[0, 1].numpy()).astype(float), hole.numpy())
    np.testing.assert_allclose(biharmonic(x, hole)[0, 1].numpy(), one.clip(-1, 1), atol=1e-5)


def test_the_first_half_chooses_and_the_second_is_reported():
    """A map that is right only at high noise: ending early must be chosen, and the numbers are those of the others."""
    target = torch.zeros(1, 3, 16, 16)
    f = lambda x, s: target.expand_as(x) + (0.0 if s > 1 else 0.8)  # noqa: E731
    truth = target.expand(4, -1, -1, -1).clone()
    truth[2:] += 0.1
    settings = [PUBLISHED_SETTING, Setting(5, 2.0, False)]
    shares = []
    best, found = measure_task(
        "inpaint", f, None, truth, distance=None, settings=settings, progress=lambda s, _: shares.append(s)
    )
    assert best == settings[1] and shares == sorted(shares) and shares[-1] <= 1
    chosen = found[f"model, {best} (chosen)"]
    assert len(chosen.mse) == 2 and chosen.mse.tolist() == pytest.approx([0.01, 0.01], rel=1e-4)
    assert found[f"model, {PUBLISHED_SETTING}"].mse.tolist() == pytest.approx([0.49, 0.49], rel=1e-4)
    assert set(found) >= {"mean colour", "biharmonic"} and found["biharmonic"].mse.max() < 1e-8
    verdict = measured.task_verdict("inpaint", found)
    assert not verdict.figures["works"] and verdict.figures["gap"][0] == pytest.approx(0.01, rel=1e-3)


def test_the_workbench_ends_and_skips_as_asked():
    bench = Workbench(*random_pair())
    picture = to_bytes(PICTURES[:1])[0].permute(1, 2, 0).numpy()
    hole = square_hole(16, 5)
    given = torch.from_numpy(picture.transpose(2, 0, 1))[None].float() / 127.5 - 1
    r = bench.inpaint(InpaintRequest(picture, hole.numpy(), seed=3, steps=3, end=0.5, skip=True))
    with torch.no_grad():
        known = torch.where(hole, torch.zeros(()), given)
        apart = (bench.model(known, SIGMA_MIN).clamp(-1, 1) - known)[..., ~hole]
        square = float(apart.square().mean())
        x = known
        for n, sigma in enumerate(karras_sigmas(3, sigma_min=0.5).tolist()):
            draw = noise([3 if n == 0 else derived_seed(3, n)], (3, 16, 16))
            noisy = x + (sigma if n == 0 else (sigma**2 - SIGMA_MIN**2) ** 0.5) * draw
            share = square / (square + sigma**2)
            made = (share * noisy + (1 - share) * bench.model(noisy, sigma)).clamp(-1, 1)
            x = torch.where(hole, made, known)
    assert np.abs(to_bytes(x)[0].permute(1, 2, 0).numpy().astype(int) - r.picture).max() <= 1
    assert r.nfe == 4 and r.sigma[-1] == pytest.approx(0.5)
    assert bench.colorize(ColorizeRequest(picture, steps=2, end=1.0)).nfe == 2
    for request in (InpaintRequest(picture, hole.numpy()), ColorizeRequest(picture)):
        old = request.as_settings()
        assert "end" not in old and "skip" not in old and type(request).from_settings(old).end == 0
    with pytest.raises(UserError) as e:
        ColorizeRequest(picture, end=1e-5)
    assert e.value.field == "end"


def test_the_part(monkeypatch):
    monkeypatch.setattr(measured, "STEP_CHOICES", (2,))
    monkeypatch.setattr(measured, "held_out", lambda bench, count: PICTURES[:count])
    outcome = measured.restore(Job(Workbench(*random_pair()), 4))
    tables = [b for b in outcome.blocks if hasattr(b, "rows")]
    assert [len(t.rows) for t in tables] == [5, 4] and set(outcome.card) == {"inpaint", "colorize"}
    assert all({"steps", "end", "skip", "works"} == set(c) for c in outcome.card.values())
