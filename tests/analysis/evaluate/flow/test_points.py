"""Quality and momentum of flows in the plane: recomputed seed by seed, chosen on the validation alone."""

import pytest
import torch
from scipy import stats

from analysis.evaluate.flow import points as flow_points
from analysis.evaluate.flow.momentum import EULER, HEUN, MULTISTEP, SEED_ROOM, counted
from flow_core.densities.distances import MMD, blur, wasserstein2
from flow_core.densities.toys import toy
from flow_core.fields import Exact, Preserving, Published
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.samplers import Diverged, euler, euler_maruyama, heun, rk4, step_noise
from foundation import noise
from foundation.randomness import FIRST_SEED
from tests.refusals import refuses

POINTS, REFERENCE = 24, 40


def random_flow(path="idff", sigma=0.2, predicts="x1", density="8gaussians") -> FlowModel:
    torch.manual_seed(0)
    model = FlowModel(FlowConfig(path, sigma, predicts=predicts, data_std=3.5), PointConfig(width=8, depth=1))
    model.card = {"name": "tiny", "data": {"name": density}}
    return model.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name, value in {
        "SEED_POINTS": POINTS, "TRUE_POINTS": REFERENCE, "ASSIGNED": 8, "WEIGHT_SEEDS": 2, "POINT_GAMMAS": (-5.0, 5.0),
        "HIGHER_POINT_GAMMAS": (0.0, 0.1), "MATCHED_WEIGHTS": (1.0,),
    }.items():  # fmt: skip
        monkeypatch.setattr(flow_points, name, value)


def by_hand(interval, values):
    low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
    assert (interval.value, interval.low, interval.high) == pytest.approx((sum(values) / len(values), low, high))


def test_quality_seed_by_seed():
    model, density = random_flow(), toy("8gaussians")
    q = flow_points.measure_quality(model, density, 3, nfes=(1, 4))
    room = FIRST_SEED + 2 * SEED_ROOM
    drift, plain, published, w2 = Exact(model.path), [], [], []
    for i in range(3):
        start = noise(range(room + i * POINTS, room + (i + 1) * POINTS), (2,))
        data = density.sample(REFERENCE, room + SEED_ROOM // 2 + i)
        x = euler(model, start, drift, 4).x
        plain.append(MMD(data).unbiased(x))
        published.append(MMD(data).unbiased(euler(model, start, Published(model.path, (0.5,)), 4).x))
        w2.append(wasserstein2(x[:8], density.sample(8, FIRST_SEED + 5 * SEED_ROOM + i)))
    by_hand(q.mmd2[EULER][1], plain)
    by_hand(q.less_euler["published drift, no momentum"][1], [a - b for a, b in zip(published, plain, strict=True)])
    by_hand(q.w2[EULER][1], w2)
    assert any("public code's weights 0.2, -0.5, 0" in name for name in q.mmd2) and EULER not in q.less_euler
    assert q.less_euler["exact flow, Heun"][0].value == pytest.approx(0, abs=1e-12), "one call of either is the same"
    fine = []
    for i, m in enumerate(flow_points.split_of(model, density, True, 3).references):
        start = noise(range(room + i * POINTS, room + (i + 1) * POINTS), (2,))
        fine.append(m.unbiased(rk4(model, start, drift, 400).x))
    calls, reached = q.reference
    assert reached.value == pytest.approx(sum(fine) / 3, abs=2e-3) and calls > 4


def test_a_reference_that_gives_up_is_left_out(monkeypatch):
    def gives_up(*asked, **options):
        raise Diverged("gone")

    monkeypatch.setattr(flow_points, "dopri5", gives_up)
    model = random_flow()
    split = flow_points.split_of(model, toy("8gaussians"), True, 2)
    assert flow_points.adaptive_flow(model, split) is None and flow_points.adaptive_words(None) == []


def test_a_path_without_noise_has_no_momentum_rows():
    model = random_flow("otcfm", 0.0, "velocity", "checkerboard")
    assert set(flow_points.methods(model, toy("checkerboard"))) == {
        EULER, HEUN, "exact flow, RK4", "exact flow, RK4, steps by calls", MULTISTEP
    }  # fmt: skip
    assert not any("public code" in n for n in flow_points.methods(random_flow(), toy("checkerboard")))


def test_validation_and_test_share_neither_noise_nor_data():
    model, density = random_flow(), toy("8gaussians")
    validation, test = (flow_points.split_of(model, density, t, 2) for t in (False, True))
    assert not set(validation.draws) & set(test.draws)
    assert (validation.start[:, None] == test.start).all(-1).sum() == 0
    assert not torch.equal(validation.references[0].reference, test.references[0].reference)
    assert not torch.equal(test.references[0].reference, test.references[1].reference)
    highest = FIRST_SEED + 2 * SEED_ROOM + 1000 * 2048
    assert highest < FIRST_SEED + 3 * SEED_ROOM and max(test.draws) < 2**32


def test_weights_have_the_least_distance_on_the_validation_and_none_wins_a_tie():
    asked = []

    def run(model, split, nfe, gammas):
        asked.append(gammas)
        if gammas[0] == 5:
            raise Diverged("gone")
        return type("Result", (), {"x": torch.full((1,), sum(gammas)), "nfe": nfe})

    family = flow_points.Family("f", (1, 2), (0.5,), (-5.0, 5.0), run)
    split = type("Split", (), {"distances": staticmethod(lambda x: (x + 4.95).abs())})
    assert flow_points.search(family, None, split, 3) == [(-5.0,), (-5.0, 0.1)]
    assert asked == [(0.5,), (-5.0,), (5.0,), (-5.0, 0.0), (-5.0, 0.1)]
    level = type("Split", (), {"distances": staticmethod(lambda x: 0 * x)})
    assert flow_points.search(family, None, level, 3) == [(0.5,), (0.5, 0.0)]


def test_momentum_rows_by_hand():
    model, density = random_flow(), toy("8gaussians")
    m = flow_points.measure_momentum(model, density, 2, nfes=(3,))
    assert [(r.family, r.order) for r in m.rows] == [
        *(("published drift", k) for k in (1, 2, 3)), *(("momentum on the exact flow", k) for k in (1, 2, 3)),
        ("matched noise", 1),
    ]  # fmt: skip
    test = flow_points.split_of(model, density, True, 2)
    exact = test.distances(euler(model, test.start, Exact(model.path), 3).x)
    row = m.rows[0]
    x = euler(model, test.start, Published(model.path, row.gammas[0]), 3).x
    by_hand(row.less_euler[0], (test.distances(x) - exact).tolist())
    none = test.distances(euler(model, test.start, Published(model.path, (0.5,)), 3).x)
    by_hand(row.less_none[0], (test.distances(x) - none).tolist())
    heun_points = heun(model, test.start, Exact(model.path), 3).x
    by_hand(row.less_heun[0], (test.distances(x) - test.distances(heun_points)).tolist())
    clouds = [blur(density.density, cloud) for cloud in heun_points.view(2, -1, 2)]
    by_hand(m.blurs[HEUN][0].spread, [b.spread for b in clouds])
    by_hand(m.blurs[HEUN][0].beyond, [b.beyond for b in clouds])
    noisy = m.rows[-1]
    drift, draw = Preserving(model.path, noisy.gammas[0][0]), step_noise(test.draws, (2,), 3)
    by_hand(noisy.mmd2[0], test.distances(euler_maruyama(model, test.start, drift, 3, draw=draw).x).tolist())
    assert m.rows[3].less_euler == m.rows[3].less_none, "momentum at its exact flow: both controls are one"
    third = m.rows[2]
    assert third.derivatives[0] == {0: 0, 1: 2, 2: 4}[2 if third.gammas[0][2] else int(bool(third.gammas[0][1]))]


def test_other_data_and_other_counts_are_told():
    model = random_flow(density="pictures")
    with refuses("data"):
        flow_points.density_of(model)
    with pytest.raises(RuntimeError, match="2.*3"):
        counted(type("Result", (), {"x": None, "nfe": 2}), 3)
