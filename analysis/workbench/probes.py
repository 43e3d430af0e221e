"""Linearity, attribution and band labels: requests, results and answers. K bands, n times, L levels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import THIRDS, Choice, Edges, Label, Order, Request, Seed, Seeds
from analysis.core.progress import Progress, part, tell
from analysis.koopman import effects, probes
from analysis.koopman import linearity as linear
from analysis.koopman.scenes import FACTOR_ROWS, drawn_data, rows_of
from analysis.workbench.session import Session
from analysis.workbench.spectrum import ZERO_BEFORE, Ablation
from foundation import noise
from foundation.randomness import FIRST_SEED
from koopman_core.edm import EDM, SIGMA_MAX, SIGMA_MIN, karras_sigmas

DMD_SEEDS, DMD_BYTES = 16, 128 * 2**20
Draws = Annotated[int, Field(ge=100, le=10_000, title="The number of resamples")]


def _factors(rows: tuple[str, ...]) -> tuple[str, ...]:
    """In their usual order."""
    return tuple(r for r in FACTOR_ROWS if r in rows)


@dataclass(frozen=True)
class LinearityRequest(Request):
    """Encoder against evolution along the teacher's trajectories.

    Attributes:
        seeds: of 1 to 64 teacher trajectories.
        label: class index, -1 for none.
        steps: of the Karras grid, 4 to 24.
        decoded: whether pictures are measured too.
        dmd_rank: 0 (no DMD) to 64; DMD uses the first 16 seeds at most.
    """

    seeds: Seeds
    label: Label = -1
    steps: Annotated[int, Field(ge=4, le=24, title="The number of steps")] = 18
    decoded: bool = True
    dmd_rank: Annotated[int, Field(ge=0, le=64, title="The rank of the DMD")] = 8


@dataclass(frozen=True)
class AttributionRequest(Request):
    """Pairs of procedural scenes that differ in one factor.

    Attributes:
        pairs: scenes a factor, 8 to 512.
        measure: "picture" (what exchanging a band or level alone changes in the picture, over the change when all are
            exchanged; each pair decodes 2 + K + L times) or "latent" (share of the squared latent difference).
        sigma: noise level to encode at, the same noise for both; sigma_min = 0.002 is as good as clean.
        carried: compare after the flow to eps, as the decoder sees it.
        edges, order: of the bands.
        rows: factors of the model's scenes; () for all, "everything" (two unrelated scenes, the yardstick) included.
        seed: of scenes, noise and bootstrap; draws: 100 to 10,000 resamples.
    """

    former: ClassVar = {"measure": "latent"}
    pairs: Annotated[int, Field(ge=8, le=512, title="The number of pairs")] = 16
    sigma: Annotated[float, Field(ge=SIGMA_MIN, le=SIGMA_MAX, title="The noise level")] = SIGMA_MIN
    carried: bool = False
    edges: Edges = THIRDS
    order: Order = "alpha"
    rows: Annotated[
        tuple[Annotated[str, Choice(FACTOR_ROWS)], ...],
        Field(max_length=len(FACTOR_ROWS), title="The factors"),
        AfterValidator(_factors),
    ] = ()
    seed: Seed = FIRST_SEED  # scenes that no training run has seen
    draws: Draws = 1000
    measure: Annotated[str, Choice(("picture", "latent"))] = "picture"


@dataclass(frozen=True)
class BandLabelsRequest(Request):
    """How coarse or fine is what each band adds.

    Attributes:
        seeds: 1 to 64.
        label: class index, -1 for none.
        edges, order: of the bands.
        draws: 100 to 10,000 bootstrap resamples.
        ablation: what stands in place of a band.
    """

    former: ClassVar = ZERO_BEFORE
    seeds: Seeds = tuple(range(16))
    label: Label = -1
    edges: Edges = THIRDS
    order: Order = "alpha"
    draws: Draws = 1000
    ablation: Ablation = "mean"


@dataclass(frozen=True, eq=False)
class DMDLevel:
    """Exact DMD of one level, strongest mode first.

    Attributes:
        alpha, beta: (r,) eigenvalues alpha + i beta per unit tau; |beta| is at most pi over the step.
        amplitude: (r,) at T.
        captured: share of energy in the singular vectors kept; residual: relative one-step error.
    """

    alpha: np.ndarray
    beta: np.ndarray
    amplitude: np.ndarray
    captured: float
    residual: float


@dataclass(frozen=True, eq=False)
class LinearityResult:
    """Relative error |E(x_t) - evolved E(x_T)| / |E(x_t)| along the teacher's trajectories.

    Attributes:
        names: the L levels.
        tau, sigma: (n,), index 0 = T.
        learned, identity, fitted: (L, n), root of summed squares over trajectories; fitted = the best alpha and beta
            of this form, by complex least squares on the same trajectories (`validity.fit_modes`).
        differences: {"learned", "identity", "fitted"} -> (L, n), the same of what differs between the trajectories
            (`validity.Linearity`); None for one.
        common: (L, n) share of the latents' energy that all trajectories have in common; None for one.
        spread: (L, n) standard deviation over trajectories of the learned one (NaN for one).
        fitted_alpha, fitted_beta: per level (C/2, h, w).
        mse, lpips: {"learned", "identity", "fitted"} -> (n,), D(evolved) against D(E(x_t)); None if not measured.
        dmd: one a level; None without, or where the model's grid is not uniform in tau.
    """

    names: tuple[str, ...]
    tau: np.ndarray
    sigma: np.ndarray
    learned: np.ndarray
    identity: np.ndarray
    fitted: np.ndarray
    differences: dict[str, np.ndarray] | None
    common: np.ndarray | None
    spread: np.ndarray
    fitted_alpha: tuple[np.ndarray, ...]
    fitted_beta: tuple[np.ndarray, ...]
    mse: dict[str, np.ndarray] | None
    lpips: dict[str, np.ndarray] | None
    dmd: tuple[DMDLevel, ...] | None


@dataclass(frozen=True, eq=False)
class AttributionResult:
    """Mean share of the difference of two scenes; F factors, 95 % bootstrap intervals over pairs.

    Attributes:
        rows: the F factors; names: the L levels.
        pairs: (F,) that differ at all.
        share: (F, L, K) of the squared latent difference.
        bands, bands_low, bands_high: (F, K); levels, levels_low, levels_high: (F, L).
    """

    rows: tuple[str, ...]
    names: tuple[str, ...]
    pairs: np.ndarray
    share: np.ndarray
    bands: np.ndarray
    bands_low: np.ndarray
    bands_high: np.ndarray
    levels: np.ndarray
    levels_low: np.ndarray
    levels_high: np.ndarray


@dataclass(frozen=True, eq=False)
class BandLabelsResult:
    """What each of K bands adds to the picture at eps, D(z) - D(z without it).

    Attributes:
        frequency: (R,) cycles per pixel; power (K, R) mean radial power.
        centroid, low, high: (K,) mean frequency centroid with its 95 % bootstrap interval; NaN without detail.
        change: (K,) mean squared picture change.
        coarse_to_fine: bands by centroid; distinct: (K - 1,) whether neighbours there differ by more than chance.
    """

    frequency: np.ndarray
    power: np.ndarray
    centroid: np.ndarray
    low: np.ndarray
    high: np.ndarray
    change: np.ndarray
    coarse_to_fine: tuple[int, ...]
    distinct: tuple[bool, ...]


@torch.inference_mode()
def linearity(session: Session, request: LinearityRequest, progress: Progress = None) -> LinearityResult:
    """How linear is the learned space along the teacher's trajectories? (inferred; `koopman.linearity`)."""
    label, teacher = session.label(request.label), session.teacher
    if teacher is None:
        raise UserError(
            "The linearity check follows the teacher's trajectories: load the model's teacher first.", "teacher"
        )
    return session.kept(request, lambda: _linearity(session, teacher, request, label, progress))


def _linearity(
    session: Session, teacher: EDM, request: LinearityRequest, label: int, progress: Progress
) -> LinearityResult:
    sigmas = karras_sigmas(request.steps)
    labels = session.labels(label, len(request.seeds))
    noises = noise(request.seeds, session.model.picture_shape)
    states = linear.teacher_states(teacher, noises, sigmas, labels, part(progress, 0.0, 0.4))
    found = linear.measure_linearity(
        session.model, states, sigmas, labels, decoded=request.decoded,
        perceptual=session.perceptual() if request.decoded else None, progress=part(progress, 0.4, 0.9),
    )  # fmt: skip

    def arrays(values: dict[str, Tensor]) -> dict[str, np.ndarray]:
        return {k: v.numpy() for k, v in values.items()}

    return LinearityResult(
        names=found.names,
        tau=found.tau.numpy(),
        sigma=sigmas.numpy(),
        **arrays(found.errors),
        differences=None if found.differences is None else arrays(found.differences),
        common=None if found.common is None else found.common.numpy(),
        spread=found.spread.numpy(),
        fitted_alpha=tuple(e.alpha.numpy() for e in found.fitted),
        fitted_beta=tuple(e.beta.numpy() for e in found.fitted),
        mse=None if found.mse is None else arrays(found.mse),
        lpips=None if found.lpips is None else arrays(found.lpips),
        dmd=_dmd(session, request.dmd_rank, states, sigmas, found.tau, labels, part(progress, 0.9, 1.0)),
    )


def _dmd(
    session: Session, rank: int, states: Tensor, sigmas: Tensor, tau: Tensor, labels: Tensor | None, progress: Progress
) -> tuple[DMDLevel, ...] | None:
    """Exact DMD of every level; None where it is not asked for or the Karras grid is not uniform in tau."""
    if rank == 0 or session.model.koopman.warp != "karras":
        return None
    # paths in float32, and the decomposition works in float64 on the largest of them
    one = len(sigmas) * sum(4 * int(np.prod(e.shape)) for e in session.entries)
    few = slice(0, max(1, min(DMD_SEEDS, DMD_BYTES // one)))
    paths = linear.latent_paths(
        session.model, states[few], sigmas, None if labels is None else labels[few], part(progress, 0.0, 0.5)
    )
    out = []
    for i, path in enumerate(paths):
        d = linear.exact_dmd(path, tau, rank)
        rates = d.eigenvalues.numpy()
        out.append(DMDLevel(rates.real.copy(), rates.imag.copy(), d.amplitude.numpy(), d.captured, d.residual))
        tell(progress, 0.5 + 0.5 * (i + 1) / len(paths), "DMD")
    return tuple(out)


@torch.inference_mode()
def attribution(session: Session, request: AttributionRequest, progress: Progress = None) -> AttributionResult:
    """Which level and band sees which factor of the procedural scenes (inferred; see `analysis.koopman.probes`).

    The scenes are those that the model was trained on; models of other pictures are measured with shapes.
    """
    if session.model.config.channels != 3:
        raise UserError("The procedural scenes have three colour channels: choose a model of colour pictures.", "model")
    _own_rows(session, request)
    return session.kept(request, lambda: _attribution(session, request, progress))


def _own_rows(session: Session, request: AttributionRequest) -> tuple[str, tuple[str, ...]]:
    """The data to draw and its factors that were asked for."""
    data = drawn_data(session.model.card) or "shapes"
    known = rows_of(data)
    if strange := [row for row in request.rows if row not in known]:
        raise UserError(f"This model's scenes have no {strange[0]}: choose among {', '.join(known)}.", "rows")
    return data, tuple(row for row in known if row in request.rows or not request.rows)


def _attribution(session: Session, request: AttributionRequest, progress: Progress) -> AttributionResult:
    entries, tau = effects.acting(session.model), float(session.model.tau(request.sigma))
    data, rows = _own_rows(session, request)

    def decode(z: list[Tensor]) -> Tensor:
        return session.model.decode(session.model.evolve(z, tau, 0.0))

    found = probes.attribution(
        session.model.encode, entries, tau, sigma=request.sigma,
        side=session.model.config.resolution, pairs=request.pairs, edges=request.edges, order=request.order,
        data=data, rows=rows, carried=request.carried, seed=request.seed, draws=request.draws, progress=progress,
        decode=decode if request.measure == "picture" else None,
    )  # fmt: skip
    tables = {f.name: getattr(found, f.name).numpy() for f in fields(found) if f.name != "rows"}
    return AttributionResult(rows=found.rows, names=tuple(e.name for e in entries), **tables)


@torch.inference_mode()
def band_labels(session: Session, request: BandLabelsRequest, progress: Progress = None) -> BandLabelsResult:
    """How coarse or fine is what each band adds to the picture? (docs/method.md, "Band labels")."""
    label = session.label(request.label)
    return session.kept(request, lambda: _band_labels(session, request, label, progress))


def _band_labels(session: Session, request: BandLabelsRequest, label: int, progress: Progress) -> BandLabelsResult:
    def latents(i: int) -> list[Tensor]:
        with session.lock:
            return session.final_latents(request.seeds[i], label)

    def stand_in(i: int) -> list[Tensor]:
        found = session.reference(request.ablation, [request.seeds[i]], label, 0.0)
        assert found is not None
        return found

    found = probes.band_frequencies(
        session.model, effects.acting(session.model), latents, len(request.seeds), request.edges, request.order,
        kind=request.ablation, reference=None if request.ablation == "zero" else stand_in,
        labels=session.labels(label, len(request.edges) + 2), draws=request.draws, progress=progress,
    )  # fmt: skip
    values = {f.name: getattr(found, f.name) for f in fields(found)}
    arrays: dict[str, Any] = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in values.items()}
    return BandLabelsResult(**arrays)
