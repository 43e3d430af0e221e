"""The teacher's loss, with and without the perceptual term of its last stretch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.teacher_task import TeacherConfig, TeacherTask
from tests.refusals import refuses

NET = UNetConfig(resolution=8, base=8, multipliers=(1, 1), blocks=1, attention=(), embedding=16, classes=3)
BATCH = 10


def gap(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A distance of pairs (B,) in the place of LPIPS."""
    return (x - y).abs().flatten(1).amax(1)


def task(**settings) -> TeacherTask:
    torch.manual_seed(0)
    model = EDM(NET).eval()
    torch.nn.init.normal_(model.net.decoder.conv.weight, std=0.1)
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    config = TeacherConfig(**settings)
    return TeacherTask(model, pictures, rng.integers(0, 3, 20), config, gap if config.lpips_weight else None)


def loss_of(t: TeacherTask) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
    drawn = t.draw(0, BATCH, torch.Generator().manual_seed(1))
    with torch.no_grad():
        return t(torch.zeros(()), *drawn), drawn


@pytest.mark.parametrize("share,rows", [(0.4, 4), (0.04, 1), (1.0, 10)])
def test_perceptual_term_is_of_the_pictures_with_the_least_noise(share, rows):
    parts, (x, labels, sigma, eps) = loss_of(t := task(lpips_weight=3.0, lpips_share=share))
    squares, gaps = [], {}
    for i in range(BATCH):
        s = float(sigma[i])
        with torch.no_grad():
            d = t.model((x + sigma[:, None, None, None] * eps)[i : i + 1], s, labels[i : i + 1])[0]
        squares.append((s * s + 0.25) / (s * 0.5) ** 2 * float((d - x[i]).square().mean()))
        gaps[s] = float((d - x[i]).abs().max())
    least = np.mean([gaps[s] for s in sorted(gaps)[:rows]])
    assert float(parts["lpips"]) == pytest.approx(least, rel=1e-4)
    assert float(parts["loss"]) == pytest.approx(np.mean(squares) + 3 * share * least, rel=1e-3)


def test_without_it_the_same_pictures_and_noise_levels_are_drawn_and_nothing_else_is_asked():
    (plain, before), (_, after) = loss_of(task()), loss_of(task(lpips_weight=1.0))
    assert set(plain) == {"loss"}
    for i in (0, 1, 3):
        torch.testing.assert_close(before[i], after[i], rtol=0, atol=0)
    torch.testing.assert_close(before[2].sort().values, after[2], rtol=0, atol=0)


def test_refusals():
    for field, value in (("lpips_weight", -1.0), ("lpips_share", 0.0), ("lpips_share", 1.5)):
        with refuses(field, error=Mistake):
            TeacherConfig(**{field: value})
    with refuses("backbone", error=Mistake):
        TeacherTask(EDM(NET), np.zeros((1, 8, 8, 3), np.uint8), np.zeros(1, int), TeacherConfig(lpips_weight=1.0))
