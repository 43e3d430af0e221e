"""What flows of points and of images share: paths with noise, and bounds."""

from __future__ import annotations

BRIDGES = ("sbcfm", "idff")  # paths that read sigma0; the others run straight, without noise on the line
MAX_NFE, MAX_POINTS, MAX_SIGMA = 50, 2048, 2.0
MAX_SETTINGS, MAX_SWEEP_SEEDS, MAX_SWEEP_VALUES = 4, 8, 24
