"""What the Flow lab says: names, formulas, numbers, and what follows from them."""

from __future__ import annotations

import html

from analysis.flow.point_requests import KEY_PREFIX, Flow2DRequest
from analysis.flow.points import Flow2DResult, SweepResult
from ui.cards import facts

PATH_NAMES = {"icfm": "I-CFM", "otcfm": "OT-CFM", "sbcfm": "SB-CFM", "idff": "IDFF"}
SAMPLER_NAMES = {
    "euler": "Euler",
    "heun": "Heun",
    "rk4": "Runge–Kutta 4",
    "taylor2": "Taylor-2",
    "multistep": "multistep on x̂₁",
    "published": "published momentum",
    "momentum": "momentum on exact v",
    "matched": "momentum, matched noise",
    "bridge": "bridge SDE",
}
INTRO = """<p class="ks-intro">A flow carries noise to data in a few network calls. Up to four ways of doing so start
here from the same noise, and data that none of them has seen says how well each arrives.</p>
<p class="ks-formula">x<sub>t</sub> = t x₁ + (1 − t) x₀ + σ<sub>t</sub> ε, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t))
&nbsp;·&nbsp; exact velocity v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s, &nbsp;s = ∇ log p<sub>t</sub> &nbsp;·&nbsp; published
drift √(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t) + (γ₁ − ½) σ<sub>t</sub>² ξ¹ + γ₂ σ<sub>t</sub>² ξ²
+ γ₃ σ<sub>t</sub>² ξ³, &nbsp;ξ¹ = s, &nbsp;ξ<sup>k+1</sup> = ∇ Σ ξ<sup>k</sup></p>"""
MOMENTUM_WORDS = """<p class="ks-line">What theory says of momentum: adding η s to the drift keeps the law of
x<sub>t</sub> only together with the noise √(2η) dW (“matched noise”). The published drift adds it without noise and
lacks −(σ₀²/2) s, so with many calls it ends at another law than the data’s; γ₁ = ½ is where its first term vanishes,
not 0. With few calls a <em>negative</em> γ₁ can help, since it spreads what Euler’s large steps contract. Orders 2 and
3 cost derivatives of the net on top of its calls.</p>"""
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls and over γ₁, four seeds each.</p>'


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
    return facts(*pairs) + (f'<p class="ks-line">{twin}</p>' if r.net != "oracle" else "")


def verdict(results: dict[str, Flow2DResult]) -> str:
    """Which setting is best and what data gives; settings by letter."""
    if not results:
        return '<p class="ks-line">No setting can be run: each says why.</p>'
    best = min(results, key=lambda k: results[k].numbers.mmd2)
    r, words = results[best], ""
    words += f"{best} has the least MMD², {r.numbers.mmd2:.4f} (W₂ {r.numbers.w2:.2f})"
    words += f"; data against data gives {r.floor.mmd2:.4f} (W₂ {r.floor.w2:.2f}). "
    if r.numbers.mmd2 <= r.floor.mmd2:
        words += "No sampler can be told from perfect below that. "
    if len({v.nfe for v in results.values()}) > 1 or len({v.derivatives for v in results.values()}) > 1:
        words += "Mind that they do not all cost the same. "
    if len({v.net == "oracle" for v in results.values()}) > 1:
        words += "Some run on the exact oracle, which makes no errors of training, others on nets. "
    note = (
        "One noise; unbiased MMD² with kernel exp(−d²/2), which can be negative; W₂ of "
        f"{r.w2_points} points, mostly scatter."
    )
    return f'<p class="ks-verdict" role="status">{words}</p><p class="ks-line">{note} The sweep shows the spread.</p>'


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
