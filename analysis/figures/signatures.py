"""Plotly figures of spectral signatures: profiles of groups, what is read from them, distances between groups."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.figures.style import BLUE, GREY, ORANGE, VERMILION, curve, empty_figure, over_time, ribbon
from analysis.koopman.spectrum import band_names
from analysis.workbench.signatures import SignatureResult

READER_STYLES = (  # in the order of `READERS`: what it is called, colour, dash, marker
    ("bands by α", BLUE, "solid", "circle"),
    ("modes dealt at random", ORANGE, "dash", "diamond"),
    ("power of the picture, no network", GREY, "dot", "square"),
)
WIDEST_PROFILE = 1.5  # standard deviations, where colours end


def reading_curves(result: SignatureResult) -> go.Figure:
    """Share of held-out pictures whose group is read, over time, with 95 % intervals, chance as a line."""
    figure = empty_figure(360, uirevision="signature reading")
    for r, (name, colour, dash, symbol) in enumerate(READER_STYLES):
        ribbon(figure, result.tau, result.hits_low[r], result.hits_high[r], colour)
        curve(figure, result.tau, result.hits[r], name, colour, dash, symbol, ".1%", result.sigma)
    figure.add_hline(y=result.chance, line={"color": VERMILION, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=0.01, xref="paper", y=result.chance, yref="y", text="chance", showarrow=False, xanchor="left",
        yanchor="bottom", font={"size": 12}, opacity=0.8,
    )  # fmt: skip
    over_time(figure, result.tau, result.sigma)
    top = min(1.02, 1.2 * max(float(result.hits_high.max()), 2 * result.chance))
    figure.update_yaxes(title="group read, held-out pictures", tickformat=".0%", range=[0, top])
    return figure


def profile_map(result: SignatureResult, time: int = 0, order: str = "alpha") -> go.Figure:
    """Mean log energy of every group in every band of every level, in standard deviations over all pictures.

    Args:
        result: signatures.
        time: index into `result.tau`.
        order: of the bands.
    """
    table = result.profile[time]
    groups, levels, bands = table.shape
    columns = [[name for name in result.names for _ in range(bands)], [str(b + 1) for b in range(bands)] * levels]
    figure = empty_figure(130 + 34 * groups, uirevision=f"signature {time}")
    figure.add_heatmap(
        z=np.float32(table.reshape(groups, -1)), x=columns, y=list(result.groups), colorscale="RdBu",
        reversescale=True, zmin=-WIDEST_PROFILE, zmax=WIDEST_PROFILE, xgap=1, ygap=2,
        colorbar={"title": {"text": "sd", "side": "top"}, "thickness": 10},
        hovertemplate="%{y}, %{x}: %{z:+.2f} standard deviations<extra></extra>",
    )  # fmt: skip
    figure.update_layout(margin={"l": 110, "r": 8, "t": 16, "b": 84})
    figure.update_xaxes(
        title=f"band of every level: 1 = {band_names(bands, order)[0]}", showgrid=False, zeroline=False,
        tickfont={"size": 11}, title_font_size=12,
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
    return figure


def distance_map(result: SignatureResult, time: int = 0) -> go.Figure:
    """Squared distances between groups in spreads within groups; 0 on average where they do not differ."""
    table = result.distance[time]
    largest = max(float(np.abs(table).max()), 1e-9)
    figure = empty_figure(120 + 34 * len(table), uirevision=f"signature distance {time}")
    figure.add_heatmap(
        z=np.float32(table), x=list(result.groups), y=list(result.groups), colorscale="RdBu", reversescale=True,
        zmin=-largest, zmax=largest, xgap=2, ygap=2, showscale=False, texttemplate="%{z:.1f}",
        hovertemplate="%{y} and %{x}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(margin={"l": 110, "r": 8, "t": 16, "b": 70})
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
    return figure
