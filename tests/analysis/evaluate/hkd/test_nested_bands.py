"""Nested bands, against one picture at a time; a verdict that each bound can turn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn

from analysis.evaluate.hkd import nested_bands
from analysis.evaluate.hkd.nested_bands import NestedBands, measure_nested, nested_table, nested_verdict
from analysis.koopman.probes import BLURS
from analysis.koopman.spectrum import band_masks, pair_mask
from analysis.metrics.image import frequency_centroid
from foundation import noise
from koopman_core.edm import SIGMA_MAX
from tests.analysis.conftest import random_pair

THIRDS = (1 / 3, 2 / 3)


def blurred(x, share):
    """By scipy's cosine transform, in which a Gaussian is a damping of every wave."""
    side = x.shape[-1]
    damping = np.exp(-0.5 * (share * np.pi * np.arange(side)) ** 2)
    waves = dctn(x.double().numpy(), axes=(2, 3), norm="ortho") * damping[:, None] * damping
    return torch.from_numpy(idctn(waves, axes=(2, 3), norm="ortho"))


def test_every_figure_one_picture_at_a_time(monkeypatch):
    monkeypatch.setattr(nested_bands, "NESTED_BATCH", 2)
    model = random_pair()[0]
    seeds, shares = [3, 4, 9], []
    found = measure_nested(model, seeds, lambda share, _: shares.append(share))
    assert shares == [pytest.approx(2 / 3), 1]
    masks = [[pair_mask(m) for m in band_masks(e.alpha, THIRDS)] for e in model.spectrum()]
    with torch.no_grad():
        z = {
            s: model.evolve(model.encode(SIGMA_MAX * noise([s], model.picture_shape), SIGMA_MAX), 1.0, 0.0)
            for s in seeds
        }
        picture = {s: model.decode(z[s]).clamp(-1, 1) for s in seeds}
        for row, (seed, after) in enumerate(zip(seeds, [4, 9, 3], strict=True)):
            first = model.decode([x * m[0] for x, m in zip(z[seed], masks, strict=True)]).clamp(-1, 1)
            two = model.decode([x * ~m[2] for x, m in zip(z[seed], masks, strict=True)]).clamp(-1, 1)
            whole = picture[seed]
            for k, (part, share) in enumerate(zip((first, two), BLURS, strict=True)):
                right = (part - blurred(whole, share)).square().mean()
                assert found.error[row, k] == pytest.approx(float(right), rel=1e-4)
            for b, added in enumerate((first, two - first, whole - two)):
                assert found.centroid[row, b] == pytest.approx(float(frequency_centroid(added)), rel=1e-4)
                other = [torch.where(m[b], y, x) for x, y, m in zip(z[seed], z[after], masks, strict=True)]
                other = model.decode(other).clamp(-1, 1)
                layout = (blurred(other, BLURS[0]) - blurred(whole, BLURS[0])).square().mean()
                high = [x.double() - blurred(x, BLURS[1]) for x in (other, whole)]
                assert found.layout[row, b] == pytest.approx(float(layout), rel=1e-3, abs=1e-9)
                assert found.detail[row, b] == pytest.approx(float((high[0] - high[1]).square().mean()), rel=1e-3)
    stack = torch.cat(list(picture.values())).double()
    assert found.variance == pytest.approx(float((stack - stack.mean(0)).square().mean()), rel=1e-5)


@pytest.fixture
def nested():
    """Bands that keep every bound."""
    g = torch.Generator().manual_seed(0)

    def near(*values):
        return torch.tensor(values, dtype=torch.float64) * (1 + 0.01 * torch.rand(12, len(values), generator=g))

    return NestedBands(near(0.002, 0.001), 0.3, near(0.04, 0.1, 0.2), near(0.3, 0.1, 0.003), near(0.03, 0.02, 0.01))


@pytest.mark.parametrize(
    ("field", "column", "factor"), [("error", 0, 10), ("error", 1, 20), ("centroid", 1, 2.5), ("layout", 2, 4)]
)
def test_each_bound_can_fail(nested, field, column, factor):
    assert nested_verdict(nested).figures["nested"]
    worse = getattr(nested, field).clone()
    worse[:, column] *= factor
    found = nested_verdict(replace(nested, **{field: worse}))
    assert not found.figures["nested"]


def test_a_row_a_band(nested):
    assert len(nested_table(nested).rows) == 3
    assert nested.steps[0].value == pytest.approx(2.5, rel=0.05) and nested.move.value == pytest.approx(0.01, rel=0.05)
