"""Plotly figures of flows of pictures; the same look and rules as `analysis.figures`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.effect_figures import ribbon
from analysis.figures import BAND_SYMBOLS, LINE_COLOURS, LINE_DASHES, empty_figure
from analysis.results_pictures import PictureSweepResult

UNITS = {"LPIPS": "LPIPS (Alex)", "PSNR": "PSNR, dB"}
BETTER = {"LPIPS": "lower is nearer", "PSNR": "higher is nearer"}


def calls_figure(result: PictureSweepResult, names: Sequence[str]) -> go.Figure:
    """Distance to the exact flow over network calls: mean over pictures, and a band of one standard deviation."""
    figure = empty_figure(400, uirevision="sweep pictures")
    for s, name in enumerate(names):
        values, colour = result.distance[s], LINE_COLOURS[s % len(LINE_COLOURS)]
        known = np.isfinite(values).all(axis=1)
        mean = np.where(known, values.mean(axis=1), np.nan)
        if known.sum() > 1:
            spread = values[known].std(axis=1, ddof=1)
            # no distance is below zero
            ribbon(figure, result.nfes[known], np.maximum(mean[known] - spread, 0), mean[known] + spread, colour)
        figure.add_scatter(
            x=np.float32(result.nfes),
            y=np.float32(mean),
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": LINE_DASHES[s % len(LINE_DASHES)], "width": 2},
            marker={"symbol": BAND_SYMBOLS[s % len(BAND_SYMBOLS)], "size": 8, "color": colour},
            hovertemplate=f"{name}: {result.measure} %{{y:.4g}} at NFE %{{x:g}}<extra></extra>",
        )
    figure.update_xaxes(title="network calls (NFE)", zeroline=False, nticks=10)
    title = f"{UNITS[result.measure]} to the exact flow ({BETTER[result.measure]})"
    figure.update_yaxes(title={"text": title, "standoff": 10}, rangemode="tozero", zeroline=True)
    figure.update_layout(legend={"font": {"size": 12}}, margin={"t": 74})
    return figure
