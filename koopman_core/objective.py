"""What the student is asked for: the published objective, and ours along the path.

Distance (paper D.4): d(x, y) = lambda1 * MSE + lambda2 * LPIPS with lambda1 = 10^(-3 progress), lambda2 = 1.
With lambda1 near 0 nothing but LPIPS is left, which hardly sees a fine grid of dots: `lambda1_final` keeps more of MSE.

- `published` (paper sections 3.2, 3.3, algorithm 1): mean of d(f(x_t, t), x_eps) over t = T and times drawn uniformly
  from the stored grid.
- `path` (ours; docs/method.md, "Objectives"): the evolved state at any s <= t must decode to the teacher's denoised
  state there, d(D(exp((tau_s - tau_t) A) E(x_t)), D_teacher(x_s; sigma_s)); s = eps means the picture itself. The
  decoder is not told s, so time can enter through A alone. `published` is its special case s = eps.

Latent consistency (`latent_weights`, with `path`; ours) asks for the linear law itself, level by level: the evolved
latent is to be the latent that the encoder makes of the teacher's state there, exp((tau_s - tau_t) A) E(x_t) = E(x_s).
Its error is relative, mean square over `latent_scale`, and the right side is held still, or both could shrink to
nothing. Over the latents' energy it can also be lowered by an offset that all pictures share and that says nothing;
over their variance between pictures it cannot.

The law may also be asked for from several times t' >= s of one trajectory at once (`latent_starts`), each with its own
E(x_t'); and in the infinitesimal (`rate_weight`; the form of arXiv 2506.22304): along the teacher's velocity
dx/dsigma = (x - D(x; sigma)) / sigma the encoder's own rate is to be that of the law, d/dtau E(x_t, sigma_t) =
A E(x_t, sigma_t), the left side by a Jacobian-vector product.

Nested bands (`nested_blurs`, on top of either objective; ours): some samples keep the first modes of every latent only,
in the order of alpha, and aim at the low-passed picture (koopman_core/nested.py). In the place of the others a share of
them has another picture's modes (`nested_swapped`), as an edit has: what they make is to be the same once low-passed.
Late starts (`nested_late`) are for edits that read their reference on the path, not from noise.

Noised pictures (`share_noised`; ours): x_t is a final picture with a little noise, where no trajectory passes, and the
target the picture itself, so that f(x, eps) = x holds for pictures that come from elsewhere. A share of them
(`noised_swapped`) takes the other modes from another picture and aims at the sum of the one picture's low-pass and the
rest of the other: with pictures that are given, the bands of modes are to be the bands of the picture.

Ablation (paper table 3) by switches: `KoopmanConfig.evolved` = "none" or "bottleneck", and `only_T`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foundation.metrics.perceptual import PerceptualDistance
from foundation.mistakes import Mistake
from foundation.training.loop import Task
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN
from koopman_core.model import KoopmanDiffusion
from koopman_core.nested import blur_at, keep_first, low_pass, rank_shares, start_ramp
from koopman_core.operator import pair_rate, sigma_rate
from koopman_core.trajectories import Trajectories

OBJECTIVES = ("path", "published")
LATENT_SCALES = ("energy", "variance")
OPERATOR_STARTS = ("learned", "random", "permuted", "start")


@dataclass(frozen=True)
class StudentConfig:
    """Objective and its weights.

    Attributes:
        objective: "path" or "published".
        share_T: share of the samples that start at T (the paper: one of its five times).
        share_eps: `path` only: share of the samples whose target is the final picture.
        only_T: supervise t = T alone (the paper's rows without L_t-consist).
        lambda1_final: weight of MSE at the end of the run, in (0, 1]; it falls from 1 by equal factors.
        lambda2: weight of LPIPS, 0 turns it off (then no backbone is needed).
        lpips_net, lpips_side: backbone "alex" or "vgg", and the side that pictures are enlarged to.
        lpips_share: share of the samples whose LPIPS is computed, spread evenly over the batch; with VGG at 224 it
            costs nearly as much as the network, and its mean over a share of independent samples is as unbiased.
        operator_lr: learning rate of A.
        latent_weights: weights of latent consistency, one a resolution of the network, fine to coarse; () for none.
        latent_scale: what its squared error is divided by: "energy", the mean square of E(x_s), or "variance", that of
            the latents at the end about their mean over the batch.
        latent_starts: times of each trajectory from which latent consistency is asked for: t, and so many less one
            more, even on the grid from T to s.
        rate_weight: weight of the infinitesimal law at t, the mean over all levels; its squared error is divided as
            `latent_scale` says, the variance being that over the batch.
        nested_blurs: Gaussian blur in pixels of the picture that the first band, the first two, ... are to give,
            falling; one fewer than there are bands; () for no nested bands.
        nested_share: share of the samples that keep some of the bands only.
        nested_swapped: share of those that have another picture's modes in the place of the others, not zeros.
        nested_late: share of the nested samples that start at any time, whatever `share_T` says: an edit reads its
            reference late on the path.
        nested_continuous: any share of the modes from the first band on, with the blur in between, not whole bands.
        share_noised: share of the samples that start from a noised picture.
        noised_max: largest noise level of those; they are even in ln sigma from sigma_min.
        noised_swapped: share of those that keep some of the bands and have another picture's others; takes
            `nested_blurs`.
        operator: "learned", or a control that is never trained: "random", eigenvalues from a normal distribution,
            "permuted", those of the model that the run starts from, shuffled within every level, or "start", those
            that learning would begin with: with nested bands a slight ramp over the channel pairs, else 0.
        operator_seed: of a control's eigenvalues.
    """

    objective: str = "path"
    share_T: float = 0.5
    share_eps: float = 0.34
    only_T: bool = False
    lambda1_final: float = 1e-3
    lambda2: float = 1.0
    lpips_net: str = "alex"
    lpips_side: int = 64
    lpips_share: float = 1.0
    operator_lr: float = 2e-2
    latent_weights: tuple[float, ...] = ()
    latent_scale: str = "energy"
    latent_starts: int = 1
    rate_weight: float = 0.0
    nested_blurs: tuple[float, ...] = ()
    nested_share: float = 0.375
    nested_swapped: float = 0.0
    nested_late: float = 0.0
    nested_continuous: bool = False
    share_noised: float = 0.0
    noised_max: float = 0.3
    noised_swapped: float = 0.0
    operator: str = "learned"
    operator_seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise Mistake(f"objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}.", "objective")
        if not (0 <= self.share_T <= 1 and 0 <= self.share_eps <= 1 and self.lambda2 >= 0 and self.operator_lr > 0):
            raise ValueError("share_T and share_eps must lie in [0, 1]; lambda2 and operator_lr must not be negative.")
        if not 0 < self.lambda1_final <= 1:
            raise Mistake("lambda1_final must lie in (0, 1]: 0.001 is the paper's.", "lambda1_final")
        if not 0 < self.lpips_share <= 1:
            raise Mistake("lpips_share must lie in (0, 1].", "lpips_share")
        if self.latent_weights and self.objective != "path":
            raise Mistake(
                "latent_weights belong to the objective path: latents are compared along it.", "latent_weights"
            )
        if not all(0 <= w < math.inf for w in self.latent_weights):
            raise Mistake("latent_weights must not be negative.", "latent_weights")
        if self.latent_scale not in LATENT_SCALES:
            raise Mistake(
                f"latent_scale must be one of {', '.join(LATENT_SCALES)}, not {self.latent_scale!r}.", "latent_scale"
            )
        if not 1 <= self.latent_starts <= 8 or (self.latent_starts > 1 and not self.latent_weights):
            raise Mistake("latent_starts must lie in 1 to 8; more than one takes latent_weights.", "latent_starts")
        if not 0 <= self.rate_weight < math.inf:
            raise Mistake("rate_weight must not be negative.", "rate_weight")
        if list(self.nested_blurs) != sorted(self.nested_blurs, reverse=True) or not all(
            0 < b <= 64 for b in self.nested_blurs
        ):
            raise Mistake(
                "nested_blurs must fall and lie in (0, 64] pixels, one a band but for the last.", "nested_blurs"
            )
        if not (0 <= self.nested_share <= 1 and 0 <= self.share_noised <= 1 and SIGMA_MIN < self.noised_max <= 1):
            raise ValueError("nested_share and share_noised must lie in [0, 1], noised_max in (0.002, 1].")
        if not 0 <= self.nested_swapped <= 1:
            raise Mistake("nested_swapped must lie in [0, 1].", "nested_swapped")
        if not 0 <= self.noised_swapped <= 1 or (self.noised_swapped > 0 and not self.nested_blurs):
            raise Mistake("noised_swapped must lie in [0, 1]; more than 0 takes nested_blurs.", "noised_swapped")
        if not 0 <= self.nested_late <= 1:
            raise Mistake("nested_late must lie in [0, 1].", "nested_late")
        if self.operator not in OPERATOR_STARTS:
            raise ValueError(f"operator must be one of {', '.join(OPERATOR_STARTS)}, not {self.operator!r}.")


def lambda1(progress: Tensor, final: float = 1e-3) -> Tensor:
    """final^progress: 1 at the start, `final` at the end; 10^(-3 progress) in the paper (D.4)."""
    return final**progress


def spread_at_the_end(z: Tensor, sigma: Tensor) -> Tensor:
    """Mean square of the latents at sigma_min about their mean over the batch; of all where fewer than two are there.

    Args:
        z: (N, C, h, w).
        sigma: (N,) noise level of each.
    """
    # a mask, not an index: the step is compiled, and shapes that depend on values would break its graph
    at_end = (sigma < 1.001 * SIGMA_MIN).to(z.dtype)
    count = at_end.sum()
    at_end = torch.where(count > 1, at_end, torch.ones_like(at_end))[:, None, None, None]
    mean = (at_end * z).sum(0) / at_end.sum()
    return (at_end * (z - mean).square()).sum() / (at_end.sum() * z[0].numel())


def one_call_mean(values: Tensor, sigma: Tensor, delta: Tensor, share: Tensor) -> Tensor:
    """The mean over the samples that ask for the picture from pure noise by all modes; over all where there is none.

    Args:
        values: (N,) one a sample.
        sigma, delta, share: (N,) as `StudentTask.draw` gives them.
    """
    whole = ((sigma > 0.999 * SIGMA_MAX) & (delta < -0.999) & (share >= 1)).to(values.dtype)
    whole = torch.where(whole.sum() > 0, whole, torch.ones_like(whole))  # no index, see `spread_at_the_end`
    return (values * whole).sum() / whole.sum()


def encoder_rate(
    model: KoopmanDiffusion, x: Tensor, sigma: Tensor, denoised: Tensor, labels: Tensor | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """E(x_t, sigma_t) and its rate along the teacher's velocity, by tau: d/dtau E = (jvp of E) (dx/dtau, dsigma/dtau).

    Args:
        model: the student.
        x, sigma: (B, C, H, W) states and their (B,) noise levels.
        denoised: D(x; sigma) of the teacher.
        labels: (B,) int64 or None.
    """
    pace = sigma_rate(sigma, model.koopman.warp).to(x)
    velocity = (x - denoised) * (pace / sigma)[:, None, None, None]

    def encode(x: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
        return tuple(model.encode(x, sigma, labels))

    with torch.autocast(x.device.type, enabled=False):  # it would cast weights, but no derivatives
        z, rate = torch.func.jvp(encode, (x, sigma), (velocity, pace))  # type: ignore[misc]  # two, without has_aux
    return list(z), list(rate)


def rate_error(
    model: KoopmanDiffusion, x: Tensor, sigma: Tensor, denoised: Tensor, labels: Tensor | None, scale: str
) -> Tensor:
    """Mean over levels of |d/dtau E - A E|^2 over the latents' energy, or over their variance between samples.

    The divisor is held still, or the error could be lowered by latents that grow.
    """
    z, rate = encoder_rate(model, x, sigma, denoised, labels)
    errors = []
    for latent, moved, operator in zip(z, rate, model.operators, strict=True):
        centre = latent.mean(0) if scale == "variance" and len(latent) > 1 else 0.0
        size = (latent - centre).square().mean().detach().clamp_min(1e-12)
        asked = pair_rate(latent, operator.alpha, operator.beta)
        errors.append((moved.float() - asked).square().mean() / size)
    return torch.stack(errors).mean()


def freeze_random(model: KoopmanDiffusion, seed: int) -> None:
    """The control: alpha and beta standard normal, held still."""
    generator = torch.Generator().manual_seed(seed)
    for operator in model.operators:
        if operator.a.requires_grad:
            with torch.no_grad():
                operator.a.copy_(torch.randn(operator.a.shape, generator=generator))
            operator.a.requires_grad_(False)


def freeze_start(model: KoopmanDiffusion) -> None:
    """The control that is neither learned nor drawn: alpha and beta as they are, held."""
    for operator in model.operators:
        operator.a.requires_grad_(False)


def freeze_permuted(model: KoopmanDiffusion, seed: int) -> None:
    """The control with a trained spectrum: the pairs (alpha, beta) of every level at other channels and places, held.

    Raises:
        ValueError: all pairs of a level are alike, so that there is nothing to shuffle.
    """
    generator = torch.Generator().manual_seed(seed)
    for operator in model.operators:
        if operator.a.requires_grad:
            pairs = operator.a.detach().reshape(2, -1)
            if bool((pairs == pairs[:, :1]).all()):
                raise Mistake(
                    "Eigenvalues to permute come from a trained model: name it as input.operator.", "operator"
                )
            order = torch.randperm(pairs.shape[1], generator=generator).to(pairs.device)
            with torch.no_grad():
                operator.a.copy_(pairs[:, order].reshape(operator.a.shape))
            operator.a.requires_grad_(False)


class StudentTask(Task):
    """HKD student on stored trajectories.

    Args:
        model: the student.
        trajectories: the teacher's.
        perceptual: LPIPS; None only with lambda2 = 0.
    """

    def __init__(
        self,
        model: KoopmanDiffusion,
        trajectories: Trajectories,
        perceptual: PerceptualDistance | None,
        config: StudentConfig,
    ):
        super().__init__()
        if perceptual is None and config.lambda2 > 0:
            raise Mistake(
                "lambda2 > 0 needs a perceptual distance: give a backbone, or set student.lambda2=0.", "backbone"
            )
        self.model, self.config, self.perceptual = model, config, perceptual
        self.trajectories = trajectories
        self.compilable = config.rate_weight == 0  # torch 2.13 traces no forward mode of GroupNorm
        if config.operator == "random":
            freeze_random(model, config.operator_seed)
        elif config.operator == "permuted":
            freeze_permuted(model, config.operator_seed)
        elif config.nested_blurs:
            start_ramp(model)
        if config.operator == "start":
            freeze_start(model)
        sides = [h for _, h, _ in model.config.skip_shapes()]
        levels = sorted(set(sides), reverse=True)
        if config.latent_weights and len(config.latent_weights) != len(levels):
            raise Mistake(
                f"latent_weights must be {len(levels)} numbers, for {', '.join(map(str, levels))} pixels.",
                "latent_weights",
            )
        # of each latent: its resolution's weight, shared evenly among the latents of that resolution
        self._latent_weights = (
            [config.latent_weights[levels.index(h)] / sides.count(h) for h in sides] if config.latent_weights else []
        )

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """(x_t, sigma_t, delta = tau_s - tau_t, target, labels, kept share of modes) of n samples.

        With latent weights x_s and sigma_s, too, and for every further start x_t', sigma_t' and its delta; with a rate
        weight the teacher's denoised picture at t. Samples that keep some bands only, or start from a noised picture,
        aim at the final picture; they come first in the batch, in this order.
        """
        data, c = self.trajectories, self.config
        last = len(data.sigmas) - 1
        rows = torch.randint(len(data), (n,), generator=generator).numpy()
        nested, _ = self._nested(n)
        at_T = torch.rand(n, generator=generator) < (1.0 if c.only_T else c.share_T)
        if nested and c.nested_late > 0:
            at_T[:nested] &= torch.rand(nested, generator=generator) >= c.nested_late
        t = torch.where(at_T, 0, torch.randint(last + 1, (n,), generator=generator)).numpy()
        if c.objective == "published":
            s = np.full(n, last + 1)
        else:  # uniform over the grid from t to its end, the final picture (index last + 1) on top
            inner = t + (torch.rand(n, generator=generator).numpy() * (last + 1 - t)).astype(np.int64)
            s = np.where(torch.rand(n, generator=generator).numpy() < c.share_eps, last + 1, inner)
        noised, exchanged = self._noised(n)
        s[: nested + noised] = last + 1
        final = torch.from_numpy(s > last)
        # where every target is the final picture the denoised states need not be stored
        target = data.finals(rows) if bool(final.all()) else data.denoised(rows, np.minimum(s, last))
        if bool(final.any()) and not bool(final.all()):
            target[final] = data.finals(rows[final.numpy()])
        sigma = data.sigmas[torch.from_numpy(t)]
        tau = self.model.tau(data.sigmas)
        tau_s = torch.where(final, 0.0, tau[torch.from_numpy(np.minimum(s, last))])
        x = data.states(rows, t)
        where = slice(nested, nested + noised)
        if noised:
            u = torch.rand(noised, generator=generator, dtype=torch.float64)
            sigma[where] = SIGMA_MIN * (c.noised_max / SIGMA_MIN) ** u
            eps = torch.randn(target[where].shape, generator=generator)
            x[where] = target[where] + sigma[where].float()[:, None, None, None] * eps
        delta = (tau_s - self.model.tau(sigma)).float()
        share = torch.ones(n)
        wanted_states: tuple[Tensor, ...] = ()
        if self._latent_weights:
            at_s, sigma_s = data.states(rows, np.minimum(s, last)), data.sigmas[torch.from_numpy(np.minimum(s, last))]
            if bool(final.any()):
                at_s[final] = target[final]
                sigma_s[final] = SIGMA_MIN
            wanted_states = at_s, sigma_s.float()
            for _ in range(c.latent_starts - 1):
                # even on the grid down to s; the states of a noised picture lie on no trajectory, so these stay apart
                start = (torch.rand(n, generator=generator).numpy() * (np.minimum(s, last) + 1)).astype(np.int64)
                before = data.sigmas[torch.from_numpy(start)]
                wanted_states += data.states(rows, start), before.float(), (tau_s - self.model.tau(before)).float()
        if c.rate_weight > 0:
            denoised = data.denoised(rows, t)
            if noised:
                denoised[where] = target[where]
            wanted_states += (denoised,)
        if nested:
            share[:nested] = self._shares(nested, generator)
            target[:nested] = low_pass(target[:nested], blur_at(share[:nested], c.nested_blurs))
        if exchanged:
            own, pictures = slice(nested, nested + exchanged), target[where]
            share[own] = self._shares(exchanged, generator)
            other = pictures.roll(-1, 0)[:exchanged]
            target[own] = other + low_pass(pictures[:exchanged] - other, blur_at(share[own], c.nested_blurs))
        return x, sigma.float(), delta, target, data.labels(rows), share, *wanted_states

    def _nested(self, n: int) -> tuple[int, int]:
        """How many samples of a batch keep some bands only, and how many of these have another picture's others."""
        c = self.config
        nested = round(n * c.nested_share) if c.nested_blurs else 0
        # another picture takes two samples
        return nested, round(nested * c.nested_swapped) if nested > 1 else 0

    def _noised(self, n: int) -> tuple[int, int]:
        """How many samples of a batch start from a noised picture, and how many of these have another's other bands."""
        c = self.config
        noised = min(round(n * c.share_noised), n - self._nested(n)[0])
        return noised, round(noised * c.noised_swapped) if noised > 1 else 0

    def _shares(self, n: int, generator: torch.Generator) -> Tensor:
        """Shares of the modes (n,) that samples keep: a whole number of bands but all, or any from the first on."""
        bands = len(self.config.nested_blurs) + 1
        u = torch.rand(n, generator=generator)
        return (1 + (bands - 1) * u if self.config.nested_continuous else 1 + (u * (bands - 1)).long()) / bands

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        x, sigma, delta, target, labels, share, *wanted_states = drawn
        z = self.model.evolve(self.model.encode(x, sigma, labels), torch.zeros(()), delta)
        kept = z
        if self.config.nested_blurs:
            ranks = [rank_shares(operator.alpha) for operator in self.model.operators]
            kept = [keep_first(latent, r, share) for latent, r in zip(z, ranks, strict=True)]
        (nested, swapped), (noised, exchanged) = self._nested(len(x)), self._noised(len(x))
        for first, group, count in ((0, nested, swapped), (nested, noised, exchanged)):
            if count:  # the first ones of a group, each with the rest of the next one, which is at the same time
                own = slice(first, first + count)
                others = [latent[first : first + group].roll(-1, 0)[:count] for latent in z]
                rests = [o - keep_first(o, r, share[own]) for o, r in zip(others, ranks, strict=True)]
                kept = [torch.cat([k[:first], k[own] + o, k[own.stop :]]) for k, o in zip(kept, rests, strict=True)]
        out = self.model.decode(kept, labels)
        if swapped:
            blurred = low_pass(out[:swapped], blur_at(share[:swapped], self.config.nested_blurs))
            out = torch.cat([blurred, out[swapped:]])
        mse = (out - target).square().mean()
        loss = lambda1(progress, self.config.lambda1_final) * mse
        parts = {"mse": mse}
        if self.perceptual is not None and self.config.lambda2 > 0:
            n = max(1, round(self.config.lpips_share * len(out)))
            # spread over the batch, in which samples of one kind lie together
            rows = torch.arange(n, device=out.device) * len(out) // n
            each = self.perceptual(out[rows], target[rows]).flatten()
            parts["lpips"] = each.mean()
            loss = loss + self.config.lambda2 * parts["lpips"]
            parts["lpips_one_call"] = one_call_mean(each.detach(), sigma[rows], delta[rows], share[rows])
        denoised: Tensor | None = None
        if self.config.rate_weight > 0:
            *wanted_states, denoised = wanted_states
        if self._latent_weights:
            at_s, sigma_s, *starts = wanted_states
            with torch.no_grad():
                wanted = self.model.encode(at_s, sigma_s, labels)
            variance = self.config.latent_scale == "variance"
            paths = [z]
            for k in range(0, len(starts), 3):
                x_k, sigma_k, delta_k = starts[k : k + 3]
                paths.append(self.model.evolve(self.model.encode(x_k, sigma_k, labels), torch.zeros(()), delta_k))
            errors = [
                w * (a - b).square().mean() / (spread_at_the_end(b, sigma_s) if variance else b.square().mean())
                for path in paths
                for w, a, b in zip(self._latent_weights, path, wanted, strict=True)
                if w > 0
            ]
            parts["latent"] = sum(errors, mse.new_zeros(())) / len(paths)
            loss = loss + parts["latent"]
        if denoised is not None:
            parts["rate"] = rate_error(self.model, x, sigma, denoised, labels, self.config.latent_scale)
            loss = loss + self.config.rate_weight * parts["rate"]
        return {"loss": loss, **parts}

    def parameter_groups(self, lr: float) -> list[dict]:
        operators = [p for p in self.model.operators.parameters() if p.requires_grad]
        others = [*self.model.net.parameters(), *self.model.mixings.parameters()]
        groups = [{"params": others, "lr": lr}]
        return groups + ([{"params": operators, "lr": self.config.operator_lr}] if operators else [])
