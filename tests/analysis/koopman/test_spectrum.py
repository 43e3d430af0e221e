"""Bands as masks: partition, order, commutation with the evolution, a hand-built model with known modes."""

import pytest
import torch

from analysis.koopman import spectrum
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)


def entry(alpha):
    return SpectrumEntry("x", (2 * alpha.shape[0], *alpha.shape[1:]), alpha, torch.zeros_like(alpha))


@pytest.mark.parametrize("edges", [(0.5,), (1 / 3, 2 / 3), (0.0, 1.0), (0.25, 0.25, 0.9), (0.1, 0.2, 0.3, 0.4)])
@pytest.mark.parametrize("order", ["alpha", "abs"])
def test_masks_partition_the_modes(edges, order):
    alpha = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0))
    masks = spectrum.band_masks(alpha, edges, order)
    assert len(masks) == len(edges) + 1
    assert torch.equal(sum(m.int() for m in masks), torch.ones(5, 3, 2, dtype=torch.int32))
    key = alpha.abs() if order == "abs" else alpha
    filled = [key[m] for m in masks if m.any()]
    assert all(float(a.max()) <= float(b.min()) for a, b in zip(filled[:-1], filled[1:], strict=True))


def test_an_untrained_operator_still_has_bands():
    masks = spectrum.band_masks(torch.zeros(4, 2, 2), (0.25, 0.5))
    assert [int(m.sum()) for m in masks] == [4, 4, 8]


def test_ranks_by_hand():
    alpha = torch.tensor([[[0.5, -2.0]], [[1.0, 0.5]]])
    assert spectrum.ranks(alpha).tolist() == [[[1, 0]], [[3, 2]]]  # the tie keeps its order
    assert spectrum.ranks(alpha, "abs").tolist() == [[[0, 3]], [[2, 1]]]


@pytest.mark.parametrize("edges", [(0.6, 0.4), (-0.1,), (1.1,), (float("nan"),)])
def test_bad_edges_are_refused(edges):
    with refuses("edges", " 0 .* 1", Mistake):
        spectrum.band_masks(torch.zeros(2, 1, 1), edges)


def test_unknown_order_and_wrong_number_of_gains():
    with refuses("order", error=Mistake):
        spectrum.ranks(torch.zeros(2, 1, 1), "size")
    with refuses("gains", "2.*3", Mistake):
        spectrum.weigh_bands([torch.zeros(1, 2, 1, 1)], [entry(torch.zeros(1, 1, 1))], (0.5,), (1, 1, 1))


def test_masking_commutes_with_the_evolution():
    model = KoopmanDiffusion(TINY).eval()
    for operator in model.operators:
        torch.nn.init.normal_(operator.a)
    entries = model.spectrum()
    z = [torch.randn(2, *s) for s in TINY.skip_shapes()]
    arguments = (entries, (0.3, 0.7), (0.0, 1.0, 0.5))
    with torch.no_grad():
        first = model.evolve(spectrum.weigh_bands(z, *arguments), 1.0, 0.2)
        last = spectrum.weigh_bands(model.evolve(z, 1.0, 0.2), *arguments)
    for a, b in zip(first, last, strict=True):
        torch.testing.assert_close(a, b)


def test_a_hand_built_model_gives_back_its_bands():
    # three modes at one position: alpha -1, 0, 2; the middle one carries all the energy
    alpha = torch.tensor([0.0, 2.0, -1.0]).view(3, 1, 1)
    z = torch.tensor([3.0, 4.0, 1.0, 1.0, 2.0, 2.0]).view(1, 6, 1, 1)
    kept = [
        spectrum.weigh_bands([z], [entry(alpha)], (1 / 3, 2 / 3), gains)[0].flatten().tolist()
        for gains in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert kept == [[0, 0, 0, 0, 2, 2], [3, 4, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]]


def test_only_the_chosen_entries_are_touched():
    entries = [entry(torch.zeros(1, 1, 1))] * 3
    z = [torch.ones(1, 2, 1, 1) for _ in range(3)]
    out = spectrum.weigh_bands(z, entries, (0.5,), (0.0, 0.0), only=[1])
    assert [float(t.sum()) for t in out] == [2, 0, 2]


def test_summary_by_hand():
    s = spectrum.summarise([entry(torch.tensor([1.0, -3.0]).view(2, 1, 1))])[0]
    assert (s.alpha_mean, s.alpha_std, s.alpha_max, s.beta_max) == (-1.0, 2.0, 3.0, 0.0)
