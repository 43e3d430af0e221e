"""Squared MMD between laws of pictures, by features of Inception or, where that is not at hand, by averaged pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.core.errors import UserError
from flow_core.model import FlowModel
from foundation.data.datasets import open_dataset
from foundation.data.pictures import to_bytes
from foundation.metrics import inception

POOLED_TO = 8  # pixels that a picture is averaged to
REAL_PICTURES, VALIDATION_DATA = (
    8000,
    1000,
)  # pictures to compare with, at least as many as seeds; those that weights come from
ROWS_AT_ONCE = 500  # rows and pictures at once


def _rows(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """Sum over y of exp(-|x - y|^2 / (2 b^2)) for each x, (len(x),) float64."""
    parts = (torch.cdist(rows.double(), y.double()) for rows in x.split(ROWS_AT_ONCE))
    return torch.cat([(-0.5 * (d / bandwidth).square()).exp().sum(1) for d in parts])


INCEPTION, POOLED = (
    "Inception features (2048 of the 2015-12-05 network)",
    f"{POOLED_TO} x {POOLED_TO} average-pooled pixels",
)


def data_features() -> tuple[str, Callable[[Tensor], Tensor]]:
    """What laws of pictures are compared by: a name, and (B, 3, H, W) in [-1, 1] -> (B, d)."""
    if not inception.available():
        return POOLED, pooled
    network = inception.Inception()
    return INCEPTION, lambda pictures: network(to_bytes(pictures))


def pooled(pictures: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C * SIDE^2), averages over patches."""
    return F.adaptive_avg_pool2d(pictures, POOLED_TO).flatten(1)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out data. No picture is in two of its parts.

    Attributes:
        name, features: what laws are compared by, see `data_features`.
        bandwidth: of the kernel, the median distance between two of `VALIDATION_DATA` other pictures' features.
        reference: (N, d) features of data to compare with.
        within: mean kernel of two different ones of these.
        instead: (seeds, d) features of data in the place of samples.
        same: whether these are the pictures that the model's card names.
    """

    name: str
    features: Callable[[Tensor], Tensor]
    bandwidth: float
    reference: Tensor
    within: float
    instead: Tensor
    same: bool

    def of(self, pictures: Tensor) -> Tensor:
        """Features (B, d); NaN where a picture is not finite."""
        if bool(pictures.isfinite().all()):
            return self.features(pictures)
        return torch.full((len(pictures), self.reference.shape[1]), math.nan)

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
    spec, size = about.get("spec"), model.sample_shape[-1]
    if not isinstance(spec, str) or spec.startswith("folder"):
        raise UserError(
            "The model's card names no data set that can be opened here: train one on a named data set.", "data"
        )
    data = open_dataset(spec, size, "test")
    room = len(data) - VALIDATION_DATA
    count = min(max(REAL_PICTURES, seeds), room - seeds)
    if count < seeds:
        raise UserError(
            f"{data.name} has {len(data):,} held-out pictures, too few for {seeds:,} seeds and as many or more data: "
            f"ask for at most {room // 2:,} seeds.",
            "seeds",
        )

    name, features = data_features()

    def read(low: int, count: int) -> Tensor:
        ends = range(low, low + count, ROWS_AT_ONCE)
        return torch.cat([features(data.batch(range(i, min(i + ROWS_AT_ONCE, low + count)))[0]) for i in ends])

    validation = read(0, VALIDATION_DATA).double()
    bandwidth = float(torch.pdist(validation).median())
    reference = read(VALIDATION_DATA, count)
    stated = about.get("fingerprint")
    return HeldOut(
        name,
        features,
        bandwidth,
        reference,
        float((_rows(reference, reference, bandwidth) - 1).mean()) / (count - 1),
        read(VALIDATION_DATA + count, seeds),
        stated is None or open_dataset(spec, size, "train").fingerprint() == stated,
    )
