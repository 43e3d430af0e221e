"""The closed form against a matrix exponential and against a plain copy, at the shapes of the paper's CIFAR-10 net."""

from __future__ import annotations

import torch

from benchmarks.timing import print_table, side_by_side
from foundation.networks.unet import UNetConfig
from koopman_core.operator import KoopmanOperator


def assemble(operator: KoopmanOperator) -> torch.Tensor:
    """The full generators (h, w, C, C)."""
    alpha, beta = operator.alpha, operator.beta
    pairs, h, w = alpha.shape
    a = torch.zeros(h, w, 2 * pairs, 2 * pairs)
    even = torch.arange(0, 2 * pairs, 2)
    a[:, :, even, even] = a[:, :, even + 1, even + 1] = alpha.permute(1, 2, 0)
    a[:, :, even, even + 1] = beta.permute(1, 2, 0)
    a[:, :, even + 1, even] = -beta.permute(1, 2, 0)
    return a


@torch.inference_mode()
def run() -> None:
    """One latent of each resolution, then all of the net's latents against a copy."""
    shapes = UNetConfig.edm_cifar10().skip_shapes()
    rows = []
    for shape in sorted(set(shapes), key=lambda s: s[1] * s[0]):
        operator = KoopmanOperator(shape)
        torch.nn.init.normal_(operator.a, std=0.5)
        z = torch.randn(1, *shape)
        # a few rows of positions where the whole field of matrices would take gigabytes; time is linear in positions
        part = min(shape[1], max(1, 2048 // (shape[2] * 8)))
        a = assemble(operator)[:part]

        def by_matrix(a=a, z=z, part=part):
            return torch.einsum("ijcd,bdij->bcij", torch.linalg.matrix_exp(-a), z[:, :, :part])

        error = float((by_matrix() - operator(z, -1.0)[:, :, :part]).abs().max())
        t = side_by_side({"closed": lambda o=operator, z=z: o(z, -1.0), "matrix": by_matrix}, rounds=3, warmup=1)
        whole = t["matrix"] * shape[1] / part
        share = "" if part == shape[1] else f" (timed on {part} of {shape[1]} rows)"
        rows.append(["x".join(map(str, shape)), f"{1e3 * t['closed']:.2f}", f"{1e3 * whole:.0f}{share}",
                     f"{whole / t['closed']:.0f}", f"{error:.1e}"])  # fmt: skip
    columns = ["latent", "closed form, ms", "matrix_exp, ms", "ratio", "largest difference"]
    print_table("Evolution in closed form", columns, rows)

    operators = [KoopmanOperator(s) for s in shapes]
    z = [torch.randn(16, *s) for s in shapes]
    t = side_by_side({
        "evolve": lambda: [o(x, -1.0) for o, x in zip(operators, z, strict=True)],
        "copy": lambda: [x.clone() for x in z],
    })  # fmt: skip
    rows = [[f"{1e3 * t['evolve']:.1f}", f"{1e3 * t['copy']:.1f}", f"{t['evolve'] / t['copy']:.1f}"]]
    print_table("All latents, batch 16", ["evolve, ms", "copy, ms", "ratio"], rows)
