"""Several visitors at once get their own, right answers; and the measuring tools of the soak and the start."""

from __future__ import annotations

import os

import numpy as np
import pytest

from benchmarks import flood, soak
from benchmarks.serving import Served, load, resident
from benchmarks.soak import Question, Soak
from benchmarks.startup import parts


def test_four_visitors_at_once(url, library):
    found = soak.soak(url, "tiny", lambda: 100.0, visitors=4, seconds=0, calls=52)
    assert found.errors == [] and 52 <= len(found.answers) <= 56 and found.memory == {50: 100.0}
    assert len({q.seed // 1_000_000 for q, _ in found.answers}) == 4
    assert {q.kind for q, _ in found.answers} == set(soak.ASKED_KINDS)
    assert len({q for q, _ in found.answers}) == len(found.answers)
    assert soak.wrong(found, library.get("tiny")) == 0


def test_answers_that_were_mixed_up_are_found(library):
    bench = library.get("tiny")
    asked = [Question(kind, seed) for kind in soak.ASKED_KINDS for seed in (5, 6)]
    right = [q.directly(bench) for q in asked]
    swapped = Soak(answers=[*zip(asked, [right[1], right[0], *right[2:]], strict=True)])
    assert soak.wrong(swapped, bench) == 2
    off = right[0] ^ np.uint8(1)  # what rounding does
    assert soak.same(right[0], off) and not soak.same(right[0], right[0] ^ np.uint8(2))


def test_errors_are_counted_and_the_table_tells_them():
    found = Soak(seconds=[0.1] * 3, errors=["x"], memory={50: 100.0, 500: 111.0}, lasted=2.0)
    row = dict(zip(soak.SOAK_COLUMNS, soak.row(found, 1, 4), strict=True))
    assert (row["answers"], row["errors"], row["wrong answers"], row["p95, ms"]) == ("3", "1", "1", "100")
    assert row["growth"] == "+11.0 %" and row["within 10%"] == "no"
    found.memory[500] = 109.9
    assert soak.row(found, 0, 4)[-1] == "yes"
    assert soak.row(Soak(), 0, 4)[-1] == "not measured"


@pytest.mark.slow
def test_a_quiet_visitor_is_served_in_a_flood(url, library):
    found = flood.flood(url, "tiny", lambda: 100.0, busy=4, seconds=6.0, every=1.0)
    assert found.errors == [] and found.answers
    assert all(flood.same(picture, q.directly(library.get("tiny"))) for q, picture in found.answers)
    assert 1 <= len(found.quiet) == len(found.memory) and found.let_in <= found.posts
    row = dict(zip(flood.FLOOD_COLUMNS, flood.row(found, 0, 4), strict=True))
    assert (row["visitors"], row["wrong"], row["errors"], row["at most"]) == ("6", "0", "0", "100")


def test_a_line_of_a_flood():
    found = flood.Flood(seconds=[1.0] * 3, quiet=[2.0, 4.0], errors=["x"], refused=7, memory=[100.0, 130.0, 120.0])
    row = dict(zip(flood.FLOOD_COLUMNS, flood.row(found, 5, 2), strict=True))
    assert (row["wrong"], row["errors"], row["refused"], row["quiet at most, s"]) == ("5", "1", "7", "4.0")
    assert (row["MiB at first"], row["at most"], row["at last"]) == ("100", "130", "120")


def test_parts_of_a_start_add_up():
    told = [(12.0, "Making the first picture and its trajectory ...\n"), (15.0, "Koopman Studio: http://x (stop)\n"),
            (15.5, "the server answers")]  # fmt: skip
    assert parts(Served("http://x", 0, 10.0, told), 18.0) == pytest.approx([2, 3, 0.5, 2.5, 8])


def test_memory_and_load_of_this_machine():
    held = resident(os.getpid())
    assert held is None or 10 < held < 100_000
    assert resident(2**30) is None and load()
