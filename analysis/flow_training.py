"""Training a net on a density in two dimensions, a few steps at a time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from analysis.errors import UserError
from analysis.flow_clouds import sentences
from analysis.flow_nets import Nets
from analysis.requests_flow import BRIDGES, KEY_PREFIX, TrainRequest
from analysis.results_flow import CloudNumbers, TrainStep
from flow_core.fields import Exact
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.recipes import toy_task
from flow_core.samplers import heun
from flow_core.train import train_live
from foundation import noise
from foundation.training import TrainingConfig

BATCH = 256
PREVIEW_POINTS, PREVIEW_NFE = 512, 15
LOOK_EVERY = 50
PREDICTS = {"icfm": "velocity", "otcfm": "velocity", "sbcfm": "x1+eps", "idff": "x1"}


class Training(Nets):
    """Trains nets and keeps them."""

    def train_toy(self, request: TrainRequest) -> Iterator[TrainStep]:
        """Train a net, looked at every `LOOK_EVERY` steps.

        Closing the generator early keeps the net as it was at the last look; nothing is kept of a training that failed.

        Raises:
            UserError: from the generator, where flow_core refuses or the loss diverges.
        """
        batch = BATCH
        config = TrainingConfig(
            images=request.steps * batch, batch=batch, lr=5e-3, warmup=20 * batch, ema_halflife=100 * batch,
            seed=request.seed,
        )  # fmt: skip
        sigma = request.sigma0 if request.path in BRIDGES else 0.0
        with sentences():
            flow = FlowConfig(request.path, sigma, predicts=PREDICTS[request.path])
            density = self._toy(request)
            task = toy_task(density, flow, PointConfig(width=request.width), seed=request.seed)
        model, start, losses, last = task.model, time.perf_counter(), [], None
        live = train_live(task, config, LOOK_EVERY)
        try:
            while True:
                try:
                    with sentences():
                        step, loss = next(live)
                except StopIteration:
                    break
                losses.append((step, loss))
                preview, numbers = self._preview(request, model)
                last = TrainStep(
                    step, request.steps, time.perf_counter() - start, np.array(losses), preview, numbers,
                    _key(request, step), step >= request.steps,
                )  # fmt: skip
                yield last
                losses = []
        except UserError:
            last = None
            raise
        finally:
            live.close()  # leaves the averaged weights in the model
            if last is not None:
                self._keep(last.key, model.eval().requires_grad_(False))

    def _preview(self, request: TrainRequest, model: FlowModel) -> tuple[np.ndarray | None, CloudNumbers | None]:
        with sentences():
            start = noise(range(PREVIEW_POINTS), (2,))
            try:
                x = heun(model, start, Exact(model.path), PREVIEW_NFE).x
            except ValueError:  # diverged: it may come back
                return None, None
            return x.numpy().astype(np.float32), self._numbers(request, x)


def _key(request: TrainRequest, step: int) -> str:
    """Says all of a training that was stopped after so many steps."""
    return f"{KEY_PREFIX}{hashlib.sha256(repr(sorted(asdict(request).items())).encode()).hexdigest()[:16]}-{step}"
