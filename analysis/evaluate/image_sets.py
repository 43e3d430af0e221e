"""FID and KID against the pictures that a model was trained on, and the features that they need, kept below runs/fid.

    python -m analysis.evaluate.image_sets cifar10                 # the whole training set
    python -m analysis.evaluate.image_sets cifar10 --against test  # a check: FID-10k, about 3.15 on CIFAR-10

The training pictures are taken in a fixed random order (the first 10,000 serve KID), as stored, not mirrored. Of the
procedural shapes there is no whole: 10,000 of them are taken, the training pool's first. Ctrl-C stops; the same command
goes on.

Of models: the part `distribution`. One held-out seed a picture, the same seeds for teacher and student.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.core.progress import part as part_of
from analysis.evaluate.tables.markdown import NOT_DEFINED, Block, Table, Verdict, extremes, grid, interval, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.workbench.workbench import Workbench
from foundation.data.datasets import ImageDataset, open_dataset
from foundation.files.checkpoints import checksum
from foundation.metrics import inception
from foundation.metrics.feature_cache import (
    FEATURES_FOLDER,
    KEPT,
    CountProgress,
    Row,
    collect,
    place,
    reference,
    size_of,
)
from foundation.metrics.frechet import fid, kid, sample_name
from foundation.metrics.inception import Inception
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED
from foundation.training.commands import resumable
from koopman_core.fid import FID_STEPS, student_pictures, teacher_pictures

KNOWN = {("cifar10", 32, 50_000, 10_000): "about 3.15"}  # of FID, test against training set, by the published detector


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over pictures."""
    from tqdm import tqdm

    with tqdm(desc=what, unit=" pictures", mininterval=5.0) as bar:

        def show(done: int, count: int) -> None:
            bar.total = count
            bar.update(done - bar.n)

        yield show


def compared(data: ImageDataset, row: Row, other: ImageDataset, other_row: Row) -> Table:
    """Table: one set of real pictures against another, with the known value where there is one."""
    n, m = row.moments.count, other_row.moments.count
    k = kid(row.kept, other_row.kept)
    known = KNOWN.get((data.name, data.size, n, m), "not known")
    return grid([f"{other.name} {other.split} against {n:,} of {data.split}", "measured", "known"], [
        [sample_name("FID", m), number(fid(row.moments, other_row.moments), ".3f"), known],
        [f"{sample_name('KID', k.count or 0)} x 1000", interval(k.scaled(1000), ".3g"), "not known"],
    ])  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate.image_sets", description=__doc__.partition("\n")[0])
    parser.add_argument("spec", help="data set: shapes, cifar10, fashion, folder:PATH ...")
    parser.add_argument("--size", type=int, default=32, help="side of the pictures in pixels")
    parser.add_argument("--count", type=int, default=None, help="pictures; default: all (of shapes 10,000)")
    parser.add_argument("--against", choices=("train", "test"), default=None, help="a split to compare with")
    parser.add_argument("--against-count", type=int, default=10_000, help="pictures of that split, at most")
    parser.add_argument("--network", type=Path, default=None, help=f"the Inception file; or set {inception.VARIABLE}")
    parser.add_argument("--cache", type=Path, default=FEATURES_FOLDER)
    args = parser.parse_args(argv)

    def work() -> None:
        network, data = Inception(args.network), open_dataset(args.spec, args.size, "train")
        other = open_dataset(args.spec, args.size, args.against) if args.against else None
        with _bar(f"{data.name} {data.split}") as progress:
            row = reference(data, network, args.count, folder=args.cache, progress=progress)
        print(f"{data.name} {data.split}: statistics of {row.moments.count:,} pictures in {args.cache}", flush=True)
        if other is not None:
            with _bar(f"{other.name} {other.split}") as progress:
                count = min(args.against_count, len(other))
                other_row = reference(other, network, count, folder=args.cache, progress=progress)
            print(compared(data, row, other, other_row))

    return resumable("analysis.evaluate.image_sets", work)


SET_BATCH = 50
APART = 1_000_000  # between the first seeds of two runs
MAKERS = ("teacher", "student")
MAKER_WORDS = {"teacher": f"teacher, Heun, {2 * FID_STEPS - 1} calls", "student": "student, one call"}
# Bai et al. 2025, CIFAR-10, FID-50k: (EDM at 35 calls, HKD), without and with class labels
PAPER_COUNT = 50_000
PAPER_FID = {False: {"teacher": 1.97, "student": 3.30}, True: {"teacher": 1.79, "student": 2.77}}


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
            "kid": {
                maker: {"mean": v.value, "low": v.low, "high": v.high, "count": v.count}
                for maker, v in self.kid.items()
            },
            "reference": {"data": self.data, "split": "train", "pictures": self.reference},
        }  # fmt: skip


def data_by_card(card: dict, size: int, name: str) -> ImageDataset:
    """The training pictures that a card names, `size` pixels a side; `name` is whose card it is.

    Raises:
        UserError: the card does not say, or only says that they were a folder of somebody's.
        DataError: they are not to be had.
    """
    spec = card.get("data", {}).get("spec")
    if not isinstance(spec, str) or spec.startswith("folder"):
        raise UserError(
            f"The card of {name} names no data set that can be opened here, so there is nothing to compare its "
            "pictures with: leave out FID.",
            "data",
        )
    return open_dataset(spec, size, "train")


def data_of(bench: Workbench) -> ImageDataset:
    """The training pictures of a model, by its card; raises what `data_by_card` does."""
    return data_by_card(bench.model.card, bench.model.config.resolution, bench.name)


def picture_progress(progress: Progress, i: int, pieces: int, words: str) -> CountProgress:
    """What tells `progress` of piece i of so many equal ones, in pictures done of all."""
    here = part_of(progress, i / pieces, (i + 1) / pieces)
    return None if here is None else lambda done, of: here(done / of, words)


def makers(bench: Workbench, device: torch.device | str = "cpu") -> dict[str, Callable[[range], Tensor]]:
    """Teacher and student as functions from seeds to bytes (B, 3, H, W); with classes, each seed draws one evenly.

    Raises:
        UserError: no teacher.
    """
    model, teacher = bench.model, bench.teacher
    if teacher is None:
        raise UserError(f"The teacher of {bench.name} is not beside it: its pictures are needed, too.", "teacher")
    if torch.device(device).type != "cpu":
        model, teacher = copy.deepcopy(model).to(device), copy.deepcopy(teacher).to(device)
    return {
        "teacher": lambda seeds: teacher_pictures(teacher, seeds, FID_STEPS),
        "student": lambda seeds: student_pictures(model, seeds),
    }


def _from(make: Callable[[range], Tensor], first: int) -> Callable[[int, int], Tensor]:
    """Pictures low to high of a run whose seeds begin at `first`."""
    return lambda low, high: make(range(first + low, first + high))


def features(
    name: str, model: torch.nn.Module, made: str, make: Callable[[range], Tensor], count: int, network: Inception,
    folder: Path, classes: bool, first: int = FIRST_SEED, progress: CountProgress = None,
) -> Row:  # fmt: skip
    """Moments of pictures, from the folder where they were collected before.

    Args:
        name: of the place.
        model: whose weights; another checksum is another place.
        made: words that tell this way of making pictures from others.
        make: seeds -> bytes (B, 3, H, W).
        count: pictures.
        network: the features.
        folder: where they are kept.
        classes: whether each seed draws a class.
        first: seed.
        progress: called with (done, of).
    """
    key = {
        "network": inception.SHA256, "model": checksum(model), "made": made, "first_seed": first,
        "labels": "mix_seed(seed, 8) % classes" if classes else None,
    }  # fmt: skip
    return collect(
        place(folder, name, key), key, count, _from(make, first), network, batch=SET_BATCH, progress=progress
    )


def measure_distribution(
    bench: Workbench,
    count: int,
    *,
    runs: int = 1,
    who: Sequence[str] = MAKERS,
    reference_count: int | None = None,
    network: Inception | None = None,
    folder: Path = FEATURES_FOLDER,
    progress: Progress = None,
) -> Distribution:
    """FID and KID of teacher and student, or of one of them.

    Args:
        bench: a model with its teacher.
        count: pictures of each, 2 to 1,000,000.
        runs: how often, each time with other seeds.
        who: of `MAKERS`; students of one teacher need not have its figures worked out each time.
        reference_count: training pictures; default: `feature_cache.size_of` (all, of shapes 10,000).
        network: the features; default: `Inception()`.
        folder: where they are kept.
        progress: called with (share, words); may raise to stop.

    Raises:
        UserError: no network, no data, no teacher; or what `feature_cache.collect` says.
    """
    if bench.teacher is None:
        raise UserError(f"The teacher of {bench.name} is not beside it: FID is measured for both.", "teacher")
    data = data_of(bench)
    network = Inception() if network is None else network
    reference_count = size_of(data) if reference_count is None else reference_count
    total, before = reference_count + runs * len(who) * count, 0

    def tell(words: str, before: int) -> CountProgress:
        return None if progress is None else lambda done, n: progress((before + done) / total, words)

    real = reference(data, network, reference_count, folder=folder, progress=tell("reference", before))
    before += reference_count
    makes = makers(bench, getattr(network, "device", "cpu"))
    models = {"teacher": bench.teacher, "student": bench.model}
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
            row = features(
                names[maker], models[maker], MAKER_WORDS[maker], makes[maker], count, network, folder,
                bool(bench.model.config.classes), first, tell(f"{maker}, run {run + 1}", before),
            )  # fmt: skip
            before += count
            found[maker].append(fid(real.moments, row.moments))
            if run == 0:
                kids[maker] = kid(real.kept, row.kept)
    return Distribution(
        count, {maker: tuple(v) for maker, v in found.items()}, kids, data.name, reference_count,
        bool(bench.model.config.classes), data.fingerprint() == bench.model.card.get("data", {}).get("fingerprint"),
    )  # fmt: skip


def distribution_blocks(d: Distribution) -> list[Block]:
    """Table and verdict of `measure_distribution`."""
    paper, at_home = PAPER_FID[d.classes], d.data == "cifar10"
    paper_ratio = paper["student"] / paper["teacher"]
    kids = [d.kid[maker] for maker in MAKERS]
    kid_name = f"{sample_name('KID', kids[1].count or 0)} x 1000"
    rows = [
        [MAKER_WORDS[maker], extremes(d.fid[maker], ".2f"), interval(d.kid[maker].scaled(1000), ".2f"),
         number(paper[maker] if at_home else None, ".2f")]
        for maker in MAKERS
    ]  # fmt: skip
    kid_ratio = number(kids[1].value / kids[0].value, ".2f") if min(k.low for k in kids) > 0 else NOT_DEFINED
    rows.append(["student / teacher", extremes(d.ratio, ".2f"), kid_ratio, number(paper_ratio, ".2f")])
    runs, mean = len(d.ratio), sum(d.ratio) / len(d.ratio)
    spread = f" in {runs} runs with different seeds (mean [least, most])" if runs > 1 else ""
    classes = ", classes drawn evenly by seed" if d.classes else ""
    other = "" if d.same_data else " **These are not the pictures that the model's card names.**"
    biased = d.count < PAPER_COUNT
    bias = " The bias of fewer pictures stands in both figures and pulls their ratio towards 1." if biased else ""
    word = "not above" if mean <= paper_ratio else "above"
    return [
        f"{d.count:,} pictures of each{spread}, one held-out seed a picture, the same for both{classes}, against "
        f"{d.reference:,} training pictures of {d.data} as stored; features of the Inception-v3 of 2015-12-05, after "
        f"rounding to bytes. FID shrinks as samples grow: only figures of equal count compare. KID over all pairs of "
        f"at most {KEPT:,} a side, with its 95 % bootstrap interval.{other}",
        grid(["", d.name, kid_name, "paper, CIFAR-10, FID-50k"], rows),
        Verdict(
            f"One call instead of {2 * FID_STEPS - 1} multiplies the {d.name} by {mean:.2f}, which is {word} the "
            f"paper's {paper_ratio:.2f} on CIFAR-10 (FID-50k).{bias}",
            {"ratio": mean, "paper": paper_ratio, "above": mean > paper_ratio, "biased": biased},
        ),
    ]


@part("hkd", "distribution", 5, "fid", 10_000, 2, 1_000_000, on_request=True, teacher=True)
def distribution(job: Job) -> Outcome:
    """FID and KID of teacher and student."""
    o = job.options
    d = measure_distribution(
        job.model, job.count, runs=o.fid_runs, reference_count=o.fid_reference, progress=job.progress
    )
    return Outcome(distribution_blocks(d), d.figures())


if __name__ == "__main__":
    raise SystemExit(main())
