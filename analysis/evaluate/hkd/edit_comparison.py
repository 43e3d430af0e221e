"""Does choosing modes by frequency matter? Aware edits against two controls, over many pairs of seeds.

Three arms at the same ratio, region and reference: `aware` mixes the chosen bands, `agnostic` all modes (the paper's
control), `random` as many modes as aware, drawn at random in every latent (ours: agnostic changes more modes, so it
would lose on layout even if frequency meant nothing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.koopman import editing
from analysis.koopman.spectrum import pair_mask
from foundation import noise
from foundation.metrics.statistics import Interval, bootstrap_interval
from foundation.randomness import derived_seed
from koopman_core.edm import EDM, SIGMA_MAX
from koopman_core.model import KoopmanDiffusion
from koopman_core.operator import sigma_of_tau

ARMS = ("aware", "agnostic", "random")
EDIT_BATCH = 20


@dataclass(frozen=True)
class EditComparison:
    """Means over pairs with their intervals.

    Attributes:
        pairs: how many.
        arms: arm -> measure -> interval; measures are `editing.MEASURES`.
        differences: control -> measure -> interval of aware minus that control, paired.
    """

    pairs: int
    arms: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]


def shuffled(weights: Sequence[Tensor], everywhere: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Weights with as many modes of each latent as in `weights`, drawn at random.

    Args:
        weights: G M, both channels of a pair equal.
        everywhere: G alone.
    """
    generator = torch.Generator().manual_seed(seed)
    out = []
    for w, g in zip(weights, everywhere, strict=True):
        chosen, open_ = w[::2] > 0, (g[::2] > 0).flatten().nonzero()[:, 0]
        picked = torch.zeros(chosen.numel())
        picked[open_[torch.randperm(len(open_), generator=generator)[: int(chosen.sum())]]] = 1
        out.append(pair_mask(picked.view(chosen.shape)) * g)
    return out


@torch.inference_mode()
def compare_edits(
    model: KoopmanDiffusion,
    pairs: Sequence[tuple[int, int]],
    *,
    bands: Sequence[int],
    edges: Sequence[float] = (1 / 3, 2 / 3),
    order: str = "alpha",
    ratio: float = 0.9,
    region: str = "lower-left-triangle",
    tau: float = 0.5,
    encoding: str = "noise",
    teacher: EDM | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EditComparison:
    """Edits of many pairs (seed, reference seed), no class label.

    Args:
        pairs: original and reference of each.
        tau: edit time.
        encoding: one of `editing.ENCODINGS`; "ode" and "inversion" need the teacher.
        progress: called with (pairs done, pairs); may raise to stop.

    Raises:
        ValueError: no pair, unknown encoding, or one that needs a teacher without it.
    """
    if not pairs:
        raise ValueError("Give at least one pair of seeds.")
    if encoding not in editing.ENCODINGS or (encoding in ("ode", "inversion") and teacher is None):
        raise ValueError(
            f"The encoding must be one of {', '.join(editing.ENCODINGS)}; ode and inversion need a teacher."
        )
    entries, shape = model.spectrum(), model.picture_shape
    g = editing.region_mask(region, *shape[1:])
    everywhere = editing.mode_weights(entries, g)
    aware = editing.mode_weights(entries, g, bands, edges, order)
    weights = {"aware": aware, "agnostic": everywhere, "random": shuffled(aware, everywhere, 0)}
    rows: dict[str, list[Tensor]] = {arm: [] for arm in ARMS}
    sigma = float(sigma_of_tau(tau, model.koopman.warp))
    for low in range(0, len(pairs), EDIT_BATCH):
        seeds, others = zip(*pairs[low : low + EDIT_BATCH], strict=True)
        z, path = (
            model.evolve(model.encode(SIGMA_MAX * noise(s, shape), SIGMA_MAX), 1.0, 0.0) for s in (seeds, others)
        )
        original, reference = model.decode(z), model.decode(path).clamp(-1, 1)
        if encoding == "noise":
            eps = noise([derived_seed(s, 1) for s in others], shape)
            path = editing.noisy_latents(model, reference, tau, eps)
        elif teacher is not None and encoding == "ode":
            path = editing.state_latents(model, editing.ode_states(teacher, others, sigma).x, tau)
        elif teacher is not None and encoding == "inversion":
            path = editing.state_latents(model, editing.inverted_states(teacher, reference, sigma).x, tau)
        for arm in ARMS:
            edited = model.decode(editing.mix(z, path, weights[arm], ratio))
            rows[arm].append(editing.measure(edited, original, reference, g))
        if progress is not None:
            progress(min(low + EDIT_BATCH, len(pairs)), len(pairs))
    table = {arm: torch.cat(r) for arm, r in rows.items()}

    def intervals(values: Tensor) -> dict[str, Interval]:
        return {name: bootstrap_interval(values[:, i]) for i, name in enumerate(editing.MEASURES)}

    return EditComparison(
        len(pairs),
        {arm: intervals(t) for arm, t in table.items()},
        {arm: intervals(table["aware"] - table[arm]) for arm in ARMS[1:]},
    )
