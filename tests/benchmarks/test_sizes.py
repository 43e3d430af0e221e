"""Files and lines of a folder."""

from __future__ import annotations

import re

from benchmarks import sizes


def test_all_below_a_folder_counts_and_nothing_else(tmp_path):
    (tmp_path / "room" / "__pycache__").mkdir(parents=True)
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    (tmp_path / "room" / "b.py").write_text("z = 3\n")
    (tmp_path / "room" / "__pycache__" / "b.py").write_text("z = 3\n")
    (tmp_path / "room" / "c.js").write_text("z = 3\n")
    assert sizes.sizes(tmp_path) == (2, 3) and sizes.sizes(tmp_path / "room") == (1, 1)


def test_every_room_has_a_row(capsys):
    sizes.run()
    rows = [line.split("|")[1:4] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    of = {name.strip(): int(lines.replace(",", "")) for name, _, lines in rows if name.strip().endswith("/")}
    assert {f"{name}/" for name in sizes.HOUSE} <= of.keys()
    assert sum(v for name, v in of.items() if re.fullmatch("analysis/[a-z]+/", name)) < of["analysis/"]
