"""FID and KID of a student and its teacher against the pictures that they were trained on: the part `distribution`.

One held-out seed a picture, the same seeds for both; features are kept below runs/fid, so a stopped run goes on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from analysis import feature_cache, inception, metrics
from analysis.distribution import fid, kid, sample_name
from analysis.edit_comparison import Interval
from analysis.errors import UserError
from analysis.feature_cache import FOLDER, Row
from analysis.fidelity import FIRST_SEED
from analysis.inception import Inception
from analysis.recipes import checksum
from analysis.reference import reference, size_of
from analysis.result_tables import NOT_DEFINED, grid, span
from analysis.workbench import Workbench
from foundation import noise
from foundation.datasets import ImageDataset, open_dataset
from foundation.randomness import mix_seed
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas

STEPS = 18  # of the teacher's grid: 35 calls
BATCH = 50
APART = 1_000_000  # between the first seeds of two runs
MAKERS = ("teacher", "student")
MAKER_WORDS = {"teacher": f"teacher, Heun, {2 * STEPS - 1} calls", "student": "student, one call"}
# Bai et al. 2025, CIFAR-10, FID-50k: (EDM at 35 calls, HKD), without and with class labels
PAPER_COUNT = 50_000
PAPER = {False: {"teacher": 1.97, "student": 3.30}, True: {"teacher": 1.79, "student": 2.77}}

Progress = Callable[[float, str], None] | None


@dataclass(frozen=True)
class Distribution:
    """What was measured.

    Attributes:
        count: pictures a maker and run.
        fid: maker -> one figure a run.
        kid: maker -> KID of the first run (of at most 10,000 pictures a side), with its interval.
        data, reference: the data set's name, and how many of its training pictures are the reference.
        classes: whether the pictures were asked for by class.
        same_data: whether these are the pictures that the model's card names.
    """

    count: int
    fid: dict[str, tuple[float, ...]]
    kid: dict[str, Interval]
    data: str
    reference: int
    classes: bool
    same_data: bool

    @property
    def name(self) -> str:
        return sample_name("FID", self.count)

    @property
    def ratio(self) -> tuple[float, ...]:
        """FID(student) / FID(teacher), run by run."""
        return tuple(s / t for s, t in zip(self.fid["student"], self.fid["teacher"], strict=True))

    def figures(self) -> dict:
        """For the model's card."""
        return {
            "metric": self.name, "fid": {maker: list(v) for maker, v in self.fid.items()}, "ratio": list(self.ratio),
            "kid": {maker: vars(v) for maker, v in self.kid.items()},
            "reference": {"data": self.data, "split": "train", "pictures": self.reference},
        }  # fmt: skip


def data_of(bench: Workbench) -> ImageDataset:
    """The training pictures of a model, by its card.

    Raises:
        UserError: the card does not say, or only says that they were a folder of somebody's.
        DataError: they are not to be had.
    """
    spec = bench.model.card.get("data", {}).get("spec")
    if not isinstance(spec, str) or spec.startswith("folder"):
        raise UserError(
            f"The card of {bench.name} names no data set that can be opened here, so there is nothing to compare its "
            "pictures with: leave out --fid."
        )
    return open_dataset(spec, bench.model.config.resolution, "train")


def makers(bench: Workbench, device: torch.device | str = "cpu") -> dict[str, Callable[[range], Tensor]]:
    """Teacher and student as functions from seeds to bytes (B, 3, H, W); with classes, each seed draws one evenly."""
    classes = bench.model.config.classes
    on_cpu = torch.device(device).type == "cpu"
    model, teacher = (m if on_cpu else copy.deepcopy(m).to(device) for m in (bench.model, bench.teacher))

    def labels(seeds: range) -> Tensor | None:
        return torch.tensor([mix_seed(s, 8) % classes for s in seeds], device=device) if classes else None

    @torch.inference_mode()
    def by_teacher(seeds: range) -> Tensor:
        eps, c = noise(seeds, model.picture_shape).to(device), labels(seeds)
        x = heun_sample(lambda x, sigma: teacher(x, sigma, c), SIGMA_MAX * eps, karras_sigmas(STEPS)).x
        return metrics.to_uint8(x).cpu()

    @torch.inference_mode()
    def by_student(seeds: range) -> Tensor:
        return metrics.to_uint8(model.one_step(noise(seeds, model.picture_shape).to(device), labels(seeds))).cpu()

    return {"teacher": by_teacher, "student": by_student}


def measure_distribution(
    bench: Workbench,
    count: int,
    *,
    runs: int = 1,
    who: Sequence[str] = MAKERS,
    reference_count: int | None = None,
    network: Inception | None = None,
    folder: Path = FOLDER,
    progress: Progress = None,
) -> Distribution:
    """FID and KID of teacher and student, or of one of them.

    Args:
        bench: a model with its teacher.
        count: pictures of each, 2 to 1,000,000.
        runs: how often, each time with other seeds.
        who: of `MAKERS`; students of one teacher need not have its figures worked out each time.
        reference_count: training pictures; default: `reference.size_of` (all, of shapes 10,000).
        network: the features; default: `Inception()`.
        folder: where they are kept.
        progress: called with (share, words); may raise to stop.

    Raises:
        UserError: no network, no data, no teacher; or what `feature_cache.collect` says.
    """
    if bench.teacher is None:
        raise UserError(f"The teacher of {bench.name} is not beside it: FID is measured for both.")
    data = data_of(bench)
    network = Inception() if network is None else network
    reference_count = size_of(data) if reference_count is None else reference_count
    total, before = reference_count + runs * len(who) * count, 0

    def tell(words: str, before: int) -> feature_cache.Progress:
        return None if progress is None else lambda done, n: progress((before + done) / total, words)

    real = reference(data, network, reference_count, folder=folder, progress=tell("reference", before))
    before += reference_count
    makes = makers(bench, getattr(network, "device", "cpu"))
    checksums = {"teacher": checksum(bench.teacher), "student": checksum(bench.model)}
    # students of one teacher share its row
    names = {
        "teacher": str(bench.teacher.card.get("name", f"{bench.name}-teacher")),
        "student": f"{bench.name}-student",
    }
    found: dict[str, list[float]] = {maker: [] for maker in who}
    kids: dict[str, Interval] = {}
    for run in range(runs):
        first = FIRST_SEED + run * APART
        for maker in who:
            key = {
                "network": inception.SHA256, "model": checksums[maker], "made": MAKER_WORDS[maker], "first_seed": first,
                "labels": "mix_seed(seed, 8) % classes" if bench.model.config.classes else None,
            }  # fmt: skip
            row: Row = feature_cache.collect(
                feature_cache.place(folder, names[maker], key), key, count,
                lambda low, high, make=makes[maker], first=first: make(range(first + low, first + high)),
                network, batch=BATCH, progress=tell(f"{maker}, run {run + 1}", before),
            )  # fmt: skip
            before += count
            found[maker].append(fid(real.moments, row.moments))
            if run == 0:
                kids[maker] = kid(real.kept, row.kept)
    return Distribution(
        count, {maker: tuple(v) for maker, v in found.items()}, kids, data.name, reference_count,
        bool(bench.model.config.classes), data.fingerprint() == bench.model.card.get("data", {}).get("fingerprint"),
    )  # fmt: skip


def _runs(values: tuple[float, ...], form: str) -> str:
    """The mean, and the range where there are several."""
    return span(sum(values) / len(values), min(values), max(values), form) if len(values) > 1 else f"{values[0]:{form}}"


def distribution_text(d: Distribution) -> str:
    """Table and verdict of `measure_distribution`."""
    paper, at_home = PAPER[d.classes], d.data == "cifar10"
    paper_ratio = paper["student"] / paper["teacher"]
    kid_name = f"{sample_name('KID', d.kid['student'].count)} x 1000"
    rows = [
        [MAKER_WORDS[maker], _runs(d.fid[maker], ".2f"),
         span(*(1000 * v for v in (d.kid[maker].mean, d.kid[maker].low, d.kid[maker].high)), ".2f"),
         f"{paper[maker]:.2f}" if at_home else NOT_DEFINED]
        for maker in MAKERS
    ]  # fmt: skip
    kids = [d.kid[maker] for maker in MAKERS]
    kid_ratio = f"{kids[1].mean / kids[0].mean:.2f}" if min(k.low for k in kids) > 0 else NOT_DEFINED
    rows.append(["student / teacher", _runs(d.ratio, ".2f"), kid_ratio, f"{paper_ratio:.2f}"])
    runs, mean = len(d.ratio), sum(d.ratio) / len(d.ratio)
    spread = f" in {runs} runs with different seeds (mean [least, most])" if runs > 1 else ""
    classes = ", classes drawn evenly by seed" if d.classes else ""
    other = "" if d.same_data else " **These are not the pictures that the model's card names.**"
    bias = " The bias of fewer pictures stands in both figures and pulls their ratio towards 1."
    bias = bias if d.count < PAPER_COUNT else ""
    word = "not above" if mean <= paper_ratio else "above"
    return "\n\n".join([
        f"{d.count:,} pictures of each{spread}, one held-out seed a picture, the same for both{classes}, against "
        f"{d.reference:,} training pictures of {d.data} as stored; features of the Inception-v3 of 2015-12-05, after "
        f"rounding to bytes. FID shrinks as samples grow: only figures of equal count compare. KID over all pairs of "
        f"at most {feature_cache.KEPT:,} a side, with its 95 % bootstrap interval.{other}",
        grid(["", d.name, kid_name, "paper, CIFAR-10, FID-50k"], rows),
        f"- **Verdict.** One call instead of {2 * STEPS - 1} multiplies the {d.name} by {mean:.2f}, which is {word} "
        f"the paper's {paper_ratio:.2f} on CIFAR-10 (FID-50k).{bias}",
    ])  # fmt: skip
