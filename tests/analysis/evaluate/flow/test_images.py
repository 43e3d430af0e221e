"""Distances of pictures to the exact flow and to data, recomputed by hand on tiny nets."""

import math

import pytest
import torch
from scipy import stats

from analysis.evaluate.flow import image_mmd
from analysis.evaluate.flow import images as flow_images
from analysis.evaluate.flow.momentum import SEED_ROOM
from analysis.flow import images
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from flow_core.model import FlowConfig, load
from flow_core.samplers import Diverged
from foundation import noise
from foundation.data.datasets import open_dataset
from foundation.metrics.perceptual import PerceptualDistance
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED, mix_seed
from tests.analysis.flow.image_flows import random_flow
from tests.refusals import refuses
from tests.sentences import tells

NFES, SEEDS, DATA = (1, 2, 10), 10, 30
FIRST = FIRST_SEED + 2 * SEED_ROOM
NONE, CHOSEN = "IDFF, published drift, no momentum", "IDFF, published drift, gamma1 chosen"
IDFF, OTCFM = "IDFF, exact flow, Euler", "OT-CFM, exact flow, Euler"


@pytest.fixture(autouse=True, scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KOOPMAN_LPIPS", raising=False)
        patch.setattr(flow_images, "available", lambda net: False)
        for module in (images, flow_images):
            patch.setattr(module, "EXACT_NFE", 13)
        patch.setattr(image_mmd.inception, "available", lambda path=None: False)
        patch.setattr(image_mmd, "REAL_PICTURES", DATA)
        patch.setattr(image_mmd, "VALIDATION_DATA", 8)
        patch.setattr(flow_images, "IMAGE_VALIDATION_SEEDS", 4)
        grids = {"published drift": (0.5, -10.0), "matched noise": (0.0, 5.0)}
        patch.setattr(flow_images, "SEARCHED", grids)
        yield


def shapes(model):
    model.card = {"data": {"spec": "shapes"}}
    return model


@pytest.fixture(scope="module")
def nets():
    idff = shapes(random_flow(FlowConfig("idff", 0.2, data_std=0.5), 0))
    return idff, random_flow(FlowConfig("otcfm", 0.0, predicts="velocity", data_std=0.5), 1)


@pytest.fixture(scope="module")
def measured(nets, few):
    return flow_images.measure_pictures(*nets, SEEDS, nfes=NFES)


def flow(model, seeds, steps, published=False):
    """Euler's method written down again, with data from x1_hat of a path with sigma 0.2."""
    x = noise(seeds, model.sample_shape)
    for k in range(steps):
        t = k / steps
        with torch.no_grad():
            p = model(x, t)
        if p.velocity is not None:
            w = p.velocity
        elif published:
            w = math.sqrt(1 - 0.5 * 0.04 * t * (1 - t)) * (p.x1 - x) / (1 - t)
        else:
            w = (p.x1 - x) / (1 - t) - 0.02 * (t * p.x1 - x) / ((1 - t) * (1 - t + 0.04 * t))
        x = x + w / steps
    return torch.floor((127.5 * x + 128).clip(0, 255)) / 127.5 - 1


def patches(x):
    """Averages of 2 x 2 pixels of pictures with 16 a side."""
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]).flatten(1).double() / 4


def mmd2(x, y, b):
    kernel = lambda u, v: (-(u[:, None] - v).square().sum(-1) / (2 * b * b)).exp()  # noqa: E731
    off = lambda k: float(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))  # noqa: E731
    return off(kernel(x, x)) + off(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def by_hand(interval, values, rel=2e-3, absolute=1e-5):
    low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
    expected = (sum(values) / len(values), low, high)
    assert (interval.value, interval.low, interval.high) == pytest.approx(expected, rel=rel, abs=absolute)


def test_distance_to_the_exact_flow_is_that_of_the_bench(nets, measured, flows_folder):
    bench = ImageFlows(flows_folder)  # the same two nets, on disk
    seeds = tuple(range(FIRST, FIRST + SEEDS))
    assert measured.measure == flow_images.PSNR and measured.nfe == NFES
    for name, path in ((IDFF, "idff"), (OTCFM, "otcfm")):
        told = []
        for low in (0, 5):
            request = FlowPicturesRequest(path=path, nfe=2, seeds=seeds[low : low + 5])
            told += list(bench.distance(request).psnr)
        by_hand(measured.exact[name][1], told)
    assert measured.less_euler["IDFF, exact flow, Heun"][0] == Interval(0, 0, 0, SEEDS)
    assert measured.exact[IDFF][2].value > measured.exact[IDFF][0].value + 3


def jackknife(x, y, b):
    """Pseudo-values, leaving out one sample after the other."""
    n, whole = len(x), mmd2(x, y, b)
    return [n * whole - (n - 1) * mmd2(torch.cat([x[:i], x[i + 1 :]]), y, b) for i in range(n)]


def test_distance_to_data(nets, measured):
    data = open_dataset("shapes", 16, "test")
    validation, y, instead = (patches(data.batch(range(*r))[0]) for r in ((0, 8), (8, 38), (38, 48)))
    b = float(torch.tensor([float((p - q).norm()) for i, p in enumerate(validation) for q in validation[:i]]).median())
    d = measured.data
    assert (d.bandwidth, d.count, d.same) == (pytest.approx(b, rel=1e-5), DATA, True)
    seeds = range(FIRST, FIRST + SEEDS)
    mine, none = (patches(flow(nets[0], seeds, 2, published)) for published in (False, True))
    found, without = jackknife(mine, y, b), jackknife(none, y, b)
    by_hand(d.mmd2[IDFF][1], found)
    assert d.mmd2[IDFF][1].value == pytest.approx(mmd2(mine, y, b), rel=1e-3)
    by_hand(d.less_euler[NONE][1], [p - q for p, q in zip(without, found, strict=True)], absolute=2e-4)
    by_hand(d.mmd2[OTCFM][2], jackknife(patches(flow(nets[1], seeds, 10)), y, b))
    by_hand(d.instead, jackknife(instead, y, b))


def test_momentum_is_chosen_on_the_validation_alone(nets, monkeypatch):
    asked = []

    def sampled(model, request, seeds):
        asked.append((request.sampler, request.nfe, request.gamma1, seeds))
        if seeds[0] < FIRST and request.gamma1 < 0:
            raise Diverged("far away")
        return torch.full((len(seeds), 3, 16, 16), request.gamma1 / 100)

    monkeypatch.setattr(flow_images, "sampled", sampled)
    s = flow_images.measure_pictures(*nets, 8, nfes=(1, 2))
    d = s.data
    low = FIRST_SEED + SEED_ROOM
    tried = [(f, n, g) for f, n, g, seeds in asked if seeds == range(low, low + 4)]
    assert tried == [("published", 2, 0.5), ("published", 2, -10.0), ("matched", 2, 0.0), ("matched", 2, 5.0)]
    assert all(seeds in (range(low, low + 4), range(FIRST, FIRST + 8)) for *_, seeds in asked)
    assert s.momentum.nfe == (2,) and s.momentum.rows[0].gammas[0][0] == 0.5
    # matched noise: the grey that is nearer to the converged flow of the validation noises
    ends = torch.cat([flow_images.exact_flow(nets[0], range(low, low + 4))])
    grey = [float(flow_images.metrics.psnr(torch.full_like(ends, g / 100), ends).sum()) for g in (0.0, 5.0)]
    assert s.momentum.rows[1].gammas[0][0] == (0.0, 5.0)[grey[1] > grey[0]]
    assert d.mmd2[CHOSEN][1] == d.mmd2[NONE][1] and s.momentum.rows[0].less_none[0].value == 0
    assert d.tenth is None  # no tenth of two calls


def test_rows_of_the_momentum_are_those_of_the_table(measured):
    """Of the distance to the exact flow; decibels with the other sign, so that lower is nearer."""
    e, m, d = measured.exact, measured.momentum, measured.data
    published, matched = m.rows
    lower = lambda name: [-v.value for v in e[name][1:]]  # noqa: E731
    values = lambda row: [v.value for v in row]  # noqa: E731
    assert m.nfe == NFES[1:] and values(m.euler) == pytest.approx(lower(IDFF)) and m.seeds == SEEDS
    assert values(m.heun) == pytest.approx(lower("IDFF, exact flow, Heun"))
    assert values(published.mmd2) == pytest.approx(lower(CHOSEN))
    for row, base in ((published.less_euler, IDFF), (published.less_none, NONE)):
        assert values(row) == pytest.approx([a - b for a, b in zip(lower(CHOSEN), lower(base), strict=True)], abs=1e-9)
    gap = [a - b for a, b in zip(lower(CHOSEN), lower("IDFF, exact flow, Heun"), strict=True)]
    assert values(published.less_heun) == pytest.approx(gap, abs=1e-9)
    assert matched.less_none == matched.less_euler
    few, tenth = d.tenth
    assert few == 1 and tenth.value == pytest.approx(d.mmd2[CHOSEN][0].value - d.mmd2[OTCFM][2].value)
    assert d.less_companion[IDFF][1].value == pytest.approx(-d.less_euler[OTCFM][1].value)


def test_a_net_without_noise_or_data(nets):
    lone = flow_images.measure_pictures(shapes(random_flow(nets[1].flow, 1)), None, 4, nfes=(2,))
    assert [n.split(", ")[0] for n in lone.exact] == ["OT-CFM"] * 4 and lone.companion == ""
    assert lone.momentum is None and lone.data.less_companion == {}
    for card in ({}, {"data": {"spec": "folder:mine"}}):
        net = random_flow(nets[0].flow, 0)
        net.card = card
        s = flow_images.measure_pictures(net, None, 4, nfes=(2,))
        assert isinstance(s.data, str) and CHOSEN in s.exact and s.momentum is not None  # judged without data


def test_a_sample_that_diverges_is_a_gap(nets, monkeypatch):
    true = flow_images.sampled

    def sampled(model, request, seeds):
        if request.sampler == "heun":
            raise Diverged("far away")
        return true(model, request, seeds)

    monkeypatch.setattr(flow_images, "sampled", sampled)
    s = flow_images.measure_pictures(nets[0], None, 4, nfes=(2,))
    assert math.isnan(s.exact["IDFF, exact flow, Heun"][0].value)
    assert math.isnan(s.data.mmd2["IDFF, exact flow, Heun"][0].value) and s.data.mmd2[IDFF][0].value > 0


def test_each_seed_has_its_class():
    net = random_flow(FlowConfig("idff", 0.2, data_std=0.5), 2, classes=3)
    seeds = range(FIRST, FIRST + 6)
    labels = torch.tensor([mix_seed(s, 8) % 3 for s in seeds])
    x = noise(seeds, (3, 16, 16))
    with torch.no_grad():
        made, plain = flow_images.network_of(net, seeds)(x, torch.tensor(0.5)).x1, net(x, 0.5).x1
        assert torch.equal(made, net(x, 0.5, labels).x1) and not torch.allclose(made, plain)
    request = FlowPicturesRequest(sampler="bridge", nfe=3)
    alone = flow_images.sampled(net, request, seeds[4:5])
    assert (flow_images.sampled(net, request, seeds)[4] - alone[0]).abs().max() < 0.01


def test_progress_rises_and_can_stop(nets):
    told = []
    flow_images.measure_pictures(nets[0], None, 4, lambda share, what: told.append((share, what)), (1, 2))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert any(tells(what, 2) for _, what in told)  # the number of calls that momentum is chosen at

    def stop(share, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flow_images.measure_pictures(nets[0], None, 4, stop, (1,))


def test_too_many_seeds_and_other_data(nets, monkeypatch):
    monkeypatch.setattr("foundation.data.datasets.PROCEDURAL_LENGTH", {"train": 10_000_000, "test": 100})
    with refuses("seeds", "46"):
        image_mmd.held_out(nets[0], 60)
    held = image_mmd.held_out(nets[0], 46)
    assert len(held.reference) == len(held.instead) == 46 and held.within < 1
    net = random_flow(nets[0].flow, 0)
    net.card = {"data": {"spec": "shapes", "fingerprint": "0" * 64}}
    assert not image_mmd.held_out(net, 4).same and held.same


def test_lpips_where_there_is_a_backbone(nets, monkeypatch, tmp_path):
    class Grey(PerceptualDistance):
        def __init__(self, *_, **__):
            torch.nn.Module.__init__(self)

        def features(self, y):
            return (y.mean(1),)

        def distance_from(self, x, features):
            return (x.mean(1) - features[0]).abs().mean(dim=(1, 2))

    monkeypatch.setattr(flow_images, "available", lambda net: True)
    monkeypatch.setattr(flow_images, "PerceptualDistance", Grey)
    s = flow_images.measure_pictures(nets[0], None, 4, nfes=(2,))
    seeds = range(FIRST, FIRST + 4)
    gap = flow_images.exact_flow(nets[0], seeds) - flow(nets[0], seeds, 2)
    assert s.measure == flow_images.LPIPS
    by_hand(s.exact[IDFF][0], gap.mean(1).abs().mean(dim=(1, 2)).tolist())


def test_companion(flows_folder):
    idff = load(flows_folder / "images-shapes.flow.safetensors")
    other = flow_images.companion_of(idff, "images-shapes", flows_folder)
    assert other.flow.path == "otcfm"
    assert flow_images.companion_of(idff, "images-cifar10", flows_folder) is None
    assert flow_images.companion_of(other, "images-shapes", flows_folder) is None
    classed = load(flows_folder / "images-cifar10.flow.safetensors")
    with refuses("net"):
        flow_images.companion_of(classed, "images-shapes", flows_folder)
