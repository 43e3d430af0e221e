"""Directions measured with the true factors: how much of a change is the wanted factor's, how linear, does it transfer.

Data must be drawn (`koopman.scenes.DRAWN`). What a picture shows is read by kernel ridge regression from its
pixels, fitted to drawn scenes and their true factors: it knows nothing of the model. All methods are compared at one
mean squared change of the picture, since a larger step changes more of everything.

A method without a label offers several directions; the one that changes the wanted factor most selectively is taken, at
the very picture it was found at, which flatters "own". "transfer" moves other pictures along it and does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate.tables.markdown import Block, Table, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman import editing
from analysis.koopman.directions import (
    contrasts,
    decoder_directions,
    factor_direction,
    grouped_directions,
    score,
)
from analysis.koopman.jacobian import flat, regional, unflat
from analysis.koopman.scenes import DRAWN, draw, drawn_data
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.metrics.statistics import Interval, bootstrap_interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.operator import sigma_of_tau

CHANGE = 0.02  # mean squared change of the picture at which methods are compared
UNNAMED = 4  # directions of a method without a label
TAU = 0.4  # of the scenes' encoding and of the teacher's state
READABLE = 0.5  # R^2 from which on a factor is read
READER_SCENES, READER_TRAINING = 1500, 1200  # drawn for the reader; of these for its fit
SPREAD_NOISES, GROUP_PICTURES = 64, 3  # for standard deviations; for the sketch of groups
BISECTIONS = 11
NORMS = (1e-2, 1e3)  # of steps that are tried
LINE = (-1.0, -0.5, 0.5, 1.0)  # shares of the matched strength
WANTED = {"shapes": ("x", "background_a.0", "colour.0"), "portraits": ("yaw", "smile", "skin", "hair_colour")}


class Reader:
    """Factors of pictures by kernel ridge regression (Gaussian kernel on pixels), in standard deviations.

    Args:
        data: a key of `DRAWN`.
        side: of the pictures.
        seed: of the scenes.

    Attributes:
        names: scalars that can be read, in the order of the columns.
        quality: R^2 of each on scenes that were not fitted.
    """

    def __init__(self, data: str, side: int, seed: int = FIRST_SEED + 10**6, scenes: int = READER_SCENES):
        records = DRAWN[data].factors(np.arange(scenes), seed)
        fit = slice(0, scenes * READER_TRAINING // READER_SCENES)
        self.known = draw(data, records[fit], side).flatten(1).double()
        names = [c for c in contrasts(data) if "=" not in c]
        table = torch.from_numpy(np.stack([score(records, c) for c in names], 1))
        table = (table - table.mean(0)) / table.std(0).clamp_min(1e-12)
        self._width = float(torch.cdist(self.known[:200], self.known[:200]).square().median())
        kernel = self._kernel(self.known)
        weights = torch.linalg.solve(kernel + 1e-3 * torch.eye(len(kernel)).double(), table[fit])
        rest = slice(fit.stop, None)
        told = self._kernel(draw(data, records[rest], side).flatten(1).double()) @ weights
        error = (told - table[rest]).square().sum(0) / (table[rest] - table[fit].mean(0)).square().sum(0)
        good = error < 1 - READABLE
        self.names = tuple(name for name, ok in zip(names, good.tolist(), strict=True) if ok)
        self.quality = dict(zip(self.names, (1 - error)[good].tolist(), strict=True))
        self._weights = weights[:, good]

    def _kernel(self, x: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(x, self.known).square() / self._width)

    def __call__(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F) float64."""
        return self._kernel(pictures.clamp(-1, 1).flatten(1).double()) @ self._weights


def group_of(name: str) -> str:
    """The factor that a scalar belongs to, without its axis."""
    return name.partition(".")[0]


def selectivity(change: Tensor, names: Sequence[str], wanted: str) -> Tensor:
    """Share of the squared change of all that can be read which belongs to the wanted factor, (B,).

    Args:
        change: (B, F) standard deviations.
        names: of the columns.
        wanted: a scalar; all axes of its factor count.
    """
    own = torch.tensor([group_of(n) == group_of(wanted) for n in names])
    squares = change.square()
    return squares[:, own].sum(1) / squares.sum(1).clamp_min(1e-30)


Walk = Callable[[int, Tensor], Tensor]  # number of the seed, what is added (k, N) -> pictures (k, C, H, W)


def matched(walk: Walk, seed: int, directions: Tensor, target: float = CHANGE) -> Tensor:
    """Strength (k,) at which a step along each unit direction changes the picture by `target`, mean squared.

    By bisection of its logarithm, for changes that grow with the step; NaN where no step within `NORMS` does.
    """
    unit = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-30)
    whole = walk(seed, torch.zeros_like(unit[:1])).clamp(-1, 1)

    def change(log: Tensor) -> Tensor:
        return (walk(seed, unit * log.exp()[:, None]).clamp(-1, 1) - whole).double().square().mean((1, 2, 3))

    low, high = (torch.full((len(unit),), float(np.log(v))) for v in NORMS)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        less = change(middle) < target
        low, high = torch.where(less, middle, low), torch.where(less, high, middle)
    strength = ((low + high) / 2).exp()
    reached = change(strength.log())
    return torch.where((reached > target / 2) & (reached < target * 2), strength, torch.nan)


@dataclass(frozen=True)
class Measured:
    """One method and wanted factor.

    Attributes:
        own, transfer: change of the wanted scalar in standard deviations, at the picture where the direction was found
            and at others.
        own_share, transfer_share: `selectivity` there.
        linear: squared correlation of the change with the strength along the line.
    """

    own: Interval
    own_share: Interval
    linear: Interval
    transfer: Interval
    transfer_share: Interval


@torch.no_grad()
def measure_method(
    walk: Walk, find: Callable[[int], Tensor], reader: Callable[[Tensor], Tensor], names: Sequence[str],
    wanted: Sequence[str], seeds: int, *, labelled: bool = False, progress: Progress = None,
) -> dict[str, Measured]:  # fmt: skip
    """Selectivity, linearity and transfer of one method for several factors.

    Args:
        walk: pictures of a seed's state plus steps.
        find: candidates (k, N) at a seed.
        reader: pictures -> (B, F) in standard deviations.
        names: of the columns.
        wanted: scalars among them.
        seeds: how many numbers to ask for; seed i's direction is tried on seed i + 1, too.
        labelled: whether the candidates are one a wanted factor, in that order and with the right sign.
        progress: called with (share done, what) after every seed; may raise to stop.
    """
    rows: dict[str, list[list[float]]] = {w: [] for w in wanted}
    column = {w: list(names).index(w) for w in wanted}
    for i in range(seeds):
        found, other = find(i), (i + 1) % seeds
        unit = found / found.norm(dim=1, keepdim=True).clamp_min(1e-30)
        strength = matched(walk, i, found)
        base = reader(walk(i, torch.zeros_like(unit[:1])))
        change = reader(walk(i, unit * strength.nan_to_num()[:, None])) - base
        for n, w in enumerate(wanted):
            share = selectivity(change, names, w).where(strength.isfinite(), torch.tensor(-1.0).double())
            best = n if labelled else int(share.argmax())
            if not bool(strength[best].isfinite()):
                continue
            d, s = unit[best : best + 1], float(strength[best])
            sign = 1.0 if labelled or float(change[best, column[w]]) >= 0 else -1.0
            steps = torch.tensor(LINE)[:, None] * s * d
            line = (reader(walk(i, steps)) - base)[:, column[w]].numpy()
            flat_line = bool(np.ptp(line) == 0)
            moved = matched(walk, other, sign * d)
            if not bool(moved.isfinite().all()):
                continue
            there = reader(walk(other, sign * d * moved[:, None])) - reader(walk(other, torch.zeros_like(d)))
            rows[w].append([
                sign * float(change[best, column[w]]), float(share[best]),
                0.0 if flat_line else float(np.corrcoef(LINE, line)[0, 1] ** 2),
                float(there[0, column[w]]), float(selectivity(there, names, w)[0]),
            ])  # fmt: skip
        if progress is not None:
            progress((i + 1) / seeds, "directions")
    empty = torch.full((1, 5), torch.nan).double()
    tables = {w: torch.tensor(r).double() if r else empty for w, r in rows.items()}
    return {w: Measured(*(bootstrap_interval(c) for c in t.T)) for w, t in tables.items()}


# ---------------------------------------------------------------------------------------------------------------------
# The methods of a model


class Walker:
    """Directions and pictures of one model's seeds, by method."""

    def __init__(self, bench: Workbench, data: str, wanted: Sequence[str], seeds: Sequence[int]):
        self.model, self.teacher, self.data, self.wanted = bench.model, bench.teacher, data, wanted
        others = range(FIRST_SEED + 10**5, FIRST_SEED + 10**5 + SPREAD_NOISES)
        x = SIGMA_MAX * noise([*seeds, *others], bench.model.picture_shape)
        with torch.no_grad():
            z = flat(self.model.evolve(self.model.encode(x, SIGMA_MAX), 1.0, 0.0))
        self.z, self.spread = z[: len(seeds)], z[len(seeds) :].std(0)
        self.levels = [e.shape for e in bench.entries]
        self.everywhere = torch.ones(bench.model.picture_shape[1:])
        self.seeds, self.sigma = list(seeds), float(sigma_of_tau(TAU, bench.model.koopman.warp))
        self._states: dict[int, Tensor] = {}
        self._means: Tensor | None = None
        self._groups: Tensor | None = None

    def latents(self, i: int) -> list[Tensor]:
        return unflat(self.z[i : i + 1], self.levels)

    def walk(self, i: int, steps: Tensor) -> Tensor:
        return self.model.decode(unflat(self.z[i] + steps, self.levels))

    def by_means(self, i: int) -> Tensor:
        del i
        if self._means is None:
            self._means = torch.stack([factor_direction(self.model, self.data, w, TAU) for w in self.wanted])
        return self._means

    def by_decoder(self, i: int) -> Tensor:
        return decoder_directions(self.model, self.latents(i), self.everywhere, UNNAMED, 0, self.spread)[1]

    def by_groups(self, i: int) -> Tensor:
        del i
        if self._groups is None:
            some = [self.latents(n) for n in range(min(GROUP_PICTURES, len(self.seeds)))]
            self._groups = grouped_directions(self.model, some, self.spread, self.everywhere, 2 * UNNAMED).directions
        return self._groups

    def state(self, i: int) -> Tensor:
        if i not in self._states:
            assert self.teacher is not None
            self._states[i] = editing.ode_states(self.teacher, [self.seeds[i]], self.sigma).x
        return self._states[i]

    def teacher_walk(self, i: int, steps: Tensor) -> Tensor:
        teacher, state = self.teacher, self.state(i)
        assert teacher is not None
        moved = state + steps.view(-1, *state.shape[1:])
        return heun_sample(lambda x, s: teacher(x, s, None), moved, karras_sigmas(5, sigma_max=self.sigma)).x

    def by_teacher(self, i: int) -> Tensor:
        teacher, state = self.teacher, self.state(i)
        assert teacher is not None
        sigma = torch.tensor(self.sigma)
        return regional(
            lambda rows: teacher(rows.view(-1, *state.shape[1:]), sigma, None), state.flatten(), self.everywhere,
            UNNAMED,
        ).directions  # fmt: skip


def directions_table(found: dict[str, dict[str, Measured]]) -> Table:
    """A row a wanted factor and method."""
    rows = []
    for wanted in next(iter(found.values())):
        for method, by in found.items():
            m = by[wanted]
            cells = (interval(v, ".2f") for v in (m.own, m.own_share, m.linear, m.transfer, m.transfer_share))
            rows.append([wanted, method, *cells, str(m.own.count)])
    return grid(["wanted", "method", "change, sd", "its share", "linear, R^2", "transfer: change, sd",
                 "transfer: its share", "pictures"], rows)  # fmt: skip


def directions_verdict(found: dict[str, dict[str, Measured]]) -> Verdict:
    """Which method is most selective on other pictures, by wanted factor."""
    best = {}
    for wanted in next(iter(found.values())):
        by = {m: f[wanted].transfer_share for m, f in found.items() if f[wanted].transfer_share.count}
        if not by:
            continue
        first = max(by, key=lambda m: by[m].value)
        apart = all(by[first].low > v.high for m, v in by.items() if m != first)
        best[wanted] = (first, apart)
    words = [f"{w}: {m}{'' if apart else ' (not beyond chance)'}" for w, (m, apart) in best.items()]
    return Verdict(
        f"Most selective on other pictures at equal change: {'; '.join(words) or 'none could be compared'}.",
        {w: {"method": m, "beyond_chance": apart} for w, (m, apart) in best.items()},
    )


@part("hkd", "directions", 7, "direction-seeds", 16, 2, 1000, on_request=True)
def directions(job: Job) -> Outcome:
    """Methods of finding directions, with the true factors."""
    spec = drawn_data(job.model.model.card)
    if spec is None:
        raise UserError("The part directions needs pictures whose factors are known: shapes or portraits.", "data")
    reader = Reader(spec, job.model.model.config.resolution)
    wanted = [w for w in WANTED[spec] if w in reader.names]
    seeds = range(FIRST_SEED, FIRST_SEED + job.count)
    walker = Walker(job.model, spec, wanted, seeds)
    ways: dict[str, tuple[Walk, Callable[[int], Tensor]]] = {
        "mean": (walker.walk, walker.by_means), "decoder": (walker.walk, walker.by_decoder),
        "groups": (walker.walk, walker.by_groups),
    }  # fmt: skip
    if job.model.teacher is not None:
        ways["teacher"] = (walker.teacher_walk, walker.by_teacher)
    found = {
        method: measure_method(
            walk,
            find,
            reader,
            reader.names,
            wanted,
            job.count,
            labelled=method == "mean",
            progress=job.share(i, len(ways)),
        )
        for i, (method, (walk, find)) in enumerate(ways.items())
    }
    read = ", ".join(f"{name} {r2:.2f}" for name, r2 in reader.quality.items())
    blocks: list[Block] = [
        f"{job.count} held-out seeds, each direction at the step that changes the picture by {CHANGE:g}, mean squared; "
        "means with 95 % bootstrap intervals. Factors are read from pixels by kernel ridge regression, changes in "
        f"standard deviations of the scenes; R^2 on scenes that were not fitted: {read}. `mean` is a difference of "
        f"factor means; of `decoder`, `groups` and `teacher` (up to {2 * UNNAMED} directions) the most selective is "
        "taken at its own picture; `transfer` is the next seed.",
        directions_table(found),
        directions_verdict(found),
    ]
    return Outcome(blocks)
