"""What a picture costs: the teacher's sampler, HKD's one call and flows of few calls, in times HKD's one call.

All nets of a model are U-Nets of one size. Ratios are taken within a round, and rounds are interleaved, so what else
the machine does spoils them little; milliseconds stand beside them. Beside the cost stands what it buys where that can
be said: the distance to the teacher's best picture from the same noise. A flow draws another picture from a noise, so
there is no such distance; what its samplers buy is in the part pictures of `python -m analysis.evaluate flow`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.evaluate import page as result_pages
from analysis.evaluate.flow.images import batches
from analysis.evaluate.tables.markdown import NOT_DEFINED, Cell, Table, grid, interval, number
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from benchmarks.serving import load
from benchmarks.timing import Ratio, machine, ratio, timed_rounds
from flow_core.model import FlowModel
from flow_core.samplers import GRIDS, sample
from foundation import noise
from foundation.metrics.perceptual import PerceptualDistance, available
from foundation.metrics.statistics import Interval, mean_interval
from foundation.networks.unet import UNet, count_parameters
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.model import MODELS_DIR
from koopman_core.trajectories import label_of

MODELS = ("shapes", "cifar10")
COST_BATCHES = (1, 16)
GRID_STEPS = (18, 10, 8)  # levels of the Karras grid; n of them cost 2 n - 1 calls
FLOW_NFES = (2, 3, 5, 10, 20)
HELD_OUT_PICTURES = 64
COST_ROUNDS, WARMUP, AT_LEAST = 7, 1, 0.2
HKD = "HKD, one step"
REFERENCE_ROW, ANOTHER_MAP = "the reference", "another map"
COST_COMMAND = "python -m benchmarks cost"
SECTION = ("cost", "latency")

MakePictures = Callable[[Tensor, Tensor | None], Tensor]  # standard normal noise (B, C, H, W), classes (B,) -> pictures


@dataclass(frozen=True)
class Method:
    """Attributes: draw, from noise to pictures; net, whose calls count; says, in the place of a distance if not ""."""

    draw: MakePictures
    net: UNet
    says: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        model, name: of whom.
        calls: of the network for one sample, counted.
        seconds: by batch, median for one picture.
        ratios: by batch, to HKD's one call.
        distance: LPIPS to the teacher's sample of the most calls, or what is said in its place.
    """

    model: str
    name: str
    calls: int
    seconds: dict[int, float]
    ratios: dict[int, Ratio]
    distance: str


def _teacher(denoiser, steps: int) -> MakePictures:
    levels = karras_sigmas(steps)
    return lambda eps, labels: heun_sample(lambda x, sigma: denoiser(x, sigma, labels), SIGMA_MAX * eps, levels).x


def _flow(flow: FlowModel, asked: FlowPicturesRequest) -> MakePictures:
    def draw(eps: Tensor, labels: Tensor | None) -> Tensor:
        classes = () if labels is None else (labels,)
        predict = lambda x, t: flow(x, t, *classes)  # noqa: E731
        x = flow.path.start_std * eps
        spacing = GRIDS[asked.grid]
        return sample(asked.sampler, predict, x, flow.path, asked.nfe, gammas=asked.gammas, spacing=spacing).x

    return draw


def methods(bench: Workbench, flow: FlowModel) -> dict[str, Method]:
    """What is compared, by name; the teacher's sample of the most calls first.

    Raises:
        UserError: a model without its teacher.
    """
    model, teacher = bench.model, bench.teacher
    if teacher is None:
        raise UserError(f"The teacher of {bench.name} is not beside it: put its .teacher.safetensors there.", "teacher")
    says = dict.fromkeys(GRID_STEPS, "") | {GRID_STEPS[0]: REFERENCE_ROW}
    table = {f"teacher, Heun, {n} steps": Method(_teacher(teacher, n), teacher.net, words) for n, words in says.items()}
    table[HKD] = Method(model.one_step, model.net)
    for asked in (FlowPicturesRequest(nfe=n) for n in FLOW_NFES):
        name = f"IDFF, {asked.sampler}, {asked.nfe} calls"
        table[name] = Method(_flow(flow, asked), flow.net.unet, ANOTHER_MAP)
    return table


def network_calls(net: UNet, f: Callable[[], object]) -> int:
    """How often f calls a net, counted at its encoder."""
    calls: list[int] = []
    hook = net.encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        f()
    finally:
        hook.remove()
    return len(calls)


def _start(bench: Workbench, seeds: range) -> tuple[Tensor, Tensor | None]:
    """Noise and classes as `analysis.evaluate.hkd.fidelity` has them."""
    classes = bench.model.config.classes
    labels = torch.tensor([label_of(s, classes) for s in seeds]) if classes else None
    return noise(seeds, bench.model.picture_shape), labels


@torch.inference_mode()
def distances(
    bench: Workbench, table: dict[str, Method], seeds: range, perceptual: PerceptualDistance | None
) -> dict[str, str]:
    """Of each method the mean LPIPS to the reference with its interval, or what is said instead."""
    close = [name for name, m in table.items() if not m.says]
    if perceptual is None:
        return {name: m.says or NOT_DEFINED for name, m in table.items()}
    best = next(m for m in table.values() if m.says == REFERENCE_ROW)
    found: dict[str, list[Tensor]] = {name: [] for name in close}
    for batch in batches(seeds):
        start = _start(bench, batch)
        features = perceptual.features(best.draw(*start).clamp(-1, 1))
        for name in close:
            found[name].append(perceptual.distance_from(table[name].draw(*start).clamp(-1, 1), features))
    means = {name: mean_interval(torch.cat(values)) for name, values in found.items()}
    return {n: m.says or interval(means[n]) for n, m in table.items()}


@torch.inference_mode()
def measure(
    bench: Workbench,
    flow: FlowModel,
    perceptual: PerceptualDistance | None,
    *,
    rounds: int = COST_ROUNDS,
    at_least: float = AT_LEAST,
    seeds: int = HELD_OUT_PICTURES,
) -> list[Line]:
    """Every method of one model.

    Args:
        bench: HKD and its teacher.
        flow: of pictures of the same shape and classes.
        perceptual: LPIPS; None leaves it out.
        rounds: from two.
        at_least: seconds of each method in a round.
        seeds: held-out noises of the distance, from two.
    """
    table = methods(bench, flow)
    one, held_out = range(FIRST_SEED, FIRST_SEED + 1), range(FIRST_SEED, FIRST_SEED + seeds)
    start = _start(bench, one)
    calls = {name: network_calls(m.net, lambda m=m: m.draw(*start)) for name, m in table.items()}
    spent = {}
    for batch in COST_BATCHES:
        start = _start(bench, range(FIRST_SEED, FIRST_SEED + batch))
        timed = {name: (lambda m=m, start=start: m.draw(*start)) for name, m in table.items()}
        spent[batch] = timed_rounds(timed, rounds, WARMUP, at_least)
    far = distances(bench, table, held_out, perceptual)
    return [
        Line(
            bench.name, name, calls[name], {b: statistics.median(s[name]) / b for b, s in spent.items()},
            {b: ratio(s[name], s[HKD]) for b, s in spent.items()}, far[name],
        )
        for name in table
    ]  # fmt: skip


def table_of(lines: list[Line]) -> Table:
    """The Markdown table."""
    head = ["model", "method", "network calls", "LPIPS to the teacher's best"]
    head += [f"{what}, batch {b}" for b in COST_BATCHES for what in (f"times {HKD}", "ms a picture")]
    rows = []
    for line in lines:
        cells = [line.model, line.name, Cell("{}", line.calls), line.distance]
        for b in COST_BATCHES:
            r = line.ratios[b]
            cells += [
                "1" if line.name == HKD else interval(Interval(r.median, r.low, r.high), ".2f"),
                number(1e3 * line.seconds[b], ".1f"),
            ]
        rows.append(cells)
    return grid(head, rows)


def _sizes(bench: Workbench, flow: FlowModel) -> str:
    count = [f"{count_parameters(net):,}" for net in (bench.model, bench.teacher, flow)]
    return f"{bench.name}: {count[0]} parameters of HKD, {count[1]} of its teacher, {count[2]} of the flow"


def run(
    write: bool = False,
    *,
    folder: Path = MODELS_DIR,
    page: Path = result_pages.RESULTS,
    rounds: int = COST_ROUNDS,
    at_least: float = AT_LEAST,
    seeds: int = HELD_OUT_PICTURES,
) -> None:
    """All models; one section of the page of results, printed, and put there with `write`.

    Args:
        write: whether the section goes onto the page.
        folder: of the models.
        page: of results.
        rounds, at_least, seeds: of `measure`.

    Raises:
        UserError: a model, its teacher or its flow is not there, or a page that cannot be written to.
    """
    if write:
        result_pages.render(page)  # refused now, not after the measurement
    library, flows = ModelLibrary(folder), ImageFlows(folder)
    perceptual = PerceptualDistance("alex", side=64) if available("alex") else None
    pairs = [(library.get(name), flows.net(FlowPicturesRequest(data=name)).model) for name in MODELS]
    before = load()
    lines = [
        line for pair in pairs for line in measure(*pair, perceptual, rounds=rounds, at_least=at_least, seeds=seeds)
    ]
    asked = FlowPicturesRequest()
    blocks = (
        f"A whole sample of each method in times {HKD}, of the same model: median over {rounds} interleaved rounds of "
        "the ratio within a round [quartiles]; milliseconds are medians and depend on the machine: "
        f"{machine()}; {before} when it began, {load()} when it ended. Network calls are counted.",
        f"LPIPS (Alex, 64 px) is between pictures from the same noise, over {seeds} held-out noises: mean [95 % "
        "Student interval]. IDFF runs as the page opens: no momentum, "
        f"the {asked.sampler} sampler on {asked.grid} steps along the exact velocity, where a call is one pass forward "
        "(momentum of orders 2 and 3 takes passes backward on top). It draws another picture from a noise than the "
        "teacher does: another map, no such distance.",
        f"Nets of {'; '.join(_sizes(*pair) for pair in pairs)}.",
        table_of(lines),
    )
    result_pages.publish(result_pages.Section(*SECTION, COST_COMMAND, blocks), page if write else None)
