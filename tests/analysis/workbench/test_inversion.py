"""The answer about an inverted picture, and the part that measures many."""

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.evaluate.hkd import inversion as measured
from analysis.evaluate.tables.parts import Job
from analysis.koopman.inversion import invert_teacher
from analysis.workbench.inversion import InvertRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.pictures import to_bytes
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN, heun_sample, karras_sigmas
from tests.analysis.conftest import random_pair
from tests.refusals import refuses

pytestmark = pytest.mark.usefixtures("no_backbone")


@pytest.fixture(scope="module")
def bench():
    return Workbench(*random_pair())


def picture(seed=1):
    return to_bytes(noise([seed], (3, 16, 16)).clamp(-1, 1) / 2)[0].permute(1, 2, 0).numpy()


def test_the_answer_by_hand(bench):
    given = torch.from_numpy(picture().transpose(2, 0, 1))[None].float() / 127.5 - 1
    shares = []
    r = bench.invert(InvertRequest(picture(), steps=5, times=3), lambda share, _: shares.append(share))
    assert r.nfe == 8 and shares == pytest.approx([0.25, 0.5, 0.75, 1]) and r.path.shape == (3, 16, 16, 3)
    assert r.tau.tolist() == pytest.approx([0, 0.5, 1]) and r.sigma[[0, -1]] == pytest.approx([SIGMA_MIN, SIGMA_MAX])
    with torch.no_grad():
        back = invert_teacher(bench.teacher, given, 5).x
        one, rebuilt = bench.model(back, SIGMA_MAX), bench.model.decode(bench.model.encode(given, SIGMA_MIN))
    torch.testing.assert_close(torch.from_numpy(r.noise), back[0] / SIGMA_MAX, atol=1e-4, rtol=1e-3)
    for close, made, shown in ((r.teacher, one, r.one_call), (r.koopman, rebuilt, r.path[0])):
        mse = float((made.clamp(-1, 1) - given).double().square().mean())
        assert close.mse == pytest.approx(mse, rel=1e-3) and close.psnr == pytest.approx(
            10 * np.log10(4 / mse), rel=1e-3
        )
        assert np.abs(to_bytes(made)[0].permute(1, 2, 0).numpy().astype(int) - shown).max() <= 1
        assert close.lpips is None


def test_without_a_teacher_the_koopman_way_is_left():
    r = Workbench(random_pair()[0]).invert(InvertRequest(picture()))
    assert r.one_call is None and r.noise is None and r.teacher is None and r.nfe == 0 and r.koopman.mse > 0


def test_what_is_refused(bench):
    for values in ({"steps": 3}, {"times": 1}, {"label": 0}):
        with pytest.raises(UserError) as e:
            bench.invert(InvertRequest(picture(), **values))
        assert e.value.field == next(iter(values))


def test_many_pictures_are_measured_one_by_one(bench, monkeypatch):
    monkeypatch.setattr(measured, "INVERSION_BATCH", 2)
    x = noise([1, 2, 3], (3, 16, 16)).clamp(-1, 1) / 2
    found = measured.measure_inversion(
        bench.model, bench.teacher, x, steps=4, distance=lambda a, b: (a - b).abs().mean((1, 2, 3))
    )
    assert found.calls == {"one call": 7, "teacher": 6 + 7, "koopman": 1}
    with torch.no_grad():
        for n in range(3):
            back = invert_teacher(bench.teacher, x[n : n + 1], 4).x
            again = heun_sample(lambda x, s: bench.teacher(x, s, None), back, karras_sigmas(4)).x.clamp(-1, 1)
            assert float(found.mse["teacher"][n]) == pytest.approx(float((again - x[n]).square().mean()), rel=1e-3)
            one = bench.model(back, SIGMA_MAX).clamp(-1, 1)
            assert float(found.lpips["one call"][n]) == pytest.approx(float((one - x[n]).abs().mean()), rel=1e-3)


def test_the_part(bench, monkeypatch):
    bench.model.card = {"data": {"spec": "shapes", "name": "shapes"}}
    outcome = measured.inversion(Job(bench, 2))
    _, table, verdict = outcome.blocks
    assert [row[2] for row in table.rows] == ["35", "69", "1"] and verdict.figures["std"][0] > 0
    bench.model.card = {}
    with refuses("data"):
        measured.held_out(bench, 2)
