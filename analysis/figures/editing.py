"""Figures of edits: what detail they gain against how much of the layout they move."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.figures.style import BLUE, ORANGE, VERMILION, empty_figure
from analysis.koopman.editing import EditNumbers

CURVES = (("chosen bands", BLUE, "circle", "solid"), ("control, all bands", ORANGE, "diamond", "dash"))


def trade_off(
    ratios: Sequence[float], edit: Sequence[EditNumbers], control: Sequence[EditNumbers], now: float | None = None
) -> go.Figure:
    """Detail shared with the reference against layout moved, a point a mixing ratio; those without detail are left out.

    Args:
        ratios: n rising mixing ratios.
        edit, control: n numbers of the chosen bands, and of all bands at the same ratios.
        now: the ratio that is shown, which gets a ring on the first curve.
    """
    figure = empty_figure(300, uirevision="trade-off")
    for (name, colour, symbol, dash), numbers in zip(CURVES, (edit, control), strict=True):
        kept = [(r, n) for r, n in zip(ratios, numbers, strict=True) if n.high_correlation is not None]
        figure.add_scatter(
            x=[n.low_distance for _, n in kept],
            y=[n.high_correlation for _, n in kept],
            customdata=[f"{r:.0%}" for r, _ in kept],
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 8},
            hovertemplate=f"{name}, ratio %{{customdata}}: layout %{{x:.4f}}, detail %{{y:.3f}}<extra></extra>",
        )
    here = [n for r, n in zip(ratios, edit, strict=True) if r == now and n.high_correlation is not None]
    if here:
        figure.add_scatter(
            x=[here[0].low_distance], y=[here[0].high_correlation], mode="markers", name="shown",
            marker={"symbol": "circle-open", "size": 17, "color": VERMILION, "line": {"width": 3}}, hoverinfo="skip",
        )  # fmt: skip
    figure.update_xaxes(title="layout moved (mean squared)", rangemode="tozero")
    figure.update_yaxes(title="detail shared (correlation)")
    return figure
