"""Plotly figures of trajectories of one's own: eigenvalues with intervals, errors on held-out trajectories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.figures.style import BLUE, ERROR_FLOOR, GREEN, GREY, MARKS_ON_A_LINE, ORANGE, VERMILION, empty_figure
from analysis.koopman.trajectories import Study

WEAK = 0.25  # of the strongest mode's size: modes below do not decide what is in view
PREDICTOR_STYLES = {  # by predictor: what it is called, colour, dash, marker
    "dense": ("DMD", BLUE, "solid", "circle"),
    "diagonal": ("each coordinate by itself", ORANGE, "dash", "diamond"),
    "identity": ("standing still", GREY, "dot", "square"),
    "best": ("best on these vectors", GREEN, "longdash", "triangle-up"),
}


def strong_modes(found: Study) -> np.ndarray:
    """(r,) whether a mode has `WEAK` or more of the strongest one's root mean square size over the times."""
    elapsed = found.step * np.arange(len(found.errors["dense"]))
    grown = np.exp(np.clip(found.alpha[:, None] * elapsed, -60, 60))
    size = found.amplitude * np.sqrt(np.square(grown).mean(1))
    return size >= WEAK * size.max(initial=0)


def eigenvalue_plane(found: Study, known: Sequence[complex] = ()) -> go.Figure:
    """Eigenvalues with 95 % bootstrap intervals; marker area by amplitude, dotted where frequencies fold back.

    Args:
        found: of `analysis.koopman.trajectories.study`.
        known: rates to mark beside them, where they are known.
    """
    figure = empty_figure(400, uirevision="own dynamics")
    largest = max(float(found.amplitude.max(initial=0)), 1e-300)
    arms = {
        f"error_{axis}": {
            "type": "data", "symmetric": False, "thickness": 1, "color": BLUE,
            "array": np.float32(np.nan_to_num(high - value)), "arrayminus": np.float32(np.nan_to_num(value - low)),
        }
        for axis, value, low, high in (
            ("x", found.alpha, found.alpha_low, found.alpha_high), ("y", found.beta, found.beta_low, found.beta_high)
        )
    }  # fmt: skip
    figure.add_scatter(
        x=np.float32(found.alpha), y=np.float32(found.beta), mode="markers", name="DMD",
        customdata=np.float32(found.amplitude),
        marker={"color": BLUE, "symbol": "circle", "size": 7 + 11 * np.sqrt(np.float32(found.amplitude) / largest)},
        hovertemplate="α %{x:.4g}, β %{y:.4g}, amplitude %{customdata:.3g}<extra></extra>", **arms,
    )  # fmt: skip
    if len(known):
        figure.add_scatter(
            x=[k.real for k in known], y=[k.imag for k in known], mode="markers", name="true rates",
            marker={"color": VERMILION, "symbol": "x-thin", "size": 14, "line": {"width": 2.5, "color": VERMILION}},
            hovertemplate="true α %{x:.3g}, β %{y:.3g}<extra></extra>",
        )  # fmt: skip
    if np.abs(found.beta).max(initial=0) > 0.5 * found.largest:
        for end in (-found.largest, found.largest):
            figure.add_hline(y=end, line={"color": GREY, "width": 1.5, "dash": "dot"})
    strong = strong_modes(found)
    reach = [
        np.concatenate([np.real(known), found.alpha[strong]]),
        np.concatenate([np.imag(known), found.beta[strong]]),
    ]
    spans = [_around(values) for values in reach]
    outside = int(sum(not (spans[0][0] <= a <= spans[0][1] and spans[1][0] <= b <= spans[1][1])
                      for a, b in zip(found.alpha, found.beta, strict=True)))  # fmt: skip
    if outside:
        figure.add_annotation(
            text=f"{outside} weak modes lie outside: double-click to see all", x=0.01, y=0.01, xref="paper",
            yref="paper", showarrow=False, font={"size": 12}, opacity=0.8,
        )  # fmt: skip
    figure.update_xaxes(title="α, growth rate (per unit of time)", zeroline=True, zerolinewidth=2, range=spans[0])
    figure.update_yaxes(title="β (rad per unit of time)", zeroline=True, range=spans[1])
    return figure


def _around(values: np.ndarray) -> list[float]:
    """A range that holds these and 0, with room."""
    low, high = min(float(values.min(initial=0)), 0.0), max(float(values.max(initial=0)), 0.0)
    room = 0.15 * (high - low) or 1.0
    return [low - room, high + room]


def error_curves(found: Study) -> go.Figure:
    """Relative error by time step of all predictors, from the first state on, where all start; log axis."""
    figure = empty_figure(320, uirevision="own errors")
    for key, (name, colour, dash, symbol) in PREDICTOR_STYLES.items():
        values = np.maximum(found.errors[key][1:], ERROR_FLOOR)
        figure.add_scatter(
            x=np.arange(1, len(values) + 1), y=np.float32(values), mode="lines+markers", name=name,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 8, "maxdisplayed": MARKS_ON_A_LINE, "color": colour},
            hovertemplate=f"{name}: %{{y:.3g}} at step %{{x}}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="time step", rangemode="tozero")
    figure.update_yaxes(title={"text": "relative error (log)", "standoff": 10}, type="log", exponentformat="power")
    return figure
