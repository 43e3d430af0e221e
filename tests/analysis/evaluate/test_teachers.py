"""FID and KID of teachers and of their guidance, by a network of five features."""

from __future__ import annotations

import pytest
import torch

from analysis.evaluate import teachers as evaluate
from foundation import noise
from foundation.data.datasets import open_dataset
from foundation.metrics.frechet import Moments, fid
from foundation.randomness import FIRST_SEED, mix_seed
from koopman_core import fid as pictures_of
from koopman_core import save
from koopman_core.edm import SIGMA_MAX, heun_sample
from tests.analysis.conftest import random_pair
from tests.analysis.evaluate.five_features import network
from tests.refusals import refuses

COUNT, REFERENCE, LOW, HIGH = 6, 9, 0.01, 90.0


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    steps = pictures_of.teacher_pictures.__wrapped__.__defaults__
    monkeypatch.setattr(pictures_of.teacher_pictures.__wrapped__, "__defaults__", (2, *steps[1:]))
    monkeypatch.setattr(evaluate, "Inception", lambda: network)
    monkeypatch.setattr("analysis.evaluate.image_sets.SET_BATCH", COUNT)


def teacher_of(seed: int):
    _, teacher = random_pair(classes=3)
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in teacher.parameters():
            p.add_(0.1 * torch.randn_like(p))
    teacher.card = {"name": f"teacher-{seed}", "data": {"spec": "shapes"}}
    return teacher.eval()


def fid_of(denoise, end: float = 0.002) -> float:
    """From the definitions: two steps of Heun from the held-out seeds, with the class of each."""
    seeds = range(FIRST_SEED, FIRST_SEED + COUNT)
    labels = torch.tensor([mix_seed(s, 8) % 3 for s in seeds])
    with torch.no_grad():
        start, levels = SIGMA_MAX * noise(seeds, (3, 16, 16)), torch.tensor([SIGMA_MAX, end], dtype=torch.float64)
        x = heun_sample(lambda x, s: denoise(x, s, labels), start, levels).x
    data = torch.from_numpy(open_dataset("shapes", 16).pictures(range(REFERENCE))).permute(0, 3, 1, 2)
    moments = []
    for bytes_ in (data, ((x.clamp(-1, 1) + 1) * 127.5).round().byte()):
        m = Moments.empty(5)
        m.add(network(bytes_))
        moments.append(m)
    return fid(*moments)


@pytest.mark.parametrize("worse", [True, False])
def test_rows_are_those_of_the_guided_denoiser(worse, tmp_path):
    teacher, guide = teacher_of(1), teacher_of(2) if worse else None
    settings = evaluate.settings_of([1.5, 3.0], LOW, HIGH, tmp_path / "guide" if worse else None)
    shares = []
    rows = evaluate.measure_teachers(
        {"one": teacher}, settings, guide, COUNT, REFERENCE, folder=tmp_path, sheet=tmp_path / "sheet.png",
        progress=lambda share, _: shares.append(share),
    )  # fmt: skip
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert (tmp_path / "sheet.png").stat().st_size > 0

    def guided(w):
        def denoise(x, sigma, labels):
            good = teacher(x, sigma, labels)
            if not LOW <= float(sigma) <= HIGH:
                return good
            bad = teacher(x, sigma, torch.full_like(labels, -1)) if guide is None else guide(x, sigma, labels)
            return good + (w - 1) * (good - bad)

        return denoise

    for row, w in zip(rows, (1.0, 1.5, 3.0), strict=True):
        assert row.fid == pytest.approx(fid_of(guided(w)), rel=1e-2)
    assert len({round(row.fid, 3) for row in rows}) == 3


def test_another_guide_is_another_place(tmp_path):
    teacher, settings = teacher_of(1), evaluate.settings_of([2.0], LOW, HIGH, tmp_path / "guide")
    found = [
        evaluate.measure_teachers({"one": teacher}, settings, teacher_of(k), COUNT, REFERENCE, folder=tmp_path)
        for k in (2, 3)
    ]
    assert found[0][0] == found[1][0] and found[0][1].fid != found[1][1].fid


def test_another_last_level(tmp_path):
    teacher = teacher_of(1)
    for end in (0.002, 0.5):
        (row,) = evaluate.measure_teachers({"one": teacher}, [None], None, COUNT, REFERENCE, end=end, folder=tmp_path)
        assert row.fid == pytest.approx(fid_of(teacher, end), rel=1e-2)
    with refuses("end"):
        evaluate.measure_teachers({"one": teacher}, [None], None, COUNT, REFERENCE, end=80.0, folder=tmp_path)


def test_command_prints_a_row_each(tmp_path, capsys):
    for seed in (1, 2):
        save(teacher_of(seed), tmp_path / f"{seed}.safetensors", dtype=torch.float32)
    files = [str(tmp_path / f"{seed}.safetensors") for seed in (1, 2)]
    numbers = ["--count", str(COUNT), "--reference", str(REFERENCE), "--cache", str(tmp_path / "cache")]
    assert evaluate.main([*files, "--guide", files[0], "--scales", "1.5", *numbers]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 4
    assert evaluate.main([files[0], "--scales", "50", *numbers]) == 2


def test_refusals(tmp_path):
    teacher = teacher_of(1)
    with refuses("guidance"):
        evaluate.settings_of([1.5], 2.0, 1.0, None)
    teacher.card = {}
    with refuses("data"):
        evaluate.measure_teachers({"one": teacher}, [None], None, COUNT, REFERENCE, folder=tmp_path)
    plain = random_pair()[1]
    plain.card = {"data": {"spec": "shapes"}}
    with refuses("guidance"):
        evaluate.measure_teachers(
            {"one": plain}, evaluate.settings_of([2.0], LOW, HIGH, None), None, COUNT, REFERENCE, folder=tmp_path
        )
