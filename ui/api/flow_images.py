"""HTTP endpoint about flows of pictures: `ImageFlows`'s question without a page."""

from __future__ import annotations

import gradio as gr

from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from ui.api.codec import plain
from ui.api.effects import PATIENCE
from ui.components.html import png_base64
from ui.server.errors import guarded
from ui.server.runs import deadline
from ui.tabs.flow_images import EXACT_QUEUE

MAX_SENT = 256  # pictures in the steps of one answer


class ImageEndpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, bench: ImageFlows):
        self.bench = bench

    def flow_images(
        self,
        data: str = "shapes",
        path: str = "idff",
        sampler: str = "euler",
        nfe: int = 5,
        seeds: list[int] = [0],  # noqa: B006
        label: int = -1,
        gamma1: float = 0.5,
        gamma2: float = 0.0,
        gamma3: float = 0.0,
        grid: str = "uniform",
        steps: bool = False,
        distance: bool = False,
    ) -> dict:
        """Pictures from noise by a flow, with what it saw on the way and how far from its exact flow it ends.

        data: "shapes" or "cifar10", as far as there are nets for it. path: the net's, "idff" or "otcfm". sampler:
        "euler", "heun", "rk4", "taylor2", "multistep"; on "idff" also "published" or "momentum" (Euler with gammas, no
        noise), "matched" (gamma1 with matched noise), "bridge". nfe: 1 to 50. seeds: 1 to 8, one a picture, the same
        noise for every net and sampler. label: class index, -1 for none. gammas: -100 to 100. grid: "uniform" or
        "cosine". steps: whether x1_hat and the states come back, too (steps times seeds at most 256). distance: whether
        the net's plain flow is followed in 61 calls and compared; this takes longer.
        Returns net, nfe and derivatives as counted, seconds, times, pictures [seed]; x1_hat [step][seed] and states
        [time][seed], or null; exact [seed] and distance with mse, psnr, ssim, lpips, each [seed] (null for equal
        pictures or without a backbone), or null. Pictures are base64 PNG.
        """
        for flag, what in ((steps, "the steps"), (distance, "the distance")):
            if not isinstance(flag, bool):
                raise UserError(f"Say with true or false whether {what} shall come back.")
        request = FlowPicturesRequest(
            data, path, sampler, nfe, grid, gamma1, gamma2, gamma3, seeds=seeds, label=label
        )  # fmt: skip
        if steps and request.nfe * len(request.seeds) > MAX_SENT:
            raise UserError(f"Steps come back for at most {MAX_SENT} pictures: ask for fewer calls or seeds.")
        watch = deadline(PATIENCE)
        r = self.bench.flow_pictures(request)
        d = self.bench.distance(request, watch) if distance else None
        return {
            "net": r.net,
            "nfe": r.nfe,
            "derivatives": r.derivatives,
            "seconds": r.seconds,
            "times": plain(r.times),
            "pictures": [png_base64(p) for p in r.pictures],
            "x1_hat": [[png_base64(p) for p in row] for row in r.predictions] if steps else None,
            "states": [[png_base64(p) for p in row] for row in r.states] if steps else None,
            "exact": [png_base64(p) for p in d.exact] if d else None,
            "distance": {k: plain(getattr(d, k)) for k in ("mse", "psnr", "ssim", "lpips")} if d else None,
        }


def add_images_endpoints(bench: ImageFlows | None = None) -> None:
    """Register the endpoint with the page under construction."""
    endpoints = ImageEndpoints(bench or ImageFlows.shared())
    gr.api(guarded(endpoints.flow_images), api_name="flow_images", **EXACT_QUEUE)
