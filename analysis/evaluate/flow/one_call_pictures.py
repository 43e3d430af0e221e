"""One call on pictures: a MeanFlow net beside HKD, OT-CFM and the teacher, from the same noise.

MeanFlow learns from data and starts at the teacher's weights, HKD from the teacher's trajectories, with the objective
that its card names. The noise of a seed is the same for all, and where there are classes so is its class, so that the
teacher's own picture is what HKD and MeanFlow should give. OT-CFM pairs noise and data in another way: its picture is
another one, and only the FID judges it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate import image_sets
from analysis.evaluate.flow.images import network_of, start_of
from analysis.evaluate.flow.momentum import counted
from analysis.evaluate.image_sets import MAKER_WORDS, data_by_card, features, picture_progress
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.workbench.library import ModelLibrary
from flow_core import model as flow_model
from flow_core.model import FlowModel
from flow_core.samplers import sample
from foundation.data.pictures import from_bytes, to_bytes
from foundation.metrics.feature_cache import FEATURES_FOLDER, reference, size_of
from foundation.metrics.frechet import fid, sample_name
from foundation.metrics.perceptual import PerceptualDistance, available
from foundation.metrics.statistics import Interval, mean_interval
from foundation.networks.unet import UNetConfig
from foundation.randomness import FIRST_SEED
from koopman_core.fid import FID_STEPS, student_pictures, teacher_pictures

ONE_CALL_BATCH, TIMED = 16, 12  # pictures at once; single ones whose median time is told
SEEN = {
    "HKD": "from the same call latents at every time, each a picture; modes and bands",
    "MeanFlow": "nothing",
    "OT-CFM": "nothing",
    "teacher": "a denoised picture every second call",
}


@dataclass(frozen=True)
class Maker:
    """One way from noise to pictures.

    Attributes:
        name: net, objective and calls.
        kind: of `SEEN`.
        calls: network calls.
        make: seeds -> bytes (B, 3, H, W).
        model: whose weights.
        place, words: where its features are kept, and how it is told from others there.
    """

    name: str
    kind: str
    calls: int
    make: Callable[[range], Tensor]
    model: torch.nn.Module
    place: str
    words: str


@dataclass(frozen=True)
class OneCallPictures:
    """One row.

    Attributes:
        maker: whose.
        distance: to the teacher's picture.
        less: distance of MeanFlow's one call less this one, paired.
        ms: for a picture alone.
    """

    maker: Maker
    distance: Interval
    less: Interval
    ms: float


def flow_pictures(model: FlowModel, seeds: range, calls: int) -> Tensor:
    """Bytes (B, 3, H, W) of Euler's method, on mean velocities one jump a call."""
    made = sample("euler", network_of(model, seeds), start_of(model, seeds), model.path, calls)
    return to_bytes(counted(made, calls)).cpu()


def makers_of(model: FlowModel, name: str, folder: Path) -> list[Maker]:
    """The teacher, every HKD model of its in the folder, the net, and OT-CFM's where it is there.

    Raises:
        UserError: no HKD model with its teacher there learned the same pictures.
    """
    library, data = ModelLibrary(folder), model.card.get("data", {}).get("name")
    same = [n for n in library.names() if data and library.info(n).card.get("data", {}).get("name") == data]
    benches = [b for b in map(library.get, same) if b.teacher and b.model.config.resolution == model.sample_shape[-1]]
    teacher = benches[0].teacher if benches else None
    if teacher is None:
        raise UserError(
            f"There is no HKD model of {data or 'unnamed data'} with its teacher in {folder}: put one there.", "model"
        )
    taught, words = str(teacher.card.get("name", f"{benches[0].name}-teacher")), MAKER_WORDS["teacher"]
    make: Callable[[range], Tensor] = partial(teacher_pictures, teacher, steps=FID_STEPS)
    out = [Maker(words, "teacher", 2 * FID_STEPS - 1, make, teacher, taught, words)]
    for bench in benches:
        told = bench.model.card.get("recipe", {}).get("student", {})
        aim = "nested" if told.get("nested_blurs") else told.get("objective", "unnamed")
        shown, place = f"HKD {bench.name}, objective {aim}, 1 call", f"{bench.name}-student"
        make = partial(student_pictures, bench.model)
        out.append(Maker(shown, "HKD", 1, make, bench.model, place, MAKER_WORDS["student"]))
    nets: dict[str, tuple[FlowModel, str, tuple[int, ...]]] = {"MeanFlow": (model, name, (1, 2))}
    beside = folder / f"images-{data}-otcfm{flow_model.FLOW_SUFFIX}"
    if beside.is_file():
        nets["OT-CFM"] = flow_model.load(beside), f"images-{data}-otcfm", (1,)
    for kind, (net, place, several) in nets.items():
        for n in several:
            calls = f"{n} call{'s' if n > 1 else ''}"
            make = partial(flow_pictures, net, calls=n)
            out.append(Maker(f"{kind}, {calls}", kind, n, make, net, place, f"Euler, {calls}"))
    return out


def measure_pictures_of_one_call(
    makers: list[Maker], count: int, lpips: Path | None = None, progress: Progress = None
) -> tuple[list[OneCallPictures], str]:
    """Every row, and the metric: LPIPS, or without a backbone the mean squared error."""
    perceptual = PerceptualDistance("alex", lpips) if available("alex", lpips) else None
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    found: dict[str, list[Tensor]] = {m.name: [] for m in makers}
    for i in range(0, count, ONE_CALL_BATCH):
        some = seeds[i : i + ONE_CALL_BATCH]
        made = {m.name: from_bytes(m.make(some)) for m in makers}
        want = made[makers[0].name]
        for name, x in made.items():
            with torch.no_grad():
                d = perceptual(x, want).flatten() if perceptual else (x - want).square().mean((1, 2, 3))
            found[name].append(d.double())
        if progress is not None:
            progress(0.9 * min(1.0, (i + ONE_CALL_BATCH) / count), "pictures")
    each = {name: torch.cat(d) for name, d in found.items()}
    mine = each[next(m.name for m in makers if m.kind == "MeanFlow")]
    rows = [OneCallPictures(m, mean_interval(each[m.name]), mean_interval(mine - each[m.name]), _ms(m)) for m in makers]
    return rows, "LPIPS" if perceptual else "mean squared error"


def _ms(maker: Maker) -> float:
    """Median milliseconds of a picture alone, after one that is not counted."""
    times = []
    for seed in range(FIRST_SEED, FIRST_SEED + TIMED + 1):
        start = time.perf_counter()
        maker.make(range(seed, seed + 1))
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def one_call_picture_blocks(rows: list[OneCallPictures], metric: str, count: int) -> list[Block]:
    """The table, and on which side of each HKD model MeanFlow's one call is."""
    mine = next(r for r in rows if r.maker.kind == "MeanFlow")
    lines = [
        [
            r.maker.name, str(r.maker.calls), interval(r.distance, ".4f"),
            "" if r is mine or r.maker.kind == "teacher" else interval(r.less, "+.4f"), number(r.ms, ".0f"),
            SEEN[r.maker.kind],
        ]
        for r in rows
    ]  # fmt: skip
    signs = {r.maker.name: r.less.sign for r in rows if r.maker.kind == "HKD"}
    words = {-1: "nearer to the teacher's pictures than", 0: "not told apart from", 1: "farther from them than"}
    return [
        f"One call, {count:,} held-out noises, the same for every row, with classes one drawn evenly a noise; {metric} "
        "to the teacher's picture of that noise, means with 95 % Student intervals; what MeanFlow's one call has more "
        f"than a row, paired. OT-CFM has its own picture for a noise. Time is the median of {TIMED} pictures alone, on "
        f"{torch.get_num_threads()} threads.",
        grid(["net", "calls", metric, "MeanFlow, 1 call, less it", "ms", "what is seen in between"], lines),
        Verdict(
            f"By {metric} one call of MeanFlow is {'; '.join(f'{words[s]} {name}' for name, s in signs.items())} "
            "(paired 95 % intervals, one training of each net).",
            {"sign": signs, "metric": metric},
        ),
    ]


def one_jump_to_pictures(model: FlowModel) -> bool:
    """Whether a net says mean velocities of pictures."""
    return isinstance(model.config, UNetConfig) and model.path.average


NOT_ONE = "Not applicable: this part is of MeanFlow nets of pictures."


@part("flow", "one-call-pictures", 6, "one-call-noises", 200, 8, 10_000, fits=one_jump_to_pictures)
def one_call_pictures(job: Job) -> Outcome:
    """Distance to the teacher's picture, time, and what is seen in between, of everything that needs one call."""
    if not one_jump_to_pictures(job.model):
        return Outcome([NOT_ONE])
    makers = makers_of(job.model, job.name, job.folder)
    rows, metric = measure_pictures_of_one_call(makers, job.count, job.options.lpips, job.progress)
    return Outcome(one_call_picture_blocks(rows, metric, job.count))


@part("flow", "one-call-fid", 7, "one-call-fid", 10_000, 2, 1_000_000, fits=one_jump_to_pictures, on_request=True)
def one_call_fid(job: Job) -> Outcome:
    """FID of the same rows; pictures and features of teacher and students are those of the part distribution."""
    if not one_jump_to_pictures(job.model):
        return Outcome([NOT_ONE])
    makers = makers_of(job.model, job.name, job.folder)
    found, of, data = measure_fids(makers, job.model, job.count, job.options.fid_reference, job.progress)
    return Outcome(fid_blocks(found, job.count, of, data))


def measure_fids(
    makers: list[Maker],
    model: FlowModel,
    count: int,
    of: int | None,
    progress: Progress = None,
    folder: Path = FEATURES_FOLDER,
) -> tuple[dict[str, float], int, str]:
    """FID of every row, pictures of the reference, and whose.

    Args:
        makers: rows.
        model: whose card names the data.
        count: pictures of each.
        of: pictures of the reference; default: `feature_cache.size_of`.
        progress: called with (share, words); may raise to stop.
        folder: where features are kept.

    Raises:
        UserError: no network, no data; or what `feature_cache.collect` says.
    """
    network, data = image_sets.Inception(), data_by_card(model.card, model.sample_shape[-1], "this net")
    of, pieces = size_of(data) if of is None else of, len(makers) + 1
    real = reference(data, network, of, folder=folder, progress=picture_progress(progress, 0, pieces, "reference"))
    found, classes = dict[str, float](), bool(model.classes)
    for i, m in enumerate(makers, 1):
        row = features(
            m.place,
            m.model,
            m.words,
            m.make,
            count,
            network,
            folder,
            classes,
            progress=picture_progress(progress, i, pieces, m.name),
        )
        found[m.name] = fid(real.moments, row.moments)
    return found, of, data.name


def fid_blocks(found: dict[str, float], count: int, of: int, data: str) -> list[Block]:
    """The table, and the order."""
    name = sample_name("FID", count)
    order = sorted(found, key=found.__getitem__)
    return [
        f"{count:,} pictures of each, from the same held-out noises and classes, against {of:,} training pictures of "
        f"{data}; features of the Inception-v3 of 2015-12-05, after rounding to bytes. Only figures of equal count "
        "compare; one run, so without an interval.",
        grid(["net", name], [[k, number(v, ".2f")] for k, v in found.items()]),
        Verdict(f"From the least {name} to the largest: {', '.join(order)}.", {"order": order}),
    ]
