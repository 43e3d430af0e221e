"""The ablation: what is trained and measured, kept, and read from the figures."""

from dataclasses import replace

import pytest
import torch

import koopman_core
from analysis.evaluate import ablation
from analysis.evaluate.ablation import (
    ABLATION_ROWS,
    GROUP_SETTINGS,
    PATH_OVERRIDES,
    main,
    measure,
    run,
    train_row,
)
from analysis.evaluate.tables.ablation import (
    OPERATOR_FIGURES,
    Figures,
    Plan,
    Row,
    ablation_blocks,
    control_figures,
    order_verdict,
)
from analysis.evaluate.tables.markdown import markdown
from foundation import noise
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.trajectories import TrajectoryConfig, write_trajectories
from tests.analysis.conftest import random_pair
from tests.refusals import refuses

CONFIG = """
[student]
objective = "published"
lambda2 = 0.0
[training]
batch = 4
warmup = 4
optimizer = "adam"
compile = "off"
precision = "fp32"
"""


def distance(x, y, **_):
    """In the place of LPIPS."""
    return (x - y).abs().flatten(1).mean(1)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    teacher = random_pair()[1]
    koopman_core.save(teacher, tmp_path / "t.teacher.safetensors", {"name": "t-teacher"})
    teacher = koopman_core.load_teacher(tmp_path / "t.teacher.safetensors")
    write_trajectories(teacher, TrajectoryConfig(count=8, steps=4, shard_size=8, batch=8), tmp_path / "trajectories")
    (tmp_path / "settings.toml").write_text(CONFIG)
    monkeypatch.setattr(ablation, "PerceptualDistance", lambda *_, **__: distance)
    return Plan(
        str(tmp_path / "t.teacher.safetensors"), tmp_path / "trajectories", 8, 4, config=tmp_path / "settings.toml"
    )


def test_every_row_is_a_training_that_can_start():
    for group, rows in ABLATION_ROWS.items():
        assert len({row.key for row in rows}) == len(rows), group
    keys = [row for rows in ABLATION_ROWS.values() for row in rows]
    assert len({(r.key, r.overrides) for r in keys}) == len({r.key for r in keys})  # one key is one training
    assert {r.overrides for r in keys if r.key == "path"} == {PATH_OVERRIDES}
    assert [r.paper for r in ABLATION_ROWS["paper"]] == [5.72, 5.57, 4.78, 3.30, None]  # table 3


def test_a_row_is_trained_once_and_measured_as_its_pictures_say(plan, tmp_path, monkeypatch):
    row = Row("on_T", "", ("--student.only_T=true",))
    path = train_row(plan, row, 1, tmp_path / "runs")
    model, teacher = koopman_core.load(path), koopman_core.load_teacher(plan.teacher)
    assert model.card["recipe"]["student"]["only_T"] and model.card["recipe"]["training"]["seed"] == 1
    found = measure(plan, path, 1, distance)
    with torch.no_grad():
        x = noise(range(FIRST_SEED, FIRST_SEED + 4), (3, 16, 16))
        best = heun_sample(teacher, SIGMA_MAX * x, karras_sigmas(18)).x.clamp(-1, 1)
        assert found.lpips == pytest.approx(float(distance(model.one_step(x).clamp(-1, 1), best).mean()), rel=1e-4)
        for operator in model.operators:
            operator.a.zero_()
        assert found.zero == pytest.approx(float(distance(model.one_step(x).clamp(-1, 1), best).mean()), rel=1e-4)
    assert found.fid is None and set(found.linear) == set(found.apart) == {16, 8} and 0 <= found.growing <= 1

    monkeypatch.setattr(ablation, "run_student", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(ablation, "measure_fidelity", lambda *_, **__: pytest.fail("measured again"))
    assert train_row(plan, row, 1, tmp_path / "runs") == path
    assert measure(plan, path, 1, distance) == found
    with refuses("folder"):
        train_row(plan, replace(row, overrides=()), 1, tmp_path / "runs")


def test_a_card_older_than_an_option_has_its_default(plan, tmp_path):
    row = Row("full", "")
    path = train_row(plan, row, 0, tmp_path / "runs")
    model = koopman_core.load(path)
    del model.card["recipe"]["student"]["latent_weights"]
    model.card["recipe"]["training"]["threads"] = 5  # makes no other model
    koopman_core.save(model, path, model.card)
    assert train_row(plan, row, 0, tmp_path / "runs") == path


def test_more_samples_go_on_and_fid_is_asked_for(plan, tmp_path, monkeypatch):
    asked = []

    def fake(bench, count, **options):
        asked.append((bench.name, count, options["reference_count"]))
        return type("D", (), {"fid": {"student": (7.0,)}, "kid": {"student": Interval(0.5, 0.4, 0.6, count)}})

    monkeypatch.setattr(ablation, "measure_distribution", fake)
    ours = Row("only_T", "not in the paper", ("--student.only_T=true",))
    monkeypatch.setitem(ablation.ABLATION_ROWS, "paper", (ABLATION_ROWS["paper"][3], ours))
    asked_of = replace(plan, fid=5, reference=6)
    (row, (one, two)), (_, (three,)) = run(asked_of, "paper", tmp_path / "runs", report=lambda _: None)
    assert (row.key, one.seed, two.seed, one.fid, one.kid) == ("full", 0, 1, 7.0, 0.5)
    assert three.fid is three.kid is None  # asked for beside the paper's figure only
    assert asked == [("full-0", 5, 6), ("full-1", 5, 6)] and one.lpips != two.lpips


def test_the_decoder_s_level_is_compared_at_equal_budget(plan, tmp_path):
    rows = run(plan, "decoder_published", tmp_path / "runs", seeds=1, report=lambda _: None)
    cards = [koopman_core.load(tmp_path / "runs" / f"{row.key}-0" / "student.safetensors").card for row, _ in rows]
    assert [c["recipe"]["koopman"]["decoder_sigma"] for c in cards] == ["min", "max"]
    assert cards[0]["recipe"]["training"] == cards[1]["recipe"]["training"]
    (_, (low,)), (_, (high,)) = rows
    assert low.lpips != high.lpips
    better = rows[low.lpips > high.lpips][0].words
    blocks = ablation_blocks("decoder_published", rows, plan)
    assert blocks[2].figures["picture"] == better
    assert f"| published, decoder 80 | 1 | {high.lpips:.4f} |" in markdown(blocks)


def test_eigenvalues_that_are_never_learned_stand_beside_learned_ones(plan, tmp_path):
    settings = tmp_path / "operator.toml"
    settings.write_text(CONFIG.replace('objective = "published"', 'objective = "path"\nnested_blurs = [2.0, 0.7]'))
    folder = tmp_path / "runs"
    rows = run(replace(plan, config=settings), "operator", folder, seeds=2, report=lambda _: None)

    def pairs(key):
        model = koopman_core.load(folder / key / "student.safetensors")
        return [operator.a.reshape(2, -1) for operator in model.operators]

    for seed in range(2):
        learned, shuffled = pairs(f"operator_learned-{seed}"), pairs(f"operator_permuted-{seed}")
        for a, b in zip(learned, shuffled, strict=True):
            assert not torch.equal(a, b) and sorted(a.T.tolist()) == sorted(b.T.tolist())
    one, two = pairs("operator_random-0"), pairs("operator_random-1")
    assert not torch.equal(one[0], two[0]) and 0.7 < float(one[0].std()) < 1.3
    for _, found in rows:
        assert all(f.nested["share"] > 0 and f.nested["first step"] > 0 and f.nested["move"] >= 0 for f in found)
    assert set(GROUP_SETTINGS) <= set(ABLATION_ROWS)


def test_what_learning_adds_is_read_from_the_ranges():
    def trained(lpips, move):
        bands = {"share": 0.1, "first step": 2.0, "second step": 3.0, "move": move}
        return [figures(i, v, nested=bands) for i, v in enumerate(lpips)]

    rows = list(
        zip(
            ABLATION_ROWS["operator"],
            (
                trained((0.1, 0.2), 0.04),
                *(trained(v, m) for v, m in (((0.3, 0.4), 0.02), ((0.2, 0.1), 0.04), ((0.1, 0.1), 0.04))),
            ),
            strict=True,
        )
    )
    random, permuted, _ = (b.figures for b in ablation_blocks("operator", rows, Plan("portraits", None))[2:])
    assert random["apart"]["LPIPS of the picture"] == "better"
    assert random["margins"]["LPIPS of the picture"] == pytest.approx(0.15 / 0.35)
    assert random["apart"]["layout moved by the largest band"] == "worse"
    assert random["margins"]["layout moved by the largest band"] == pytest.approx(2)
    kept = control_figures(rows, Plan("portraits", None, 16))
    assert kept["images"] == 16 and kept["trainings"] == 2
    assert kept["figures"]["LPIPS of the picture"]["A learned"] == pytest.approx([0.15, 0.1, 0.2])
    assert set(permuted["apart"].values()) == {"not told apart"} and set(permuted["margins"]) == {
        name for name, _, _ in OPERATOR_FIGURES
    }


def figures(seed=0, lpips=0.1, fid=10.0, **other):
    known = {
        "kid": fid / 2000,
        "psnr": 20.0,
        "zero": 0.5,
        "scrub": 0.2,
        "linear": {16: 0.5, 8: 0.05},
        "apart": {16: 0.7, 8: 0.08},
        "growing": 0.25,
    }
    return Figures(seed, lpips=lpips, fid=fid, **{**known, **other})


def rows_of(*values):
    """The paper's rows with LPIPS of two trainings each."""
    return [
        (row, [figures(i, v, 100 * v) for i, v in enumerate(pair)])
        for row, pair in zip(ABLATION_ROWS["paper"], values, strict=False)
    ]


@pytest.mark.parametrize(
    "values,order,words",
    [
        ([(0.9, 0.8), (0.7, 0.6), (0.5, 0.4), (0.3, 0.2)], "paper", ["holds"] * 3),
        ([(0.9, 0.8), (0.85, 0.6), (0.5, 0.4), (0.3, 0.2)], "open", ["is not told apart", "holds", "holds"]),
        ([(0.9, 0.8), (0.7, 0.6), (0.1, 0.1), (0.3, 0.2)], "not", ["holds", "holds", "is reversed"]),
    ],
)
def test_the_order_is_read_from_the_ranges(values, order, words):
    figures = order_verdict(rows_of(*values), lambda f: f.lpips, "LPIPS").figures
    assert figures == {"by": "LPIPS", "order": order, "neighbours": words}


def test_tables_of_all_groups():
    plan = Plan("shapes", None, 20_000, 500, fid=2500)
    *theirs, (ours, found) = rows_of((0.9, 0.8), (0.7, 0.6), (0.5, 0.4), (0.3, 0.2), (0.25, 0.25))
    rows = [*theirs, (ours, [replace(f, fid=None, kid=None) for f in found])]
    blocks = ablation_blocks("paper", rows, plan)
    text = markdown(blocks)
    assert "| A = 0, loss at T only | 2 | 0.8500 [0.8000, 0.9000] |" in text and "| FID-2500 |" in text
    assert "85.00 [80.00, 90.00] | 42.50 [40.00, 45.00] | 5.72 |" in text and "| n/a | n/a | n/a |" in text
    by_fid, by_kid, by_lpips, ours_against = (b.figures for b in blocks[2:])
    assert (by_fid["by"], by_kid["by"]) == ("FID-2500", "KID-2500")
    assert [f["order"] for f in (by_fid, by_kid, by_lpips)] == ["paper"] * 3
    assert by_fid["apart"] == pytest.approx(2.4)  # 85 over 25, less 1; without our own row
    assert ours_against["lpips_ratio"] == pytest.approx(1) and ours_against["without_A"]["path"] == pytest.approx(2)
    rows = [(row, [figures(lpips=v)]) for row, v in zip(ABLATION_ROWS["time"], (0.3, 0.1, 0.2), strict=True)]
    blocks = ablation_blocks("time", rows, replace(plan, fid=None))
    assert blocks[2].figures["picture"] == "path, log sigma" and "FID" not in markdown(blocks)
    latent = [(row, [figures(lpips=0.1 if row.key == "path" else 0.2)]) for row in ABLATION_ROWS["latent"]]
    *each, last = (b.figures for b in ablation_blocks("latent", latent, replace(plan, fid=None))[2:])
    assert last["linear_sides"] == [8] and each[0]["lpips_ratio"] == pytest.approx(2)
    assert each[0]["of_what_differs"] == [(0.7, 0.7), (0.08, 0.08)]
    shared = [(row, [replace(found, apart={16: 0.7, 8: 0.3})]) for row, (found,) in latent]
    assert ablation_blocks("latent", shared, replace(plan, fid=None))[-1].figures["linear_sides"] == []


@pytest.mark.parametrize(
    "bad,words", [(["--groups", "x"], "--groups takes paper, time, latent"), (["--noises", "1"], "--noises"),
                  (["--teacher", "nobody"], "nobody")],
)  # fmt: skip
def test_mistakes_are_told(bad, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ablation, "PerceptualDistance", lambda *_, **__: distance)
    assert main(["--trajectories", str(tmp_path), "--folder", str(tmp_path), *bad]) == 2
    assert words in capsys.readouterr().err
