"""How far the law of pictures is from that of held-out data: squared MMD of pictures averaged to 8 x 8 pixels.

Intervals are over seeds, by the jackknife: the figure is an average over pairs, so that seeds have no figure each, but
their pseudo-values do (Arvesen 1969), which are on average too far apart rather than too near (Efron and Stein 1981).
The data are taken as given. This is no FID: it sees colour and layout, and no detail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.errors import UserError
from flow_core.distances import MMD
from flow_core.model import FlowModel
from foundation.datasets import open_dataset

SIDE = 8  # pixels that a picture is averaged to
DATA, VALIDATION_DATA = 8000, 1000  # pictures to compare with, at least as many as seeds; those that weights come from
CHUNK = 500  # rows and pictures at once


def _rows(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Sum over y of exp(-|x - y|^2 / (2 b^2)) for each x, (len(x),) float64."""
    parts = (torch.cdist(rows.double(), y.double()) for rows in x.split(CHUNK))
    return torch.cat([(-0.5 * (d / bandwidth).square()).exp().sum(1) for d in parts])


def pooled(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C * SIDE^2), averages over patches."""
    return F.adaptive_avg_pool2d(pictures, SIDE).flatten(1)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out data. No picture is in two of its parts.

    Attributes:
        bandwidth: of the kernel, the median distance between two of the validation's averaged pictures.
        validation: what weights are chosen by.
        reference: (N, d) averaged data to compare with.
        within: mean kernel of two different ones of these.
        instead: (seeds, d) averaged data in the place of samples.
        same: whether these are the pictures that the model's card names.
    """

    bandwidth: float
    validation: MMD
    reference: Tensor
    within: float
    instead: Tensor
    same: bool

    def distances(self, features: Tensor) -> Tensor:
        """The unbiased squared MMD to the reference as the mean of the jackknife's pseudo-values.

        Args:
            features: (n, d), n at least 3.

        Returns:
            float64 (n,): n U - (n - 1) U_i, with U_i the figure without sample i; NaN for all if one diverged.
        """
        n = len(features)
        if not bool(features.isfinite().all()):
            return torch.full((n,), math.nan, dtype=torch.float64)
        own = _rows(features, features, self.bandwidth) - 1
        cross = _rows(features, self.reference, self.bandwidth) / len(self.reference)
        whole = own.sum() / (n * (n - 1)) - 2 * cross.mean()
        left_out = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (cross.sum() - cross) / (n - 1)
        return self.within + n * whole - (n - 1) * left_out


def held_out(model: FlowModel, seeds: int) -> HeldOut:
    """Pictures of the test part of the data that a model's card names.

    Raises:
        UserError: the card names none that can be opened here, or there are too few for so many seeds.
        DataError: they are not to be had.
    """
    about = model.card.get("data", {})
    spec, size = about.get("spec"), model.config.resolution
    if not isinstance(spec, str) or spec.startswith("folder"):
        raise UserError("The model's card names no data set that can be opened here: train one on a named data set.")
    data = open_dataset(spec, size, "test")
    room = len(data) - VALIDATION_DATA
    count = min(max(DATA, seeds), room - seeds)
    if count < seeds:
        raise UserError(
            f"{data.name} has {len(data):,} held-out pictures, too few for {seeds:,} seeds and as many or more data: "
            f"ask for at most {room // 2:,} seeds."
        )

    def read(low: int, count: int) -> Tensor:
        ends = range(low, low + count, CHUNK)
        return torch.cat([pooled(data.batch(range(i, min(i + CHUNK, low + count)))[0]) for i in ends])

    validation = read(0, VALIDATION_DATA).double()
    bandwidth = float(torch.pdist(validation).median())
    reference = read(VALIDATION_DATA, count)
    stated = about.get("fingerprint")
    return HeldOut(
        bandwidth,
        MMD(validation, (bandwidth,)),
        reference,
        float((_rows(reference, reference, bandwidth) - 1).mean()) / (count - 1),
        read(VALIDATION_DATA + count, seeds),
        stated is None or open_dataset(spec, size, "train").fingerprint() == stated,
    )
