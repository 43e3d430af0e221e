"""Results of flows as small pictures for a file that carries their recipe; drawn in milliseconds, unlike the figures.

Panels are squares for `analysis.core.images`, with the colours of the figures on white.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from analysis.core.images import grid_sheet
from analysis.figures.flow import MAX_DRAWN
from analysis.figures.series import broken, degrees, shown_unit
from analysis.figures.style import BLUE, GREY, LINE_COLOURS, SKY
from analysis.flow.images import FlowPicturesResult
from analysis.flow.points import Flow2DResult
from analysis.series.forecast import ForecastResult

PANEL, RADIUS = 240, 2  # pixels of a panel, and the radius of a point
DARKEST = 120  # of the density, of 255
LABEL_INK = "#000000"
LEGEND = "Black: what really came; blue: mean of the members, and the members; dotted: the last frame that was seen"


def cloud_panel(result: Flow2DResult, setting: int) -> np.ndarray:
    """The points at t = 1 over the exact density, uint8 (SIDE, SIDE, 3), y growing upwards.

    Args:
        result: one setting.
        setting: its number, for the colour.
    """
    shade = np.sqrt(np.maximum(result.density, 0) / max(float(result.density.max()), 1e-30))[::-1]
    grey = Image.fromarray(np.round(255 - DARKEST * shade).astype(np.uint8))
    panel = grey.resize((PANEL, PANEL), Image.Resampling.BILINEAR).convert("RGB")
    draw, extent = ImageDraw.Draw(panel), float(result.axis[-1])
    for x, y in result.points[:MAX_DRAWN].astype(np.float64):
        if max(abs(x), abs(y)) <= extent:
            a, b = (PANEL - 1) * (extent + x) / (2 * extent), (PANEL - 1) * (extent - y) / (2 * extent)
            draw.ellipse(
                (a - RADIUS, b - RADIUS, a + RADIUS, b + RADIUS), fill=LINE_COLOURS[setting % len(LINE_COLOURS)]
            )
    return np.asarray(panel)


def clouds_sheet(results: Sequence[Flow2DResult | None], names: Sequence[str]) -> np.ndarray:
    """Settings in the plane beside each other, each under its name; one without a result has no place."""
    shown = [(k, r) for k, r in enumerate(results) if r is not None]
    return grid_sheet([[cloud_panel(r, k) for k, r in shown]], [names[k] for k, _ in shown])


def pictures_sheet(
    results: Sequence[FlowPicturesResult | None], names: Sequence[str], seeds: Sequence[int]
) -> np.ndarray:
    """A row of pictures a setting and a column a seed; a setting without a result has no row."""
    shown = [(name, r.pictures) for name, r in zip(names, results, strict=True) if r is not None]
    return grid_sheet([list(p) for _, p in shown], [str(s) for s in seeds], [name for name, _ in shown], x="seed")


def series_panel(result: ForecastResult, d: int) -> tuple[np.ndarray, float, float]:
    """Members, their mean and the truth of one variable over time, uint8 (SIDE, SIDE, 3), and the axis' ends."""
    angles, seen = result.period is not None, len(result.past)
    truth = degrees(result, np.concatenate([result.past[:, d], result.truth[:, d]]))
    members, mean = degrees(result, result.members[..., d]), degrees(result, result.mean[:, d])
    low, high = (-180.0, 180.0) if angles else _range(truth, members)
    panel = Image.new("RGB", (PANEL, PANEL), "#ffffff")
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, PANEL - 1, PANEL - 1), outline=GREY)

    def line(first: int, values: np.ndarray, colour: str, width: int) -> None:
        values = (values + 180) % 360 - 180 if angles else values
        x, y = broken(np.arange(first, first + len(values)), values.astype(np.float64), angles=angles)
        across = x * (PANEL - 1) / max(len(truth) - 1, 1)
        up = (PANEL - 1) * (high - y) / (high - low)
        ends = zip(zip(across, up, strict=True), zip(across[1:], up[1:], strict=True), strict=False)
        for a, b in ends:
            if np.isfinite([*a, *b]).all():
                draw.line((*a, *b), fill=colour, width=width)

    last = (seen - 1) * (PANEL - 1) / max(len(truth) - 1, 1)
    for y in range(0, PANEL, 6):
        draw.line((last, y, last, y + 2), fill=GREY)
    for member in members:
        line(seen, member, SKY, 1)
    line(seen, mean, BLUE, 3)
    line(0, truth, LABEL_INK, 2)
    return np.asarray(panel), low, high


def _range(*values: np.ndarray) -> tuple[float, float]:
    """The ends of all values, apart from each other."""
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    return (low, high) if high - low > 1e-12 else (low - 0.5, high + 0.5)


def forecast_sheet(result: ForecastResult) -> np.ndarray:
    """Every variable beside each other, with the ends of its axis."""
    panels = [series_panel(result, d) for d in range(len(result.variables))]
    unit = f" {shown_unit(result)}" if shown_unit(result) else ""
    names = [f"{v}: {a:.3g} to {b:.3g}{unit}" for v, (_, a, b) in zip(result.variables, panels, strict=True)]
    return grid_sheet([[p for p, _, _ in panels]], names, caption=f"{result.title}. {LEGEND}.")
