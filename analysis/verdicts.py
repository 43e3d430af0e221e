"""What follows from measured figures, as sentences: every word in them is computed, none is assumed.

The readings that are tested are the paper's (sections 4.2, 4.3 and D.2 of arXiv 2510.12220); the criteria are ours and
are stated in the sentences or in docs/method.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from analysis.edit_comparison import EditComparison, Interval
from analysis.probes import EVERYTHING
from analysis.result_tables import BANDS, ORDER_WORDS, leading_rates
from analysis.results_effects import AttributionResult, BandLabelsResult, LinearityResult
from koopman_core.model import SpectrumEntry

LINEAR = 0.1  # relative error up to which a level is called linear
PAPER_ORDER = (0, 1, 2)  # of thirds, coarse to fine (section 4.2)
# The paper's words for its three ranges, as factors of our scenes (inferred); colour is none of the three.
READING = {"background": 0, "place": 0, "kind": 1, "size": 1, "turn": 1, "texture": 2}


def _list(names: Sequence[str], nothing: str = "none") -> str:
    return ", ".join(names) or nothing


def _possible_orders(r: BandLabelsResult) -> set[tuple[int, ...]]:
    """Every order that the seeds leave open: neighbours that are not told apart may change places."""
    groups = [[r.coarse_to_fine[0]]]
    for band, apart in zip(r.coarse_to_fine[1:], r.distinct, strict=True):
        if apart:
            groups.append([])
        groups[-1].append(band)
    return {sum(parts, ()) for parts in product(*(permutations(g) for g in groups))}


def bands_verdict(r: BandLabelsResult, order: str) -> str:
    """Which third is coarse, which is fine, and whether that is the paper's order."""
    possible = _possible_orders(r)
    pairs = zip(r.coarse_to_fine[:-1], r.coarse_to_fine[1:], r.distinct, strict=True)
    unsettled = [f"{BANDS[a]} and {BANDS[b]}" for a, b, apart in pairs if not apart]
    if PAPER_ORDER not in possible:
        relation = "the reverse of the paper's order" if possible == {PAPER_ORDER[::-1]} else "not the paper's order"
    else:
        relation = "the paper's order" if len(possible) == 1 else "which may or may not be the paper's order"
    chance = f" (not told apart beyond chance: {_list(unsettled)})" if unsettled else ""
    return (
        f"Thirds by {ORDER_WORDS[order]}, coarse to fine: {_list([BANDS[b] for b in r.coarse_to_fine])}{chance}; "
        f"{relation} (small = structure, large = detail)."
    )


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
    out = []
    for reverse in (False, True):
        band = {f: 2 - b if reverse else b for f, b in READING.items()}
        held = tuple(f for f in READING if above[r.rows.index(f), band[f]])
        out.append(Reading(sigma, order, reverse, held, tuple(f for f in READING if f not in held)))
    return out


def attribution_verdict(tested: Sequence[Reading]) -> str:
    """Whether layout, shape and texture are ranges of the real part."""
    best = max(tested, key=lambda r: len(r.held))
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
        f"{len(tested)} ways to read it the best ({where}) holds for {len(best.held)} of {len(READING)} factors: "
        f"{_list(best.held)}."
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
        first = f"The space is linear to within {LINEAR:.0%} at {_list(linear)} only"
    else:
        first = f"The space is not linear (to within {LINEAR:.0%}) at any level"
    shared = [name for name, e in zip(r.names, learned, strict=True) if e <= LINEAR and name not in linear]
    if shared:
        first += f" ({_list(shared)} only in what all pictures have in common)"
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


def _differences(r: LinearityResult) -> str:
    """How well the law holds for what tells the pictures apart; empty for one trajectory."""
    if r.differences is None:
        return ""
    learned, identity, fitted = (overall_errors(r.differences[k]) for k in ("learned", "identity", "fitted"))
    common = r.common[:, 1:].mean(1)
    if not np.isfinite(learned).all():
        return ""
    return (
        f" Of the latents' energy {common.min():.0%} ({r.names[int(common.argmin())]}) to {common.max():.0%} "
        f"({r.names[int(common.argmax())]}) is the same in all pictures. Of what differs between them the operator is "
        f"off by {learned.min():.2f} ({r.names[int(learned.argmin())]}) to {learned.max():.2f} "
        f"({r.names[int(learned.argmax())]}), where 1 is no better than their mean (medians over levels: best "
        f"{np.median(fitted):.2f}, learned {np.median(learned):.2f}, identity {np.median(identity):.2f})."
    )


def dmd_verdict(r: LinearityResult, entries: Sequence[SpectrumEntry]) -> str:
    """Whether a dense operator would ask for rates that were learned."""
    inside = total = 0
    for level, e in zip(r.dmd, entries, strict=True):
        rates = leading_rates(level)
        total += len(rates)
        inside += sum(float(e.alpha.min()) <= v.real <= float(e.alpha.max()) for v in rates)
    return (
        f"Of the {total} leading eigenvalues that exact DMD finds in the encoder's trajectories, {inside} have a real "
        "part within the range of alpha that their level learned."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Editing


def _sign(v: Interval) -> int:
    """1 or -1 where the interval leaves out 0, else 0 (so too where nothing is defined)."""
    return int(v.low > 0) - int(v.high < 0)


@dataclass(frozen=True)
class Trade:
    """Detail of an aware edit and of the agnostic one that changes the layout as much.

    Attributes:
        ratio: of that agnostic edit.
        aware: high-pass correlation with the reference.
        agnostic: the same of the agnostic edit, on the line between the two ratios measured next to it; NaN where the
            aware edit changes the layout more than any of them.
        sign: 1 or -1 where the aware edit's interval leaves out `agnostic`, else 0.
    """

    ratio: float
    aware: Interval
    agnostic: float
    sign: int


def trades(found: Mapping[str, EditComparison], lower: Mapping[float, EditComparison]) -> dict[str, Trade]:
    """Every choice of bands against the agnostic edit whose low-pass distance to the original is the same.

    At equal ratio an edit of fewer modes changes less of everything, layout and detail; so would a smaller ratio.

    Args:
        found: by choice of bands.
        lower: by ratio, comparisons whose arm "agnostic" is read, ratio 0 among them.
    """
    ratios = sorted(lower)
    line = {m: [lower[r].arms["agnostic"][m].mean for r in ratios] for m in ("low_distance", "high_correlation")}
    out = {}
    for choice, r in found.items():
        at, detail = r.arms["aware"]["low_distance"].mean, r.arms["aware"]["high_correlation"]
        ratio, agnostic = (
            float(np.interp(at, line["low_distance"], y, right=np.nan)) for y in (ratios, line["high_correlation"])
        )
        out[choice] = Trade(ratio, detail, agnostic, int(detail.low > agnostic) - int(detail.high < agnostic))
    return out


def editing_verdict(found: Mapping[str, EditComparison], traded: Mapping[str, Trade]) -> str:
    """Does frequency-aware editing keep the layout better, does frequency matter, and which bands are best?"""

    def told(names: Sequence[str]) -> str:
        return "every choice of bands" if len(names) == len(found) else _list(names, "no choice of bands")

    def settled(control: str, measure: str, sign: int) -> str:
        return told([c for c, r in found.items() if _sign(r.differences[control][measure]) == sign])

    more, less = ([c for c, t in traded.items() if t.sign == sign] for sign in (1, -1))
    text = (
        "At equal ratio the aware edit stays closer to the original's low-pass layout than the agnostic one for "
        f"{settled('agnostic', 'low_distance', -1)}, and takes over less of the reference's detail for "
        f"{settled('agnostic', 'high_correlation', -1)}. Against as many modes drawn at random it stays closer to the "
        f"layout for {settled('random', 'low_distance', -1)} and takes over more detail for "
        f"{settled('random', 'high_correlation', 1)}. Against the agnostic edit at the smaller ratio that changes the "
        f"layout as much, it takes over more detail for {told(more)} and less for {told(less)}. "
    )
    if not more:
        return text + "So choosing bands buys nothing beyond chance that a smaller ratio would not: no default follows."
    best = max(more, key=lambda c: traded[c].aware.mean - traded[c].agnostic)
    return text + f"The largest gain is that of **{best}**: the best default."
