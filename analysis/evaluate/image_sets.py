"""FID and KID against the pictures that a model was trained on, and the features that they need, kept below runs/fid.

    python -m analysis.evaluate.image_sets cifar10                 # the whole training set
    python -m analysis.evaluate.image_sets cifar10 --against test  # a check: FID-10k, about 3.15 on CIFAR-10

The training pictures are taken in a fixed random order (the first 10,000 serve KID), as stored, not mirrored. Of the
procedural shapes there is no whole: 10,000 of them are taken, the training pool's first. Ctrl-C stops; the same command
goes on.

Of models: the part `distribution`. One held-out seed a picture, the same seeds for teacher and student.

One safetensors file a row of features: the sums from which mean and covariance follow (`frechet.Moments`), the first
10,000 features as they are, and a header that says which pictures they are of. Written under another name first, every
few hundred pictures and when a run is stopped, so a file that is there is whole.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.core.images import to_uint8
from analysis.core.progress import Progress
from analysis.evaluate.markdown import NOT_DEFINED, Block, Table, Verdict, extremes, grid, interval, number
from analysis.evaluate.parts import Job, Outcome, part
from analysis.metrics import inception
from analysis.metrics.frechet import Moments, fid, kid, sample_name
from analysis.metrics.inception import Inception
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.atomic_write import atomic_write
from foundation.checkpoints import checksum
from foundation.commands import resumable
from foundation.datasets import ImageDataset, open_dataset
from foundation.randomness import FIRST_SEED, mix_seed
from foundation.statistics import Interval
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas

FOLDER = Path("runs/fid")
KEPT = 10_000  # features that stay as they are: 82 MB
EVERY = 500  # pictures between two writes
METADATA_KEY = "koopman_studio_features"
TENSORS = ("total", "outer", "shift", "kept")
ADVICE = "delete it, and it is made again"

CountProgress = Callable[[int, int], None] | None


@dataclass
class Row:
    """Attributes: moments of all features so far; kept = the first of them, float32 (at most 10,000, d)."""

    moments: Moments
    kept: Tensor

    def add(self, features: Tensor) -> None:
        """Take in features (B, d)."""
        self.moments.add(features)
        if len(self.kept) < KEPT:
            self.kept = torch.cat([self.kept, features[: KEPT - len(self.kept)].float()])

    def first(self, count: int) -> Row | None:
        """The row of the first pictures alone, or None where their features are gone."""
        if count == self.moments.count:
            return self
        return Row(Moments.of(self.kept[:count]), self.kept[:count]) if count <= len(self.kept) else None


def place(folder: Path, name: str, key: dict) -> Path:
    """The file of a row: its name, and a digest of what it says of itself."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    plain = re.sub(r"[^\w.+-]", "_", name)[:80]  # a name may come from a card
    return Path(folder) / f"{plain}-{digest[:12]}.safetensors"


def collect(
    path: Path,
    key: dict,
    count: int,
    pictures: Callable[[int, int], Tensor],
    features: Callable[[Tensor], Tensor],
    *,
    batch: int = 50,
    progress: CountProgress = None,
) -> Row:
    """Features of the pictures 0 to count - 1 of a row, those on disk not made again.

    Args:
        path: the row's file, from `place`; made where there is none.
        key: what the pictures are, JSON; the file must say the same.
        count: pictures.
        pictures: (low, high) -> uint8 (high - low, 3, H, W).
        features: bytes -> float32 (B, d), finite.
        batch: pictures made at once.
        progress: called with (done, count); may raise to stop.

    Raises:
        UserError: a file that is damaged or of other pictures, that holds more pictures than are asked for and none of
            their features any more, or a disk that is full.
    """
    row = _read(path, key)
    if row is not None and row.moments.count > count:
        first = row.first(count)
        if first is None:
            raise UserError(
                f"{path.name} holds sums over {row.moments.count:,} pictures, from which those over {count:,} cannot "
                "be taken: ask for as many, or delete it."
            )
        return first
    saved = done = 0 if row is None else row.moments.count
    try:
        while done < count:
            high = min(done + batch, count)
            made = features(pictures(done, high))
            if not bool(torch.isfinite(made).all()):
                raise UserError("The features are not finite: the pictures behind them have overflowed.")
            if row is None:
                row = Row(Moments.empty(made.shape[1]), made[:0].float())
            row.add(made)
            done = high
            if done - saved >= EVERY:
                _write(path, key, row)
                saved = done
            if progress is not None:
                progress(done, count)
    finally:
        if row is not None and row.moments.count > saved:
            _write(path, key, row)
    return row


def _write(path: Path, key: dict, row: Row) -> None:
    tensors = dict(zip(TENSORS, (row.moments.total, row.moments.outer, row.moments.shift, row.kept), strict=True))
    header = json.dumps({"key": key, "count": row.moments.count})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            save_file({k: t.contiguous() for k, t in tensors.items()}, part, metadata={METADATA_KEY: header})
    except (OSError, SafetensorError) as e:
        raise UserError(f"{path.name} cannot be written ({e}): make room, or give another folder.") from None


def _read(path: Path, key: dict) -> Row | None:
    """The row on disk, None where there is none."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            total, outer, shift, kept = (file.get_tensor(name).clone() for name in TENSORS)
        count, same = int(header["count"]), header["key"] == key
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as e:
        raise UserError(f"{path.name} is damaged ({type(e).__name__}): {ADVICE}.") from None
    if not same:
        raise UserError(f"{path.name} holds the features of other pictures: {ADVICE}.")
    d = len(total)
    if (outer.shape, shift.shape, kept.shape) != ((d, d), (d,), (min(count, KEPT), d)):
        raise UserError(f"{path.name} is damaged (its parts do not fit each other): {ADVICE}.")
    return Row(Moments(total, outer, shift, count), kept)


MOST = 10_000  # pictures of a procedural set, which has no whole; those of a stored one are all taken
KNOWN = {("cifar10", 32, 50_000, 10_000): "about 3.15"}  # of FID, test against training set, by the published detector


def size_of(data: ImageDataset) -> int:
    """How many pictures are the reference when nothing else is said."""
    return min(len(data), MOST) if data.name == "shapes" else len(data)


def reference(
    data: ImageDataset,
    network: Callable[[Tensor], Tensor],
    count: int | None = None,
    *,
    folder: Path = FOLDER,
    progress: CountProgress = None,
) -> Row:
    """Features of a data set's pictures, from the cache as far as they are there.

    Args:
        data: one split of a data set.
        network: `Inception`.
        count: pictures; default: `size_of(data)`.
        folder: of the cache.
        progress: called with (done, count); may raise to stop.

    Raises:
        UserError: more pictures than there are, and what `feature_cache.collect` says.
    """
    count = whole(size_of(data) if count is None else count, 2, len(data), f"The reference from {data.name}")
    if data.name == "shapes":
        order, said = None, "as numbered"
    else:
        order, said = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)), "torch.randperm, seed 0"
    key = {
        "network": inception.SHA256, "data": data.name, "split": data.split, "size": data.size,
        "fingerprint": data.fingerprint(), "order": said,
    }  # fmt: skip

    def pictures(low: int, high: int) -> Tensor:
        indices = range(low, high) if order is None else order[low:high]
        return torch.from_numpy(data.pictures(indices)).permute(0, 3, 1, 2)

    name = f"{data.name.replace(':', '_')}-{data.split}-{data.size}"
    return collect(place(folder, name, key), key, count, pictures, network, batch=64, progress=progress)


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
    parser.add_argument("--cache", type=Path, default=FOLDER)
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


STEPS = 18  # of the teacher's grid: 35 calls
BATCH = 50
APART = 1_000_000  # between the first seeds of two runs
MAKERS = ("teacher", "student")
MAKER_WORDS = {"teacher": f"teacher, Heun, {2 * STEPS - 1} calls", "student": "student, one call"}
# Bai et al. 2025, CIFAR-10, FID-50k: (EDM at 35 calls, HKD), without and with class labels
PAPER_COUNT = 50_000
PAPER = {False: {"teacher": 1.97, "student": 3.30}, True: {"teacher": 1.79, "student": 2.77}}


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
        return to_uint8(x).cpu()

    @torch.inference_mode()
    def by_student(seeds: range) -> Tensor:
        return to_uint8(model.one_step(noise(seeds, model.picture_shape).to(device), labels(seeds))).cpu()

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

    def tell(words: str, before: int) -> CountProgress:
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
            row: Row = collect(
                place(folder, names[maker], key), key, count,
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


def distribution_blocks(d: Distribution) -> list[Block]:
    """Table and verdict of `measure_distribution`."""
    paper, at_home = PAPER[d.classes], d.data == "cifar10"
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
            f"One call instead of {2 * STEPS - 1} multiplies the {d.name} by {mean:.2f}, which is {word} the paper's "
            f"{paper_ratio:.2f} on CIFAR-10 (FID-50k).{bias}",
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
