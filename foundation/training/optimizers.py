"""Adam, and Muon for the weight matrices.

Muon (K. Jordan, 2024): the momentum of a weight matrix is replaced by its nearest (semi-)orthogonal matrix, found by
a Newton-Schulz iteration, so all directions learn at one rate. torch.optim.Muon takes plain matrices only and always in
bf16, which is hundreds of times slower than fp32 on CPUs without AMX or AVX-512's bf16; hence this one, which takes
bf16 where the hardware is fast at it. The update is scaled to Adam's typical size (0.2 sqrt(max(m, n)), Liu et al.
2025, arXiv 2502.16982), so that learning rates carry over.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at 0: five iterations bring singular values into [0.7, 1.2]
NARROW = 16  # layers with at most so many channels on one side touch pixels; they stay with Adam


def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 beats fp32: on CUDA, or a CPU with AMX or AVX-512's products of bf16; elsewhere it is far slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    questions = "_is_amx_tile_supported", "_is_avx512_bf16_supported"
    return device.type == "cpu" and any(getattr(torch.cpu, question, lambda: False)() for question in questions)


def orthogonalise(g: Tensor, iterations: int = 5, bf16: bool | None = None) -> Tensor:
    """Nearly the orthogonal polar factor of g.

    Args:
        g: (m, n) matrix, or a stack of them (k, m, n).
        iterations: of Newton and Schulz.
        bf16: whether to iterate in bf16; None where the hardware is fast at it.

    Returns:
        float32, of the shape of g.
    """
    bf16 = fast_bf16(g.device) if bf16 is None else bf16
    x = g.mT if g.shape[-2] > g.shape[-1] else g
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-12)
    if bf16:
        x = _newton_schulz(x.bfloat16(), iterations).float()
    elif x.shape[-1] >= 2 * x.shape[-2]:
        x = _newton_schulz_gram(x, iterations)
    else:
        x = _newton_schulz(x, iterations)
    return x.mT if g.shape[-2] > g.shape[-1] else x


def _newton_schulz(x: Tensor, iterations: int) -> Tensor:
    a, b, c = NS_COEFFICIENTS
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _newton_schulz_gram(x: Tensor, iterations: int) -> Tensor:
    """The same iteration on the small Gram matrix: steps are polynomials of it, so x is multiplied once, at the end.

    For 256 x 2304 that is 0.4 of the work. In bf16 the Gram matrix would lose the small singular values.
    """
    a, b, c = NS_COEFFICIENTS
    gram = x @ x.mT
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = eye
    for i in range(iterations):
        step = a * eye + b * gram + c * gram @ gram
        product = step if i == 0 else step @ product
        if i < iterations - 1:
            gram = step @ gram @ step
    return product @ x


def _orthogonalise_shared(stacks: list[Tensor]) -> list[Tensor]:
    """Every stack orthogonalised; with several workers each does its share and the results are summed."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return [orthogonalise(s) for s in stacks]
    rank, world = dist.get_rank(), dist.get_world_size()
    done = []
    for i, stack in enumerate(stacks):
        mine = slice((rank + i) % world, None, world)
        out = torch.zeros_like(stack)
        if len(stack[mine]):
            out[mine] = orthogonalise(stack[mine])
        done.append(out)
    flat = torch.cat([s.flatten() for s in done])
    dist.all_reduce(flat)
    return [part.view_as(s) for part, s in zip(flat.split([s.numel() for s in done]), done, strict=True)]


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; for tensors of 2 (linear) or 4 (convolution) dimensions.

    Args:
        params: parameters or groups.
        lr: on Adam's scale.
        momentum: in [0, 1).
    """

    def __init__(self, params, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            mu = group["momentum"]
            stacks: dict[tuple, list] = {}  # equal shapes iterate together: fewer, larger products
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                m = state["exp_avg"].lerp_(p.grad, 1 - mu)
                update = p.grad.lerp(m, mu).flatten(1)
                stacks.setdefault(tuple(update.shape), []).append((p, update))
            updates = _orthogonalise_shared([torch.stack([u for _, u in s]) for s in stacks.values()])
            for members, stack in zip(stacks.values(), updates, strict=True):
                scale = 0.2 * max(stack.shape[1:]) ** 0.5
                for (p, _), u in zip(members, stack, strict=True):
                    p.add_(u.view_as(p), alpha=-group["lr"] * scale)
        return loss


def is_matrix(p: Tensor) -> bool:
    """Whether Muon should train it: a weight matrix between hidden layers."""
    return p.ndim in (2, 4) and min(p.shape[0], p.shape[1]) > NARROW


def make_optimizers(groups: list[dict], kind: str, beta2: float) -> list[torch.optim.Optimizer]:
    """Optimizers for parameter groups (dicts with "params" and "lr").

    Args:
        kind: "adam", or "muon" = Muon for hidden weight matrices and Adam for everything else.
    """
    if kind == "adam":
        return [torch.optim.Adam(groups, betas=(0.9, beta2), eps=1e-8)]
    groups = [{**g, "params": list(g["params"])} for g in groups]
    matrices = [{**g, "params": [p for p in g["params"] if is_matrix(p)]} for g in groups]
    rest = [{**g, "params": [p for p in g["params"] if not is_matrix(p)]} for g in groups]
    matrices, rest = [g for g in matrices if g["params"]], [g for g in rest if g["params"]]
    made: list[torch.optim.Optimizer] = [Muon(matrices, lr=1e-3)] if matrices else []
    return made + ([torch.optim.Adam(rest, betas=(0.9, beta2), eps=1e-8)] if rest else [])
