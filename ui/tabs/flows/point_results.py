"""What the views "Plane" and "Sweep" of "Flows" say of their results: distances, blur, cost, the best setting."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from analysis.flow.nets import KEY_PREFIX
from analysis.flow.points import Flow2DRequest, Flow2DResult, LikelihoodResult, SweepResult
from flow_core.paths import PATH_NAMES
from flow_core.samplers import SAMPLER_NAMES
from ui.components.html import facts
from ui.tabs.flows.set_up import NOTHING_RUNS, UNEQUAL_COST

CLEARLY_BEYOND = 0.02  # share of points where data hardly are, over that of data, from which blur is named


def setting_name(request: Flow2DRequest) -> str:
    """Path and sampler in words."""
    return f"{PATH_NAMES[request.path]}, {SAMPLER_NAMES[request.sampler]}"


def net_words(net: str) -> str:
    """What a result was called on."""
    return (
        "exact oracle, no network"
        if net == "oracle"
        else "net trained here"
        if net.startswith(KEY_PREFIX)
        else f"net {net}"
    )


def numbers(r: Flow2DResult) -> str:
    """The distances and the cost of one setting."""
    calls = f"calls, and {r.derivatives} derivatives" if r.derivatives else "network calls"
    twin = f"oracle with this sampler: MMD² {r.oracle.mmd2:.4f}" if r.oracle else "no closed form for this path"
    pairs = ((f"{r.numbers.mmd2:.4f}", "MMD²"), (f"{r.numbers.w2:.2f}", "W₂"), (str(r.nfe), calls))
    return facts(*pairs) + f'<p class="ks-line">{"" if r.net == "oracle" else twin + "; "}{blur_words(r)}</p>'


def blur_words(r: Flow2DResult) -> str:
    """How far the points spread beyond the modes, beside data."""
    mine, data = r.numbers, r.floor
    if math.isnan(mine.spread):
        return f"on empty ground {mine.beyond:.1%} (data {data.beyond:.1%})"
    spread = f"spread within modes {mine.spread:.2f} (data {data.spread:.2f})"
    return f"{spread}, beyond 3 sd {mine.beyond:.1%} (data {data.beyond:.1%})"


def likelihood_words(letter: str, point: Sequence[float], result: LikelihoodResult) -> str:
    """The flow's density at a point beside the exact one."""
    exact = "0" if math.isinf(result.exact_log_prob) else f"e^{result.exact_log_prob:.2f}"
    pairs = ((f"e^{result.log_prob:.2f}", f"density of {letter}’s flow"), (exact, "exact density"))
    calls = f"{result.nfe} network calls and {result.derivatives} derivatives back to noise"
    return f'{facts(*pairs)}<p class="ks-line">At ({point[0]:.2f}, {point[1]:.2f}), per unit of area; {calls}.</p>'


def verdict(results: dict[str, Flow2DResult]) -> str:
    """Which setting is best and what data gives; settings by letter."""
    if not results:
        return NOTHING_RUNS
    best = min(results, key=lambda k: results[k].numbers.mmd2)
    r = results[best]
    words = f"{best} has the least MMD², {r.numbers.mmd2:.4f} (W₂ {r.numbers.w2:.2f})"
    words += f"; data against data gives {r.floor.mmd2:.4f} (W₂ {r.floor.w2:.2f}). "
    if r.numbers.mmd2 <= r.floor.mmd2:
        words += "No sampler can be told from perfect below that. "
    if r.numbers.beyond > r.floor.beyond + CLEARLY_BEYOND:
        words += (
            f"MMD² hardly sees blur: {r.numbers.beyond:.0%} of {best}’s points lie where data hardly are, of data "
            f"{r.floor.beyond:.0%}. "
        )
    if len({v.nfe for v in results.values()}) > 1 or len({v.derivatives for v in results.values()}) > 1:
        words += UNEQUAL_COST
    if len({v.net == "oracle" for v in results.values()}) > 1:
        words += "Some run on the exact oracle, which makes no errors of training, others on nets. "
    note = (
        "One noise; unbiased MMD² with kernel exp(−d²/2), which can be negative; W₂ of "
        f"{r.w2_points} points, mostly scatter."
    )
    return f'<p class="ks-verdict" role="status">{words}</p><p class="ks-line">{note} The sweep shows the spread.</p>'


def momentum_words(result: SweepResult, names: Sequence[str], settings: Sequence[Flow2DRequest]) -> str:
    """The best weight of every setting with momentum, chosen on the noise that is shown, beside Heun's method."""
    said = []
    for m, s in enumerate(result.gamma_settings):
        mean = result.by_gamma[m].mean(1)
        if not np.isfinite(mean).any():
            continue
        best, heun = int(np.nanargmin(mean)), float(result.heun_by_gamma[m].mean())
        said.append(
            f"{names[s]} at {settings[s].nfe} calls is best at γ₁ = {result.gammas[best]:g}, MMD² {mean[best]:.4f}; "
            f"Heun’s method, without a weight to choose, {heun:.4f}."
        )
    return f'<p class="ks-line">{html.escape(" ".join(said))}</p>' if said else ""


def sweep_words(result: SweepResult, names: list[str], first: Flow2DRequest, nfe: int = 5) -> str:
    """Which setting is best on average.

    Args:
        result: of the sweep.
        names: of the settings.
        first: for its seed and number of points.
        nfe: where to look, or else the smallest.
    """
    column = list(result.nfes).index(nfe) if nfe in result.nfes else 0
    at = result.by_nfe[:, column].mean(axis=1)
    best = min(range(len(names)), key=lambda s: at[s] if at[s] == at[s] else float("inf"))
    spread = result.by_nfe[best, column].std(ddof=1)
    words = (
        f"At {result.nfes[column]} calls {names[best]} has the least MMD², {at[best]:.4f} ± {spread:.4f}; data against "
        f"data gives {result.floor.mean():.4f} ± {result.floor.std(ddof=1):.4f}."
    )
    of = f"{len(result.floor)} seeds from {first.seed} on, {first.points} points each, ± one standard deviation"
    return f'<p class="ks-verdict" role="status">{html.escape(words)}</p><p class="ks-line">Measured with {of}.</p>'
