"""What the tab Flow images says: formulas, numbers, and what follows from them."""

from __future__ import annotations

import html

import numpy as np

from analysis.flow.images import NOISY, ExactDistance, FlowPicturesRequest, FlowPicturesResult, PictureSweepResult
from ui.cards import facts
from ui.flow_words import PATH_NAMES, SAMPLER_NAMES

INTRO = """<p class="ks-intro">The same noise becomes pictures in up to four ways, a few network calls each. Under the
slider: what each expects the picture to be at that moment, x̂₁, and the noisy state itself.</p>
<p class="ks-formula">v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s, &nbsp;s = ∇ log p<sub>t</sub> = (t x̂₁ − x)/V₀ &nbsp;·&nbsp;
published drift √(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t) + (γ₁ − ½) σ<sub>t</sub>² s + γ₂ σ<sub>t</sub>² ξ² + γ₃
σ<sub>t</sub>² ξ³, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t))</p>"""
DISTANCE_WORDS = """<p class="ks-line">The exact flow is the plain ODE of the <em>same net</em> from the same noise, in
{nfe} calls. The distance to it is the error of a sampler, not of a net: a small one says nothing of how good the
pictures are. Momentum without noise heads for another law than the flow’s, and “matched noise” and “bridge SDE” draw
noise of their own, so for them a distance is a difference, not an error.</p>"""
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls, 6 pictures each.</p>'
WAIT = '<p class="ks-line">Distances are on their way, and with another noise its exact flow.</p>'


def momentum(request: FlowPicturesRequest) -> str:
    """The weights that the sampler reads, "" where it reads none."""
    return ", ".join(f"γ{'₁₂₃'[k]} = {g:g}" for k, g in enumerate(request.gammas))


def setting_name(request: FlowPicturesRequest, with_momentum: bool = True) -> str:
    """Path, sampler and momentum in words."""
    gammas = f" ({momentum(request)})" if with_momentum and request.gammas else ""
    return f"{PATH_NAMES[request.path]}, {SAMPLER_NAMES[request.sampler]}{gammas}"


def of(request: FlowPicturesRequest) -> str:
    """Which noise."""
    first, last = request.seeds[0], request.seeds[-1]
    return f"seed {first}" if first == last else f"seeds {first} to {last}"


def cost(result: FlowPicturesResult) -> str:
    """What one setting took."""
    calls = "network call" if result.nfe == 1 else "network calls"
    pairs = [(str(result.nfe), calls), (f"{result.seconds:.2g} s", "on this machine")]
    if result.derivatives:
        pairs.insert(1, (str(result.derivatives), "derivatives" if result.derivatives > 1 else "derivative"))
    return facts(*pairs)


def _spread(values: np.ndarray, unit: str) -> str:
    """Mean, and the standard deviation over pictures."""
    if not np.isfinite(values).all():
        return "equal"
    more = f" ± {values.std(ddof=1):{unit}}" if len(values) > 1 else ""
    return f"{values.mean():{unit}}{more}"


def distance_table(names: dict[str, str], distances: dict[str, ExactDistance]) -> str:
    """One row a setting.

    Args:
        names: of the settings, by letter.
        distances: of those that could be run, by letter.
    """
    with_lpips = any(d.lpips is not None for d in distances.values())
    rows = ""
    for letter, d in distances.items():
        cells = [_spread(d.mse, ".4f"), _spread(d.psnr, ".1f"), _spread(d.ssim, ".3f")]
        cells += [_spread(d.lpips, ".3f")] if with_lpips else []
        rows += f"<tr><th>{letter}: {html.escape(names[letter])}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"
    heads = ["MSE", "PSNR, dB", "SSIM", *(["LPIPS (Alex)"] if with_lpips else [])]
    return (
        '<div class="ks-grid-box"><table class="ks-bands"><thead><tr><th>to the exact flow</th>'
        f"{''.join(f'<td>{h}</td>' for h in heads)}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def verdict(
    asked: dict[str, FlowPicturesRequest], results: dict[str, FlowPicturesResult], distances: dict[str, ExactDistance]
) -> str:
    """Which setting follows its flow most closely, and what must be kept in mind; settings by letter."""
    if not distances:
        return '<p class="ks-line">No setting can be run: each says why.</p>'
    measure = "LPIPS" if all(d.lpips is not None for d in distances.values()) else "MSE"
    values = {k: d.lpips if measure == "LPIPS" else d.mse for k, d in distances.items()}
    order = sorted(values, key=lambda k: values[k].mean())
    best, n = order[0], len(values[order[0]])
    words = f"{best} ends nearest to its net’s exact flow: {measure} {_spread(values[best], '.4f')}"
    if len(order) > 1:
        second = order[1]
        # the same noises in both, so that differences are taken picture by picture
        gap = values[second] - values[best]
        words += f", then {second} with {_spread(values[second], '.4f')}. "
        sure = n > 1 and gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(n)
        if asked[best].path == asked[second].path and not sure:
            words += f"{n} picture{'s' if n > 1 else ''} cannot tell the two apart: look at the sweep. "
    else:
        words += ". "
    if len({asked[k].path for k in distances}) > 1:
        words += "Each net has an exact flow of its own: between nets, compare the pictures. "
    if len({(results[k].nfe, results[k].derivatives) for k in distances}) > 1:
        words += "Mind that they do not all cost the same. "
    if any(asked[k].sampler in NOISY for k in distances):
        words += "A setting with noise of its own need not come near. "
    spread = f"Mean ± standard deviation of {n} pictures, 8 bits, values from −1 to 1." if n > 1 else "One picture."
    return f'<p class="ks-verdict" role="status">{words}</p><p class="ks-line">{spread}</p>'


def sweep_words(result: PictureSweepResult, names: list[str], first: FlowPicturesRequest, nfe: int = 5) -> str:
    """Which setting is nearest to its exact flow at few calls.

    Args:
        result: of the sweep.
        names: of the settings.
        first: for its seeds.
        nfe: where to look, or else the smallest.
    """
    column = list(result.nfes).index(nfe) if nfe in result.nfes else 0
    at = result.distance[:, column]
    sign, digits = (1, ".4f") if result.measure == "LPIPS" else (-1, ".1f")
    known = [s for s in range(len(names)) if np.isfinite(at[s]).all()]
    if not known:
        return f'<p class="ks-verdict" role="status">At {result.nfes[column]} calls no setting has a number.</p>'
    best = min(known, key=lambda s: sign * at[s].mean())
    unit = " dB" if result.measure == "PSNR" else ""
    words = (
        f"At {result.nfes[column]} calls {names[best]} is nearest to its exact flow: {result.measure} "
        f"{_spread(at[best], digits)}{unit}."
    )
    drawn = f"{len(first.seeds)} pictures, {of(first)}; bands are ± one standard deviation"
    gaps = " Gaps: diverged, or dearer than one question may be." if np.isnan(result.distance).any() else ""
    return f'<p class="ks-verdict" role="status">{html.escape(words)}</p><p class="ks-line">{drawn}.{gaps}</p>'
