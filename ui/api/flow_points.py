"""HTTP endpoints about flows in two dimensions: `PointFlows`'s questions without a page.

As in `ui.api.effects`: tables are nested lists, what has no number is null, and the work of a call is bounded.
"""

from __future__ import annotations

import time

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.flow.clouds import CloudNumbers
from analysis.flow.point_requests import Flow2DRequest, TrainRequest
from analysis.flow.points import PointFlows
from ui.api.codec import plain
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE
from ui.server.runs import LONG_QUEUE

PATIENCE = 60.0  # seconds a call
MAX_STEPS = 2000  # of a training asked for here


class FlowEndpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, bench: PointFlows):
        self.bench = bench

    def flow_2d(
        self,
        density: str = "8gaussians",
        path: str = "idff",
        sampler: str = "euler",
        nfe: int = 5,
        sigma0: float = 0.2,
        gamma1: float = 0.5,
        gamma2: float = 0.0,
        gamma3: float = 0.0,
        grid: str = "uniform",
        seed: int = 0,
        points: int = 512,
        net: str = "auto",
        drawing: list[list[float]] | None = None,
        trajectories: bool = False,
    ) -> dict:
        """Points from noise to a density of two dimensions, and how far they end from data.

        density: "8gaussians", "checkerboard", "moons", "spirals", "pinwheel", or "drawn" with drawing: rows of weights
        of 0 or more on [-4, 4]^2, the top first, 2 to 128 a side. path: "icfm", "otcfm", "sbcfm", "idff". sampler:
        "euler", "heun", "rk4", "taylor2", "multistep", "published" or "momentum" (Euler with gammas, no noise),
        "matched" (gamma1 with matched noise), "bridge". nfe: 1 to 50. sigma0: 0 to 2, of "sbcfm" and "idff". gammas:
        -100 to 100. grid: "uniform" or "cosine". points: 16 to 2048. net: "auto", "oracle", "shipped", or a key from
        /train_toy.
        Returns net, nfe and derivatives as counted, times, points [n][2], trajectories [n][time][2] or null;
        numbers, floor (data against data) and oracle (the same sampler on the closed form, or null), each with mmd2
        (unbiased), mmd2_biased and w2, whose points are w2_points.
        """
        if not isinstance(trajectories, bool):
            raise UserError("Say with true or false whether the trajectories shall come back.")
        r = self.bench.flow_2d(
            Flow2DRequest(density, drawing, path, sampler, nfe, grid, sigma0, gamma1, gamma2, gamma3, seed, points, net)
        )
        return {
            "net": r.net,
            "nfe": r.nfe,
            "derivatives": r.derivatives,
            "times": plain(r.times),
            "points": plain(r.points),
            "trajectories": plain(r.trajectories) if trajectories else None,
            "numbers": _numbers(r.numbers),
            "floor": _numbers(r.floor),
            "oracle": _numbers(r.oracle),
            "w2_points": r.w2_points,
        }

    def train_toy(
        self,
        density: str = "8gaussians",
        path: str = "idff",
        sigma0: float = 0.2,
        steps: int = 500,
        width: int = 128,
        seed: int = 0,
        drawing: list[list[float]] | None = None,
    ) -> dict:
        """Train a net on a density; comes back when it is done, or stopped after a minute.

        density, drawing, path, sigma0: as in /flow_2d. steps: of 256 points, 25 to 2000. width: of the net's 3 hidden
        layers, 16 to 256. Returns key (for net of /flow_2d; kept for some time), step reached, steps asked for,
        seconds, losses [step, mean loss], mmd2 [step, unbiased MMD^2 of a preview], numbers of the last preview or
        null.
        """
        whole(steps, 25, MAX_STEPS, "The number of training steps")
        request = TrainRequest(density, drawing, path, sigma0, steps, width, seed)
        losses, fits, end = [], [], time.monotonic() + PATIENCE
        looks = self.bench.train_toy(request)
        try:
            for look in looks:
                losses += look.losses.tolist()
                if look.numbers is not None:
                    fits.append([look.step, look.numbers.mmd2])
                if time.monotonic() > end:
                    break
        finally:
            looks.close()  # keeps the net
        return {
            "key": look.key,
            "step": look.step,
            "steps": look.steps,
            "seconds": look.seconds,
            "losses": plain(np.array(losses)),
            "mmd2": plain(np.array(fits)) if fits else [],
            "numbers": _numbers(look.numbers),
        }


def _numbers(n: CloudNumbers | None) -> dict | None:
    return None if n is None else {"mmd2": n.mmd2, "mmd2_biased": n.mmd2_biased, "w2": n.w2}


def add_flow_endpoints(bench: PointFlows | None = None) -> None:
    """Register the endpoints with the page under construction; trainings wait in the queue of long runs."""
    endpoints = FlowEndpoints(bench or PointFlows.shared())
    for name, queue in (("flow_2d", MODEL_QUEUE), ("train_toy", LONG_QUEUE)):
        gr.api(guarded(getattr(endpoints, name)), api_name=name, **queue)
