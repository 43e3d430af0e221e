"""Answers about flows of pictures: frozen dataclasses, numpy only. n pictures uint8 (H, W, 3), N steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PictureFlowInfo:
    """What there is for one kind of data.

    Attributes: data; paths that have a net; classes, names of the labels, () without.
    """

    data: str
    paths: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FlowPicturesResult:
    """One setting, run.

    Attributes:
        times: (N + 1,) of the grid, 0 = noise, 1 = data.
        states: (N + 1, n, H, W, 3) at these times; values beyond black and white are clipped.
        predictions: (N, n, H, W, 3) x1_hat at the start of every step.
        nfe: network calls, counted; one call carries all n pictures.
        derivatives: backward passes, counted.
        seconds: of the run.
        net: name of the model.
    """

    times: np.ndarray
    states: np.ndarray
    predictions: np.ndarray
    nfe: int
    derivatives: int
    seconds: float
    net: str

    @property
    def pictures(self) -> np.ndarray:
        """(n, H, W, 3) at t = 1."""
        return self.states[-1]


@dataclass(frozen=True, eq=False)
class ExactDistance:
    """How far one setting's pictures lie from its net's own exact flow from the same noise.

    Distances are of the 8-bit pictures on the [-1, 1] scale, as in `analysis.comparison.PairNumbers`.

    Attributes:
        exact: (n, H, W, 3) uint8, the plain flow at a fine resolution.
        nfe: calls that it took.
        mse: (n,).
        psnr: (n,) decibels, infinite for equal pictures.
        ssim: (n,).
        lpips: (n,) LPIPS (Alex, side 64), None without a backbone.
    """

    exact: np.ndarray
    nfe: int
    mse: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray
    lpips: np.ndarray | None


@dataclass(frozen=True, eq=False)
class PictureSweepResult:
    """Distance to the exact flow over NFE; NaN where a setting diverged or is too dear. S settings, K numbers of calls.

    Attributes:
        nfes: (K,).
        distance: (S, K, n).
        measure: "LPIPS", or "PSNR" in decibels without a backbone.
    """

    nfes: np.ndarray
    distance: np.ndarray
    measure: str
