"""What the view "Pictures" of "Flows" says of its results: cost, distances, and which setting is nearest."""

from __future__ import annotations

import numpy as np

from analysis.flow.images import IMAGE_PATH_NAMES, NOISY, ExactDistance, FlowPicturesRequest, FlowPicturesResult
from flow_core.samplers import SAMPLER_NAMES
from ui.components.html import details, facts
from ui.tabs.flows.set_up import NOTHING_RUNS, UNEQUAL_COST

OWN_FLOWS = "Each net has an exact flow of its own: between nets, compare the pictures. "
OWN_NOISE = "A setting with noise of its own need not come near. "


def momentum(request: FlowPicturesRequest) -> str:
    """The weights that the sampler reads, "" where it reads none."""
    return ", ".join(f"γ{'₁₂₃'[k]} = {g:g}" for k, g in enumerate(request.gammas))


def setting_name(request: FlowPicturesRequest, with_momentum: bool = True) -> str:
    """Path, sampler and momentum in words."""
    gammas = f" ({momentum(request)})" if with_momentum and request.gammas else ""
    return f"{IMAGE_PATH_NAMES[request.path]}, {SAMPLER_NAMES[request.sampler]}{gammas}"


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


def mean_and_spread(values: np.ndarray, unit: str) -> str:
    """Mean, and the standard deviation over pictures."""
    if not np.isfinite(values).all():
        return "equal"
    more = f" ± {values.std(ddof=1):{unit}}" if len(values) > 1 else ""
    return f"{values.mean():{unit}}{more}"


def distance_table(distances: dict[str, ExactDistance]) -> str:
    """One row a setting that could be run, by letter."""
    with_lpips = any(d.lpips is not None for d in distances.values())
    rows = ""
    for letter, d in distances.items():
        cells = [mean_and_spread(d.mse, ".4f"), mean_and_spread(d.psnr, ".1f"), mean_and_spread(d.ssim, ".3f")]
        cells += [mean_and_spread(d.lpips, ".3f")] if with_lpips else []
        cells = [c.replace(" ±", "<br>±") for c in cells]
        rows += f"<tr><th>{letter}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"
    heads = ["MSE", "PSNR, dB", "SSIM", *(["LPIPS"] if with_lpips else [])]
    return (
        '<div class="ks-grid-box" tabindex="0" role="region" aria-label="Distances"><table class="ks-bands">'
        "<thead><tr><th></th>"
        f"{''.join(f'<td>{h}</td>' for h in heads)}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def verdict(
    requests: dict[str, FlowPicturesRequest],
    results: dict[str, FlowPicturesResult],
    distances: dict[str, ExactDistance],
) -> str:
    """Which setting follows its flow most closely, and what must be kept in mind; settings by letter."""
    if not distances:
        return NOTHING_RUNS
    measure = "LPIPS" if all(d.lpips is not None for d in distances.values()) else "MSE"
    values = {k: d.lpips if measure == "LPIPS" else d.mse for k, d in distances.items()}
    order = sorted(values, key=lambda k: values[k].mean())
    best, n = order[0], len(values[order[0]])
    words = f"{best} ends nearest to its net’s exact flow: {measure} {mean_and_spread(values[best], '.4f')}"
    if len(order) > 1:
        second = order[1]
        # the same noises in both, so that differences are taken picture by picture
        gap = values[second] - values[best]
        words += f", then {second} with {mean_and_spread(values[second], '.4f')}. "
        sure = n > 1 and gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(n)
        if requests[best].path == requests[second].path and not sure:
            words += f"{n} picture{'s' if n > 1 else ''} cannot tell the two apart: look at the sweep. "
    else:
        words += ". "
    if len({requests[k].path for k in distances}) > 1:
        words += OWN_FLOWS
    if len({(results[k].nfe, results[k].derivatives) for k in distances}) > 1:
        words += UNEQUAL_COST
    if any(requests[k].sampler in NOISY for k in distances):
        words += OWN_NOISE
    spread = f"Mean ± standard deviation of {n} pictures, 8 bits, values from −1 to 1." if n > 1 else "One picture."
    numbers = details("Details", f'{distance_table(distances)}<p class="ks-line">{spread}</p>')
    return f'<p class="ks-verdict" role="status">{words}</p>{numbers}'
