"""Exports: every number comes back, files are what they say, the report asks no network for anything."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from analysis.core.errors import UserError
from analysis.export import files
from analysis.export.report import REPORT_POLICY, REPORT_STYLE, Section, Table, figure_html, report_html
from analysis.figures import spectrum as figures
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from foundation.mistakes import Mistake
from tests.refusals import refuses


@pytest.fixture(scope="module")
def bench(models):
    return ModelLibrary(models).get("shapes")


@pytest.fixture(scope="module")
def spectrum(bench):
    return bench.spectrum()


@pytest.fixture(scope="module")
def drawn(bench, spectrum):
    """One figure of every kind that the house draws."""
    entry = spectrum.entries[1]
    return {
        "plane": figures.eigenvalue_plane(entry, (1 / 3, 2 / 3), mark=3),
        "map": figures.position_map(entry.alpha[0], "α of pair 0", mark=(1, 2)),
        "sorted": figures.sorted_real_parts(spectrum),
        "error": figures.error_curve(bench.trajectory(TrajectoryRequest(1, steps=4))),
        "bars": go.Figure(go.Bar(x=["low", "$high$"], y=[1.0, 2.0], name="share")),
    }


def test_modes_csv_holds_every_mode(spectrum):
    energy = [np.random.default_rng(0).random(e.alpha.shape).astype(np.float32) for e in spectrum.entries]
    rows = list(csv.DictReader(io.StringIO(files.modes_csv(spectrum, energy))))
    assert list(rows[0]) == ["level", "name", "pair", "row", "column", "alpha", "beta", "rank", "energy"]
    assert len(rows) == sum(e.alpha.size for e in spectrum.entries)
    seen = set()
    for row in rows:
        level, place = int(row["level"]), (int(row["pair"]), int(row["row"]), int(row["column"]))
        e = spectrum.entries[level]
        assert row["name"] == e.name and int(row["rank"]) == e.rank[place]
        assert np.float32(row["alpha"]) == e.alpha[place] and np.float32(row["beta"]) == e.beta[place]
        assert np.float32(row["energy"]) == energy[level][place]
        seen.add((level, *place))
    assert len(seen) == len(rows)
    assert "energy" not in files.modes_csv(spectrum).splitlines()[0]
    with refuses("energy", error=Mistake):
        files.modes_csv(spectrum, energy[:1])


def test_spectrum_npz_needs_no_pickle(spectrum):
    with np.load(io.BytesIO(files.spectrum_npz(spectrum)), allow_pickle=False) as file:
        assert str(file["warp"]) == "karras" and file["names"].tolist() == [e.name for e in spectrum.entries]
        for i, e in enumerate(spectrum.entries):
            for name in ("alpha", "beta", "rank"):
                assert np.array_equal(file[f"{name}_{i}"], getattr(e, name))


def test_gif_plays_every_frame(bench):
    frames = bench.trajectory(TrajectoryRequest(2, steps=5)).koopman
    with Image.open(io.BytesIO(files.trajectory_gif(frames, 100, scale=3, hold=900))) as gif:
        assert gif.n_frames == 5 and gif.size == (48, 48) and gif.info["loop"] == 0
        for i, frame in enumerate(frames):
            gif.seek(i)
            assert gif.info["duration"] == (900 if i == 4 else 100)
            shown = np.asarray(gif.convert("RGB"))[1::3, 1::3].astype(int)
            assert np.abs(shown - frame).mean() < 8  # 256 colours a frame
    one = files.trajectory_gif(np.zeros((1, 8, 8, 3), np.uint8))
    assert one[:6] == b"GIF89a"


@pytest.mark.parametrize(
    "bad",
    [
        {"frames": np.zeros((0, 8, 8, 3), np.uint8)}, {"frames": np.zeros((2, 8, 8), np.uint8)}, {"scale": 0},
        {"frames": np.zeros((2, 8, 8, 3))}, {"frames": np.zeros((129, 8, 8, 3), np.uint8)}, {"scale": 200},
        {"milliseconds": 1}, {"hold": 100_000},
    ],
    ids=range(8),
)  # fmt: skip
def test_bad_animations(bad):
    with pytest.raises(UserError):
        files.trajectory_gif(**{"frames": np.zeros((2, 8, 8, 3), np.uint8), **bad})


class Reader(HTMLParser):
    """What a browser would load, and what it would show."""

    def __init__(self, page):
        super().__init__()
        self.loads, self.scripts, self.tags, self.text, self._inside = [], [], [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = tag
        self.loads += [v for k, v in attrs if k in ("src", "href", "srcset", "action", "data", "poster", "style") and v]
        if tag == "script":
            self.scripts.append(dict(attrs).get("type"))

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] = (self.scripts[-1], data)
        else:
            self.text.append(data)

    def handle_endtag(self, tag):
        self._inside = None


def report(drawn):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    evil = "</script><script>alert(1)</script><img src='http://evil.example/x.png'>"
    drawn["bars"].update_layout(title=evil)
    sections = [
        Section(
            "Edit " + evil,
            (evil, "plain"),
            ((evil, picture), ("control", picture)),
            (Table(evil, ("what", evil), (("a", 0.123456), (evil, None), ("n", 3))),),
            (("eigenvalues", drawn["plane"]), (evil, drawn["bars"])),
            evil,
        ),
        Section("Second"),
    ]
    return report_html(evil, sections)


def test_the_report_asks_no_network_and_runs_no_stranger(drawn):
    page = report(drawn)
    read = Reader(page)
    assert read.loads and all(
        v.startswith("data:image/png;base64,") or re.fullmatch(r"height:\d+px", v) for v in read.loads
    )
    assert "@import" not in REPORT_STYLE and "url(" not in REPORT_STYLE
    assert "link" not in read.tags and "iframe" not in read.tags and read.tags.count("img") == 2
    assert [kind for kind, _ in read.scripts] == ["application/json"] * 2 + [None] * 2  # plotly once, and the drawing
    assert "default-src 'none'" in page and "http" not in REPORT_POLICY
    data = json.loads(read.scripts[1][1])
    assert "alert(1)" in data["layout"]["title"]["text"]  # carried, not run
    shown = " ".join(read.text)
    assert "0.1235" in shown and "–" in shown and "</script><script>alert(1)" in shown
    assert "Second" in shown


def test_a_report_without_figures_is_small():
    page = report_html("x", [Section("a", ("b",))])
    assert len(page) < 10_000 and "<script" not in page


def test_one_figure_as_a_page(drawn):
    read = Reader(figure_html(drawn["sorted"], "Sorted α"))
    assert [kind for kind, _ in read.scripts] == ["application/json", None, None]
    assert len(json.loads(read.scripts[0][1])["data"]) == len(drawn["sorted"].data)
