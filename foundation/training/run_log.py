"""The log of a training run, in step with its checkpoints."""

from __future__ import annotations

import csv
from pathlib import Path


class RunLog:
    """log.csv or fid.csv, one row a logging interval; rows past a resumed checkpoint are cut first.

    Attributes:
        last: samples seen at the last row that was there, 0 for none.
    """

    def __init__(self, path: Path, images: int):
        self.path = path
        rows = []  # None stands for what a torn last line lacks
        if path.exists() and images:
            with open(path, newline="") as f:
                rows = [r for r in csv.DictReader(f) if None not in r.values() and int(r["images"]) <= images]
        self.fields: list[str] | None = list(rows[0]) if rows else None
        self.last = int(rows[-1]["images"]) if rows else 0
        with open(path, "w", newline="") as f:
            if self.fields is not None:
                writer = csv.DictWriter(f, self.fields)
                writer.writeheader()
                writer.writerows(rows)

    def write(self, row: dict[str, float]) -> None:
        """Append one row; the first row names the columns."""
        with open(self.path, "a", newline="") as f:
            writer = csv.DictWriter(f, self.fields or list(row), extrasaction="ignore")
            if self.fields is None:
                self.fields = list(row)
                writer.writeheader()
            writer.writerow({k: v if isinstance(v, int) else f"{v:.8g}" for k, v in row.items()})
