"""Training: `python -m flow_core.train {toy,images,series,torus} --config FILE [--resume]`, and one to train live.

Every key of the TOML file can be overridden: `--training.images=2000`. Runs under `accelerate launch -m` unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from foundation.training.commands import leave, training_command

if TYPE_CHECKING:
    from foundation.training.loop import Task, TrainingConfig


def _runs() -> Mapping:
    from flow_core.training import points

    return points.RUN


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code: 2 for a mistake that a sentence explains."""
    return training_command("flow_core.train", __doc__, ("toy", "images", "series", "torus"), _runs, argv)


def train_live(
    task: Task, config: TrainingConfig, every: int = 25, before_step: Callable[[int, int], None] | None = None
) -> Generator[tuple[int, float], None, None]:
    """Train a small task in this process, a few steps at a time, without a folder.

    While the caller holds a pair, and after the end or `close()`, the task has its averaged (EMA) weights, so that
    it can be shown at any moment. Everything random follows from config.seed.

    Args:
        task: network and loss, on the CPU.
        config: images, batch, learning rate, optimizer, EMA; the rest is for long runs.
        every: steps from one pair to the next.
        before_step: called with (steps done, steps in all) before every one; may raise to stop.

    Yields:
        (steps done, mean loss since the last pair); the last pair comes after the last step.

    Raises:
        FloatingPointError: the loss is NaN or infinite.
    """
    import torch

    from foundation.randomness import mix_seed
    from foundation.training.loop import swapped
    from foundation.training.optimizers import make_optimizers

    steps, total, n = -(-config.images // config.batch), 0.0, 0
    optimizers = make_optimizers(task.parameter_groups(config.lr), config.optimizer, config.beta2)
    groups = [(g, g["lr"]) for o in optimizers for g in o.param_groups]
    params = task.trainable_state()
    ema = {k: p.detach().clone() for k, p in params.items()}
    generator = torch.Generator().manual_seed(mix_seed(config.seed, 4))
    task.train()
    try:
        for step in range(steps):
            if before_step is not None:
                before_step(step, steps)
            images = step * config.batch
            drawn = task.draw(step, config.batch, generator)
            loss = task(torch.tensor(images / config.images), *drawn)["loss"]
            loss.backward()
            torch.nn.utils.clip_grad_norm_(params.values(), config.clip, foreach=True)
            for group, lr in groups:
                group["lr"] = lr * config.lr_factor(images)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            images += config.batch
            halflife = max(min(config.ema_halflife, images * config.ema_rampup), 1e-8)
            share = 1 - 0.5 ** (config.batch / halflife)
            torch._foreach_lerp_(list(ema.values()), [p.detach() for p in params.values()], share)
            total, n = total + float(loss.detach()), n + 1
            if not math.isfinite(total):
                raise FloatingPointError("The loss became NaN or infinite: lower the learning rate.")
            if n == every or step == steps - 1:
                with swapped(params, ema):
                    yield step + 1, total / n
                total, n = 0.0, 0
    finally:
        with torch.no_grad():
            for k, p in params.items():
                p.copy_(ema[k])
        task.eval()


if __name__ == "__main__":
    leave(main())
