"""The reference of FID and KID: Inception statistics of a data set, made once and kept below runs/fid.

    python -m analysis.reference cifar10                   # the whole training set
    python -m analysis.reference cifar10 --against test    # a check: FID-10k of real pictures, about 3.15 on CIFAR-10

The training pictures are taken in a fixed random order (the first 10,000 serve KID), as stored, not mirrored. Of the
procedural shapes there is no whole: 10,000 of them are taken, the training pool's first. Ctrl-C stops; the same command
goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from analysis import feature_cache, inception
from analysis.distribution import fid, kid, sample_name
from analysis.feature_cache import FOLDER, Row
from analysis.inception import Inception
from analysis.requests import whole
from analysis.result_tables import grid, span
from foundation.commands import resumable
from foundation.datasets import ImageDataset, open_dataset

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
    progress: feature_cache.Progress = None,
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
    return feature_cache.collect(
        feature_cache.place(folder, name, key), key, count, pictures, network, batch=64, progress=progress
    )


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over pictures."""
    from tqdm import tqdm

    with tqdm(desc=what, unit=" pictures", mininterval=5.0) as bar:

        def show(done: int, count: int) -> None:
            bar.total = count
            bar.update(done - bar.n)

        yield show


def compared(data: ImageDataset, row: Row, other: ImageDataset, other_row: Row) -> str:
    """Table: one set of real pictures against another, with the known value where there is one."""
    n, m = row.moments.count, other_row.moments.count
    k = kid(row.kept, other_row.kept)
    known = KNOWN.get((data.name, data.size, n, m), "not known")
    return grid([f"{other.name} {other.split} against {n:,} of {data.split}", "measured", "known"], [
        [sample_name("FID", m), f"{fid(row.moments, other_row.moments):.3f}", known],
        [f"{sample_name('KID', k.count)} x 1000", span(*(1000 * v for v in (k.mean, k.low, k.high))), "not known"],
    ])  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.reference", description=__doc__.partition("\n")[0])
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

    return resumable("analysis.reference", work)


if __name__ == "__main__":
    raise SystemExit(main())
