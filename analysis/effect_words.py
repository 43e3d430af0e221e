"""What a measurement says, in sentences made from its numbers: nothing here is said of every model.

Plain text; whoever shows it on a page escapes it.
"""

from __future__ import annotations

import numpy as np

from analysis.figures import band_names
from analysis.probes import EVERYTHING
from analysis.results_effects import AttributionResult, BandLabelsResult, EffectResult

EFFECT_NAMES = {"displacement": "all displacement", "energy": "all energy", "arc": "the way covered"}


def listed(items: list[str]) -> str:
    """One, two and three."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else "none"


def percent(share: float) -> str:
    """0.3 as 30 %."""
    return f"{100 * share:.0f} %"


def _reached(values: np.ndarray, tau: np.ndarray, sigma: np.ndarray, share: float) -> str:
    """The first time (from noise on) at which a curve has so much of its last value."""
    at = int(np.argmax(values >= share * values[-1]))
    return f"τ = {tau[at]:.2f} (σ = {sigma[at]:.2g})"


def effect_words(result: EffectResult, order: str = "alpha") -> str:
    """Which level and which band move most, and until when."""
    bands = band_names(len(result.bands), order)
    if result.kind == "energy":
        first, last = (int(result.levels[:, t].argmax()) for t in (0, -1))
        change = result.bands[:, -1] - result.bands[:, 0]
        gains, loses = int(change.argmax()), int(change.argmin())
        where = (
            f"{result.names[first]} holds most energy at noise ({percent(result.levels[first, 0])}) and still does at "
            f"the picture ({percent(result.levels[first, -1])})."
            if first == last
            else f"{result.names[first]} holds most energy at noise ({percent(result.levels[first, 0])}), "
            f"{result.names[last]} at the picture ({percent(result.levels[last, -1])})."
        )
        if change[gains] < 0.005:
            return f"{where} Between the bands hardly any energy moves."
        ways = [f"from {percent(result.bands[b, 0])} to {percent(result.bands[b, -1])}" for b in (gains, loses)]
        return (
            f"{where} On the way the band of {bands[gains]} gains most, {ways[0]}, and that of {bands[loses]} loses "
            f"most, {ways[1]}."
        )
    if not result.moves:
        return "The latents of this model do not move at all (A = 0): there is nothing to share out."
    top = int(result.levels[:, -1].argmax())
    curve = result.levels[top]
    text = (
        f"{result.names[top]} moves most: it makes {percent(curve[-1])} of {EFFECT_NAMES[result.kind]}, half of that "
        f"by {_reached(curve, result.tau, result.sigma, 0.5)} and nine tenths by "
        f"{_reached(curve, result.tau, result.sigma, 0.9)}."
    )
    peak = int(curve.argmax())
    if curve[peak] > 1.05 * curve[-1]:
        text += (
            f" It had reached {percent(curve[peak])} at τ = {result.tau[peak]:.2f} and fell back, since its modes turn."
        )
    ranked = np.argsort(-result.bands[:, -1], kind="stable")
    shares = [f"{bands[b]} ({percent(result.bands[b, -1])})" for b in ranked]
    return f"{text} Bands by their share at the picture: {listed(shares)}."


def decoded_words(result: EffectResult, order: str = "alpha") -> str:
    """Which band and level the picture misses most, early and late."""
    bands = band_names(len(result.decoded_bands), order)
    level = int(result.decoded_levels[:, -1].argmax())
    early, late = (int(result.decoded_bands[:, t].argmax()) for t in (0, -1))
    times = result.decoded_tau
    before = (
        f"as it does at τ = {times[0]:.2f}"
        if early == late
        else f"while at τ = {times[0]:.2f} it is that of {bands[early]}"
    )
    before = f", {before}" if len(times) > 1 else ""
    return (
        f"At τ = {times[-1]:.2f} the picture misses the band of {bands[late]} most (MSE "
        f"{result.decoded_bands[late, -1]:.3g} without it){before}; of the levels it misses {result.names[level]} most "
        f"(MSE {result.decoded_levels[level, -1]:.3g})."
    )


def label_words(result: BandLabelsResult, order: str = "alpha") -> str:
    """The bands from coarse to fine, and whether the order is more than chance."""
    names = band_names(len(result.centroid), order)
    told = [
        f"{names[b]} ({result.centroid[b]:.3f}, {result.low[b]:.3f} to {result.high[b]:.3f})"
        for b in result.coarse_to_fine
        if np.isfinite(result.centroid[b])
    ]
    if not told:
        return "No band adds any detail to these pictures."
    text = f"From coarse to fine, centroid in cycles per pixel with its 95 % interval: {listed(told)}."
    alike = [
        f"{names[a]} and {names[b]}"
        for a, b, apart in zip(result.coarse_to_fine[:-1], result.coarse_to_fine[1:], result.distinct, strict=True)
        if not apart
    ]
    text += f" Not more than chance apart: {listed(alike)}." if alike else " Neighbours differ by more than chance."
    most = int(np.nanargmax(result.change))
    return f"{text} The picture changes most without the band of {names[most]} (MSE {result.change[most]:.3g})."


def compared(result: AttributionResult, of: str = "bands") -> np.ndarray:
    """Whether a band or level carries more of a factor than of two unrelated scenes.

    Args:
        result: of an attribution.
        of: "bands" or "levels".

    Returns:
        (F, K) or (F, L) int: 1 or -1 where the 95 % interval lies wholly above or below that of `everything`, else 0;
        0 everywhere without that row.
    """
    low, high = getattr(result, f"{of}_low"), getattr(result, f"{of}_high")
    if EVERYTHING not in result.rows:
        return np.zeros(low.shape, dtype=np.int64)
    base = result.rows.index(EVERYTHING)
    return (low > high[base]).astype(np.int64) - (high < low[base])


def attribution_words(result: AttributionResult, order: str = "alpha") -> str:
    """For every band: of which factors it carries more, and of which less, than of two unrelated scenes."""
    signs, names = compared(result), band_names(result.bands.shape[1], order)
    rows = [f for f, row in enumerate(result.rows) if row != EVERYTHING]
    if not signs.any():
        return "No band carries more or less of any factor than of two unrelated scenes: nothing special is in them."
    told = []
    for b, name in enumerate(names):
        more, less = ([result.rows[f] for f in rows if signs[f, b] == s] for s in (1, -1))
        parts = [f"more of {listed(more)}"] * bool(more) + [f"less of {listed(less)}"] * bool(less)
        told.append(f"{name}: {', '.join(parts) or 'nothing special'}")
    return f"Against two unrelated scenes: {'; '.join(told)}."
