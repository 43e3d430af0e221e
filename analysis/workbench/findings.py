"""What a measurement says, in sentences made from its numbers: nothing here is said of every model.

Plain text; whoever shows it on a page escapes it. The readings that are tested are the paper's (sections 4.2 and 4.3 of
arXiv 2510.12220); the criteria are ours and are stated in the sentences or in docs/method.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.koopman.scenes import EVERYTHING
from analysis.koopman.spectrum import ORDER_WORDS, band_names
from analysis.workbench.effects import EffectResult
from analysis.workbench.probes import AttributionResult, BandLabelsResult, LinearityResult
from analysis.workbench.signatures import SignatureResult

# in a card's metrics: trainings beside ones whose eigenvalues are held (analysis.evaluate.ablation)
OPERATOR_CONTROLS = "controls"
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
        f"by {_reached(curve, result.tau, result.sigma, 0.5)}."
    )
    peak = int(curve.argmax())
    if curve[peak] > 1.05 * curve[-1]:
        text += (
            f" It had reached {percent(curve[peak])} at τ = {result.tau[peak]:.2f} and fell back, since its modes turn."
        )
    most = int(result.bands[:, -1].argmax())
    return f"{text} Of the bands {bands[most]} moves most ({percent(result.bands[most, -1])})."


def decoded_words(result: EffectResult, order: str = "alpha") -> str:
    """Which band and level the picture misses most, early and late."""
    shares, levels, times = result.decoded_bands, result.decoded_levels, result.decoded_tau
    if shares is None or levels is None or times is None:
        return ""
    bands = band_names(len(shares), order)
    level = int(levels[:, -1].argmax())
    early, late = (int(shares[:, t].argmax()) for t in (0, -1))
    before = (
        f"as it does at τ = {times[0]:.2f}"
        if early == late
        else f"while at τ = {times[0]:.2f} it is that of {bands[early]}"
    )
    before = f", {before}" if len(times) > 1 else ""
    return (
        f"At τ = {times[-1]:.2f} the picture misses the band of {bands[late]} most (MSE "
        f"{shares[late, -1]:.3g} without it){before}; of the levels it misses {result.names[level]} most "
        f"(MSE {levels[level, -1]:.3g})."
    )


def control_words(card: Mapping, *figures: str) -> str:
    """What learning the eigenvalues adds to some figures, over holding them: of short trainings, from the model's card.

    Args:
        card: of the model.
        *figures: their names there.

    Returns:
        Empty where the card has none of them.
    """
    metrics = card.get("metrics")
    controls = metrics.get(OPERATOR_CONTROLS) if isinstance(metrics, Mapping) else None
    if not isinstance(controls, Mapping):
        return ""
    try:
        rows = [(name, controls["figures"][name]) for name in figures]
        head = f"Controls, {int(controls['trainings'])} trainings each of {int(controls['images']):,} samples"
        parts = [
            f"{name} {listed([f'{mean:.3g} [{low:.3g}, {high:.3g}] ({row})' for row, (mean, low, high) in of.items()])}"
            for name, of in rows
        ]
    except (KeyError, TypeError, ValueError, AttributeError):  # an older card, or a stranger's
        return ""
    return f"{head}: {'; '.join(parts)}."


def label_words(result: BandLabelsResult, order: str = "alpha") -> str:
    """The bands from coarse to fine, and whether the order is more than chance."""
    names = band_names(len(result.centroid), order)
    known = [b for b in result.coarse_to_fine if np.isfinite(result.centroid[b])]
    if not known:
        return "No band adds any detail to these pictures."
    told = [f"{names[b]} ({result.centroid[b]:.3f}, {result.low[b]:.3f} to {result.high[b]:.3f})" for b in known]
    text = (
        f"From coarse to fine: {listed([names[b] for b in known])}. Centroids in cycles per pixel with their 95 % "
        f"intervals: {listed(told)}."
    )
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


LINEAR = 0.1  # relative error up to which a level is called linear
# The paper's words for its three ranges, as factors of our scenes (inferred). Colour is none of the three, nor are eyes
# and brows, which have form and fine lines alike.
READINGS: dict[str, dict[str, int]] = {
    "shapes": {"background": 0, "place": 0, "kind": 1, "size": 1, "turn": 1, "texture": 2},
    "portraits": {
        "background": 0, "place": 0, "pose": 0, "light": 0, "face": 1, "hair": 1, "mouth": 1, "nose": 1, "glasses": 1,
        "beard": 1, "hat": 1, "hair texture": 2, "pattern": 2, "freckles": 2,
    },
}  # fmt: skip


def joined(names: Sequence[str], nothing: str = "none") -> str:
    """The names with commas, or a word for none."""
    return ", ".join(names) or nothing


@dataclass(frozen=True)
class Reading:
    """One way to read the paper's sentence, tested.

    Attributes:
        sigma: noise level that was encoded at.
        order: "alpha" or "abs".
        reverse: whether the largest third stands for layout.
        held, failed: factors for which it holds, and for which not.
    """

    sigma: float
    order: str
    reverse: bool
    held: tuple[str, ...]
    failed: tuple[str, ...]


def readings(r: AttributionResult, sigma: float, order: str) -> list[Reading]:
    """The paper's reading and its reverse on one attribution.

    A factor holds when the third that should carry it has a larger share of that factor's difference than of two
    unrelated scenes', with 95 % intervals that do not touch.
    """
    above = r.bands_low > r.bands_high[r.rows.index(EVERYTHING)]
    reading = next(known for known in READINGS.values() if set(known) <= set(r.rows))
    out = []
    for reverse in (False, True):
        band = {f: 2 - b if reverse else b for f, b in reading.items()}
        held = tuple(f for f in reading if above[r.rows.index(f), band[f]])
        out.append(Reading(sigma, order, reverse, held, tuple(f for f in reading if f not in held)))
    return out


def attribution_verdict(tested: Sequence[Reading]) -> str:
    """Whether layout, shape and texture are ranges of the real part."""
    best = max(tested, key=lambda r: len(r.held))
    count = len(best.held) + len(best.failed)
    where = (
        f"{'largest to smallest' if best.reverse else 'smallest to largest'} {ORDER_WORDS[best.order]}, "
        f"encoded at sigma {best.sigma:.3g}"
    )
    if not best.failed:
        return (
            f"The paper's reading of the real part as layout, shape, texture holds for this model: for every factor "
            f"({where})."
        )
    return (
        f"The paper's reading of the real part as layout, shape, texture does not hold for this model: of "
        f"{len(tested)} ways to read it the best ({where}) holds for {len(best.held)} of {count} factors: "
        f"{joined(best.held)}."
    )


def overall_errors(errors: np.ndarray) -> np.ndarray:
    """(L, n) relative errors -> (L,) root mean square over the noise levels below T."""
    return np.sqrt(np.square(errors[:, 1:]).mean(1))


def linear_levels(r: LinearityResult) -> list[str]:
    """Levels where the law holds to within `LINEAR`, for the latents and for what differs between trajectories.

    The latter is asked for where there are several: an offset that all share makes any error relative to it small.
    """
    errors = overall_errors(r.learned)
    if r.differences is not None:
        errors = np.maximum(errors, overall_errors(r.differences["learned"]))  # NaN where nothing differs: not shown
    return [name for name, e in zip(r.names, errors, strict=True) if e <= LINEAR]


def linearity_verdict(r: LinearityResult) -> str:
    """Is the learned space linear along the teacher's trajectories, and is that the operator's fault?"""
    learned, identity, fitted = (overall_errors(e) for e in (r.learned, r.identity, r.fitted))
    linear = linear_levels(r)
    if len(linear) == len(learned):
        first = f"The space is linear to within {LINEAR:.0%} at every level"
    elif linear:
        first = f"The space is linear to within {LINEAR:.0%} at {joined(linear)} only"
    else:
        first = f"The space is not linear (to within {LINEAR:.0%}) at any level"
    shared = [name for name, e in zip(r.names, learned, strict=True) if e <= LINEAR and name not in linear]
    if shared:
        first += f" ({joined(shared)} only in what all pictures have in common)"
    better = int((learned < identity).sum())
    pictures = ""
    if r.mse is not None:
        means = {name: float(v[1:].mean()) for name, v in r.mse.items()}
        pictures = (
            f" In pictures the mean squared error is {means['learned']:.2g} with the learned operator, "
            f"{means['identity']:.2g} with the identity, {means['fitted']:.2g} with the best fit in latents."
        )
    return (
        f"{first}: root mean square of the relative error over the noise levels below T from {learned.min():.2f} "
        f"({r.names[int(learned.argmin())]}) to {learned.max():.2f} ({r.names[int(learned.argmax())]}), where 1 is no "
        f"better than predicting 0. The learned operator is closer than the identity at {better} of {len(learned)} "
        f"levels. The best operator of this form on these very trajectories would still be off by {fitted.min():.2f} "
        f"to {fitted.max():.2f} (medians over levels: best {np.median(fitted):.2f}, learned {np.median(learned):.2f}, "
        f"identity {np.median(identity):.2f}).{_differences(r)}{pictures}"
    )


def signature_words(r: SignatureResult) -> tuple[str, str]:
    """Whether the group of a picture is read from its spectrum, and by what more than the controls; at the picture."""
    clean = int(np.argmin(r.tau))
    read = r.hits_low[:, clean] > r.chance
    until = r.tau[r.hits_low[0] > r.chance]
    if read[0]:
        first = (
            f"The spectrum tells {len(r.groups)} groups apart: read right for {r.hits[0, clean]:.0%} of the held-out "
            f"pictures at τ = {r.tau[clean]:g} (chance {r.chance:.0%}), above chance up to τ = {until.max():g}."
        )
    else:
        first = (
            f"The spectrum does not tell these {len(r.groups)} groups apart: read right for {r.hits[0, clean]:.0%} of "
            f"the held-out pictures at τ = {r.tau[clean]:g}, where chance is {r.chance:.0%}."
        )
    words = []
    for name, (value, low, high) in zip(
        ("modes dealt at random", "the picture's own power"), r.margin[:, clean], strict=True
    ):
        sign = "more than" if low > 0 else "less than" if high < 0 else "not told apart from"
        words.append(f"{sign} {name} ({100 * value:+.0f} [{100 * low:+.0f}, {100 * high:+.0f}] points)")
    return first, f"Bands by α read {joined(words)}."


def _differences(r: LinearityResult) -> str:
    """How well the law holds for what tells the pictures apart; empty for one trajectory."""
    if r.differences is None:
        return ""
    learned, identity, fitted = (overall_errors(r.differences[k]) for k in ("learned", "identity", "fitted"))
    if r.common is None or not np.isfinite(learned).all():
        return ""
    common = r.common[:, 1:].mean(1)
    return (
        f" Of the latents' energy {common.min():.0%} ({r.names[int(common.argmin())]}) to {common.max():.0%} "
        f"({r.names[int(common.argmax())]}) is the same in all pictures. Of what differs between them the operator is "
        f"off by {learned.min():.2f} ({r.names[int(learned.argmin())]}) to {learned.max():.2f} "
        f"({r.names[int(learned.argmax())]}), where 1 is no better than their mean (medians over levels: best "
        f"{np.median(fitted):.2f}, learned {np.median(learned):.2f}, identity {np.median(identity):.2f})."
    )
