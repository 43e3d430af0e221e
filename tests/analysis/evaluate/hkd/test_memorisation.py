"""Nearest training pictures and diversity: the search, the tests of counts, the verdicts, the command."""

import itertools
import shutil
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import mean_squared_error

import koopman_core
from analysis.evaluate import __main__ as evaluate
from analysis.evaluate import image_sets
from analysis.evaluate.hkd import memorisation
from analysis.evaluate.hkd.memorisation import (
    Near,
    at_least,
    below,
    diversity_verdict,
    measure_memory,
    memory_blocks,
    memory_verdict,
    nearest,
    over_pairs,
    pairwise,
    wilson,
)
from analysis.evaluate.tables.markdown import Verdict, markdown
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.datasets import open_dataset
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED
from tests.analysis.conftest import random_pair
from tests.refusals import refuses
from tests.sentences import tells

POOL = 150


class Stack:
    """A data set of the pictures that are given."""

    def __init__(self, pictures):
        self.all = pictures

    def pictures(self, indices):
        return self.all[np.asarray(indices)]


class Colours:
    """In place of LPIPS: the squared difference of the mean colours."""

    def features(self, x):
        return (x.mean((2, 3)),)

    def distance_from(self, x, features):
        assert len(x) == len(features[0])
        return (x.mean((2, 3)) - features[0]).square().mean(1)

    def __call__(self, x, y):
        return self.distance_from(x, self.features(y))


def bench_of(pictures=POOL, flip=False):
    bench = Workbench(*random_pair(), "shapes")
    data = {"spec": "shapes", "fingerprint": open_dataset("shapes", 16).fingerprint(), "pictures": pictures}
    bench.model.card = {"data": data}
    bench.teacher.card = {"recipe": {"teacher": {"flip": flip}}}
    return bench


def scenes(indices, split="train"):
    return torch.from_numpy(open_dataset("shapes", 16, split).pictures(indices)).permute(0, 3, 1, 2)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(image_sets, "FID_STEPS", 2)
    monkeypatch.setattr(memorisation, "TRAINING_BLOCK", 64)
    monkeypatch.setattr(memorisation, "QUERY_BLOCK", 16)
    monkeypatch.setattr(memorisation, "SET_BATCH", 8)
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def fakes(monkeypatch, student, teacher=None):
    """Makers of given pictures, by the seed's place."""
    teacher = student if teacher is None else teacher
    by_kind = {"teacher": teacher, "student": student}
    made = {k: lambda seeds, p=p: p[[s - FIRST_SEED for s in seeds]] for k, p in by_kind.items()}
    monkeypatch.setattr(memorisation, "makers", lambda bench: made)


# ---------------------------------------------------------------------------------------------------------------------
# The search


@pytest.mark.parametrize("mirrored", [False, True])
def test_neighbours_are_those_of_a_loop_over_all_pairs(mirrored, monkeypatch):
    monkeypatch.setattr(memorisation, "TRAINING_BLOCK", 4)
    monkeypatch.setattr(memorisation, "QUERY_BLOCK", 3)
    draw = np.random.default_rng(0)
    train = draw.integers(0, 256, (11, 6, 6, 3), dtype=np.uint8)
    asked = draw.integers(0, 256, (7, 6, 6, 3), dtype=np.uint8)
    asked[2] = train[9][:, ::-1]  # a mirrored copy
    train[3] = train[3] // 2 + train[3][:, ::-1] // 2  # its own mirror image: no neighbour of its own because of that
    asked[4] = train[3]
    told = []
    found = nearest(torch.from_numpy(asked).permute(0, 3, 1, 2), Stack(train), 10, mirrored=mirrored,
                    progress=told.append)  # fmt: skip
    assert told == [4, 8, 10]
    for i, picture in enumerate(asked):
        rows = []
        for j, other in enumerate(train[:10]):
            ways = [other, other[:, ::-1]] if mirrored else [other]
            errors = [mean_squared_error(picture / 127.5 - 1, o / 127.5 - 1) ** 0.5 for o in ways]
            rows.append((min(errors), j, errors.index(min(errors)) == 1))
        rows = sorted(rows)[:5]
        assert found.rmse[i] == pytest.approx([r[0] for r in rows], abs=1e-9)
        assert found.index[i].tolist() == [r[1] for r in rows]
        assert found.mirrored[i].tolist() == [r[2] for r in rows]
        assert found.ratio[i] == pytest.approx(rows[0][0] / rows[1][0], abs=1e-9)
    assert found.ratio[4] == 0 and (found.ratio[2] == 0) == mirrored
    if mirrored:
        assert np.array_equal(found.pictures(np.array([2]), 0, Stack(train))[0], asked[2])


def test_every_pair_is_compared_once_with_every_other():
    pictures = scenes(range(6))
    found = pairwise(Colours(), pictures)
    means = (pictures.double() / 127.5 - 1).mean((2, 3)).numpy()
    wanted = np.array([[np.square(a - b).mean() for b in means] for a in means])
    assert found.numpy() == pytest.approx(wanted, abs=1e-6)
    assert over_pairs(found).value == pytest.approx(wanted[~np.eye(6, dtype=bool)].mean(), abs=1e-6)


def test_the_interval_over_pairs_is_that_of_a_variance():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    v = over_pairs((x[:, None] - x).square())  # twice the variance, in expectation
    error = 2 * ((x - x.mean()).pow(4).mean() - x.var() ** 2).sqrt() / 20
    assert v.value == pytest.approx(2 * float(x.var()))
    assert v.high - v.low == pytest.approx(2 * 1.96 * float(error), rel=0.1)
    assert v.low < v.value < v.high and v.count == 400


# ---------------------------------------------------------------------------------------------------------------------
# Counts


@pytest.mark.parametrize("hits,n", [(0, 20), (3, 20), (50, 200), (200, 200)])
def test_wilson_ends_solve_the_score_equation(hits, n):
    v, z = wilson(hits, n), NormalDist().inv_cdf(0.975)
    for p in (v.low, v.high):
        assert (p - hits / n) ** 2 == pytest.approx(z * z * p * (1 - p) / n, abs=1e-12)
    assert v.low <= v.value <= v.high and v.high - v.low > 0.01 and (v.low == 0) == (hits == 0)


def test_the_tail_counts_all_draws():
    for drawn, marked, total in itertools.product(range(1, 6), range(1, 6), (6, 8)):
        draws = [sum(c < marked for c in d) for d in itertools.combinations(range(total), drawn)]
        for hits in range(drawn + 2):
            assert at_least(hits, drawn, marked, total) == pytest.approx(np.mean([d >= hits for d in draws]), abs=1e-12)
    assert at_least(200, 300, 10_000, 20_000) < 1e-6


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_chance_of_being_below_counts_all_orders(k):
    n, m = 5, 4  # pictures, real ones
    counts = []
    for places in itertools.combinations(range(n + m), m):
        real = np.array(places, dtype=float)
        counts.append(below(np.setdiff1d(np.arange(n + m), places).astype(float), real, k))
    hits = np.array([c[0] for c in counts])
    for count, chance in counts:
        assert chance == pytest.approx((hits >= count).mean())


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts


def findings(m):
    return [b.figures for b in memory_blocks(m) if isinstance(b, Verdict) and "maker" in b.figures]


def test_copies_are_found_out_and_fresh_pictures_are_not(monkeypatch):
    bench, fresh = bench_of(), scenes(range(10**6, 10**6 + 40))
    some = fresh.clone()
    some[::5] = scenes(range(3, 11))  # one in five is a copy
    fakes(monkeypatch, some, fresh)
    m = measure_memory(bench, 40, perceptual=Colours())
    assert int((m.near["student"].rmse == 0).sum()) == 8 and (m.near["teacher"].rmse > 0).all()
    student, teacher = findings(m)
    assert (student["maker"], student["finding"], student["copies"], student["of"]) == ("student", "copies", 8, 40)
    assert (teacher["maker"], teacher["finding"], teacher["copies"]) == ("teacher", "none", 0)
    assert [s.seed - FIRST_SEED for s in m.closest[:8]] == list(range(0, 40, 5))
    assert all(np.array_equal(s.pictures[0], s.pictures[1]) for s in m.closest[:8])
    assert m.near["student"].lpips[::5] == pytest.approx(np.zeros(8), abs=1e-12) and m.trained == POOL


def test_mirrored_copies_count_where_the_teacher_was_trained_on_them(monkeypatch):
    fakes(monkeypatch, scenes(range(20)).flip(3))
    m = measure_memory(bench_of(flip=True), 20, perceptual=Colours())
    assert m.mirrored and (m.near["student"].rmse == 0).all() and findings(m)[1]["finding"] == "copies"
    assert "mirrored" in markdown(memory_blocks(m)) and (m.near["student"].lpips < 1e-12).all()
    m = measure_memory(bench_of(), 20)
    assert not m.mirrored and (m.near["student"].rmse > 0).any() and "mirrored" not in markdown(memory_blocks(m))


def near(rmse, ratio):
    return Near(np.asarray(rmse, dtype=float), np.asarray(ratio, dtype=float), None)


def test_smooth_pictures_blurred_copies_and_copies_are_told_apart():
    real = near(np.linspace(0.2, 0.4, 100), np.linspace(0.7, 1, 100))

    def figures(rmse, ratio):
        return memory_verdict("student", near(rmse, ratio), real).figures

    smooth = figures(real.rmse / 4, real.ratio)
    assert (smooth["finding"], smooth["near"], smooth["copies"]) == ("smooth", 100, 0)
    assert figures(real.rmse / 4, real.ratio - 0.15)["finding"] == "blurred"
    copied = figures(real.rmse, real.ratio - 0.5)
    assert (copied["finding"], copied["copies"]) == ("copies", 99)
    same = figures(real.rmse, real.ratio)
    assert (same["finding"], same["near"]) == ("none", 0)
    z = NormalDist().inv_cdf(0.975)
    assert same["copies_at_most"] == pytest.approx(z * z / (100 + z * z))  # Wilson's, of 0 of 100
    # two nearer where one is expected: chance
    assert figures(np.r_[0.1, 0.15, real.rmse[2:]], real.ratio)["finding"] == "none"


def test_the_diversity_verdict_follows_the_intervals(monkeypatch):
    fakes(monkeypatch, scenes(range(10**6, 10**6 + 12)))
    m = measure_memory(bench_of(), 12, perceptual=Colours())
    figures = diversity_verdict(m).figures
    assert m.less == Interval(0, 0, 0, 12) and (figures["over_teacher"], figures["settled"]) == (0, False)

    def found(mine, less):
        d = {"student": Interval(mine, mine - 0.01, mine + 0.01, 9), "teacher": Interval(0.5, 0.4, 0.6, 9),
             "real": Interval(0.4, 0.38, 0.42, 9)}  # fmt: skip
        v = diversity_verdict(replace(m, diversity=d, less=Interval(less, less - 0.02, less + 0.02, 9))).figures
        return v["than_real"], v["share_of_real"], v["over_teacher"], v["settled"]

    assert found(0.3, -0.1) == (-1, pytest.approx(0.75), pytest.approx(-0.2), True)
    assert found(0.5, 0.01) == (1, pytest.approx(1.25), pytest.approx(0.02), False)
    assert found(0.4, 0.1) == (0, pytest.approx(1), pytest.approx(0.2), True)


# ---------------------------------------------------------------------------------------------------------------------
# Models


def test_figures_are_those_of_the_pictures():
    bench, shares = bench_of(), []
    m = measure_memory(bench, 12, perceptual=Colours(), progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares) and shares[-1] == 1
    with torch.no_grad():
        x = bench.model.one_step(noise(range(FIRST_SEED, FIRST_SEED + 12), (3, 16, 16)))
    mine = ((x.clamp(-1, 1) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy() / 127.5 - 1
    train = scenes(range(POOL)).permute(0, 2, 3, 1).numpy() / 127.5 - 1
    errors = np.sqrt(((mine[:, None] - train[None]) ** 2).mean((2, 3, 4)))
    assert m.near["student"].rmse == pytest.approx(errors.min(1), abs=2e-3)  # a rounding apart
    first, second = np.sort(errors, 1)[:, :2].T
    assert m.near["student"].ratio == pytest.approx(first / second, abs=5e-3)
    held_out = scenes(torch.randperm(100_000, generator=torch.Generator().manual_seed(0))[:12], "test")
    real = np.sqrt(((held_out.permute(0, 2, 3, 1).numpy()[:, None] / 127.5 - 1 - train[None]) ** 2).mean((2, 3, 4)))
    assert m.near["real"].rmse == pytest.approx(real.min(1), abs=1e-9)
    colour = ((mine - train[errors.argmin(1)]).mean((1, 2)) ** 2).mean(1)
    assert m.near["student"].lpips == pytest.approx(colour, abs=2e-3)
    means = mine.mean((1, 2))
    pairs = [np.square(a - b).mean() for a, b in itertools.combinations(means, 2)]
    assert m.diversity["student"].value == pytest.approx(np.mean(pairs), abs=1e-4)
    less = m.diversity["student"].value - m.diversity["teacher"].value
    assert m.less.value == pytest.approx(less) and m.same_data and m.paired == 12


def test_what_cannot_be_measured_is_told():
    with refuses("teacher"):
        measure_memory(Workbench(bench_of().model, None, "shapes"), 12)
    with refuses("trained"):
        measure_memory(bench_of(pictures=3), 12)
    with refuses("count"):
        measure_memory(bench_of(), 11)
    bench = bench_of()
    bench.model.card = {"data": {"spec": "folder"}}
    with refuses("data"):
        measure_memory(bench, 12)


def test_the_command_writes_page_and_sheet(models, tmp_path, capsys, monkeypatch):
    shutil.copytree(models, tmp_path / "m")
    bench = bench_of()
    bench.model.card |= {"name": "shapes", "teacher": "shapes"}
    koopman_core.save(bench.model, tmp_path / "m/shapes.hkd.safetensors", bench.model.card)
    sheet = tmp_path / "made" / "neighbours.png"
    arguments = ["hkd", "--model", "shapes", "--models", str(tmp_path / "m"), "--parts", "memory", "--pictures", "12"]
    assert evaluate.main([*arguments, "--write", "--sheet-neighbours", str(sheet)]) == 0
    out, err = capsys.readouterr()
    command = "python -m analysis.evaluate hkd --model shapes --parts memory --pictures 12"
    assert f"## shapes: memory\n\n`{command}`\n" in out and out.strip() in (tmp_path / "m/results.md").read_text()
    assert tells(out, 150) and tells(out, 7.7, 1, 12)  # pictures; per cent that are nearer by chance
    assert "LPIPS" in out and "LPIPS" in err
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # the page, if a test imported it, bounds what is uploaded
    with Image.open(sheet) as picture:
        width, height = picture.size
    assert width > 6 * (96 + 8) and height > 12 * (96 + 8)
