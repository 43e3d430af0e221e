"""Ways to linear latents: each formula against an independent computation, and gradients that arrive."""

import pytest
import torch

from foundation.mistakes import Mistake
from koopman_core import load, save
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from koopman_core.objective import StudentConfig, StudentTask, encoder_rate, rate_error
from koopman_core.operator import ChannelMixing, evolve_pairs, pair_rate, sigma_of_tau, sigma_rate, tau_of_sigma
from tests.koopman_core.teachers import teacher_with_trajectories
from tests.refusals import refuses


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return teacher_with_trajectories(tmp_path_factory.mktemp("trajectories"), 8)


def task(world, koopman=None, seed=0, **config):
    teacher, data = world
    torch.manual_seed(seed)
    model = KoopmanDiffusion.from_teacher(teacher, koopman)
    for p in [*model.operators.parameters(), *model.mixings.parameters()]:
        torch.nn.init.normal_(p, std=0.3)
    return StudentTask(model, data, None, StudentConfig(lambda2=0.0, **config))


@pytest.mark.parametrize("warp", ["karras", "log", "sigma"])
def test_the_pace_of_sigma(warp):
    sigma = torch.tensor([0.01, 0.7, 30.0], dtype=torch.float64)
    tau, h = tau_of_sigma(sigma, warp), 1e-6
    slope = (sigma_of_tau(tau + h, warp) - sigma_of_tau(tau - h, warp)) / (2 * h)
    torch.testing.assert_close(sigma_rate(sigma, warp), slope, rtol=1e-4, atol=0)


def test_the_rate_of_a_pair_is_that_of_its_evolution():
    g = torch.Generator().manual_seed(0)
    z, alpha, beta = torch.randn(2, 6, 2, 3, generator=g), *torch.randn(2, 3, 2, 3, generator=g)
    blocks = torch.stack([torch.stack([alpha, beta]), torch.stack([-beta, alpha])])  # A, [[a, b], [-b, a]]
    want = torch.einsum("uvkhw,nkvhw->nkuhw", blocks, z.view(2, 3, 2, 2, 3)).reshape(z.shape)
    torch.testing.assert_close(pair_rate(z, alpha, beta), want)
    h = 1e-3
    slope = (evolve_pairs(z, alpha, beta, h) - evolve_pairs(z, alpha, beta, -h)) / (2 * h)
    torch.testing.assert_close(pair_rate(z, alpha, beta), slope, rtol=1e-2, atol=1e-3)


def test_the_encoders_rate_along_the_teachers_velocity(world):
    model = task(world).model.eval()
    g = torch.Generator().manual_seed(1)
    x, denoised = torch.randn(2, 3, 3, 8, 8, generator=g)
    sigma = torch.tensor([0.3, 2.0, 20.0])
    z, rate = encoder_rate(model, x, sigma, denoised)
    tau, h = model.tau(sigma), 2e-3

    def at(shift):
        s = sigma_of_tau(tau + shift).float()
        moved = x + (x - denoised) / sigma[:, None, None, None] * (s - sigma)[:, None, None, None]
        return model.encode(moved, s)

    for a, b, r, own in zip(at(h), at(-h), rate, z, strict=True):
        slope = (a - b) / (2 * h)
        assert float((r - slope).norm() / slope.norm()) < 2e-2 and r.shape == own.shape


@pytest.mark.parametrize("scale", ["energy", "variance"])
def test_the_infinitesimal_law_is_its_formula(world, scale):
    t = task(world, objective="path", rate_weight=0.5, latent_scale=scale)
    drawn = t.draw(0, 6, torch.Generator().manual_seed(3))
    x, sigma, _, _, _, _, denoised = drawn
    teacher = world[0]
    with torch.no_grad():
        z, rate = encoder_rate(t.model, x, sigma, denoised)
        errors = []
        for latent, r, o in zip(z, rate, t.model.operators, strict=True):
            size = latent.square().mean() if scale == "energy" else latent.var(0, correction=0).mean()
            errors.append((r - pair_rate(latent, o.alpha, o.beta)).square().mean() / size)
    parts = t(torch.tensor(0.0), *drawn)
    assert float(parts["rate"].detach()) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-4)
    assert float(parts["loss"]) == pytest.approx(float(parts["mse"] + 0.5 * parts["rate"]), rel=1e-5)
    parts["rate"].backward()
    assert all(float(o.a.grad.abs().max()) > 0 for o in t.model.operators)
    assert float(next(t.model.net.parameters()).grad.abs().max()) > 0
    at_T = sigma == SIGMA_MAX  # the teacher's own denoised states
    with torch.no_grad():
        own = teacher(x[at_T], torch.tensor(SIGMA_MAX), None)
    torch.testing.assert_close(denoised[at_T], own, atol=5e-3, rtol=0)  # stored in half precision


def test_the_infinitesimal_law_is_trained_where_bf16_is_fast(world):
    t = task(world, objective="path", rate_weight=0.5)
    drawn = t.draw(0, 6, torch.Generator().manual_seed(3))
    with torch.autocast("cpu", torch.bfloat16):
        parts = t(torch.tensor(0.0), *drawn)
    want = float(t(torch.tensor(0.0), *drawn)["rate"])
    assert float(parts["rate"]) == pytest.approx(want, rel=0.1)
    parts["loss"].backward()
    assert not t.compilable and task(world, objective="path").compilable


def test_noised_pictures_move_towards_their_picture(world):
    t = task(world, objective="path", rate_weight=0.5, share_noised=0.5)
    x, sigma, _, target, _, _, denoised = t.draw(0, 8, torch.Generator().manual_seed(3))
    assert torch.equal(denoised[:4], target[:4]) and bool((sigma[:4] <= 0.3).all())
    assert bool(rate_error(t.model, x, sigma, denoised, None, "energy") > 0)


def test_consistency_from_several_times_is_its_formula(world):
    t = task(world, objective="path", latent_weights=(0.3, 0.7), latent_starts=3)
    drawn = t.draw(0, 5, torch.Generator().manual_seed(4))
    x, sigma, delta, _, _, _, at_s, sigma_s, *starts = drawn
    assert len(starts) == 6
    levels = sorted({h for _, h, _ in t.model.config.skip_shapes()}, reverse=True)
    sides = [h for _, h, _ in t.model.config.skip_shapes()]
    total = 0.0
    with torch.no_grad():
        wanted = t.model.encode(at_s, sigma_s)
        for x_k, sigma_k, delta_k in ((x, sigma, delta), starts[:3], starts[3:]):
            tau_s = t.model.tau(sigma_k) + delta_k
            torch.testing.assert_close(tau_s, t.model.tau(sigma) + delta, atol=1e-6, rtol=0)  # one end for all
            assert bool((sigma_k >= sigma_s - 1e-4).all())
            z = t.model.encode(x_k, sigma_k)
            for a, b, h, o in zip(z, wanted, sides, t.model.operators, strict=True):
                weight = (0.3, 0.7)[levels.index(h)] / sides.count(h)
                moved = torch.stack([evolve_pairs(a[i : i + 1], o.alpha, o.beta, delta_k[i])[0] for i in range(5)])
                total += weight * float((moved - b).square().mean() / b.square().mean()) / 3
        assert float(t(torch.tensor(0.0), *drawn)["latent"]) == pytest.approx(total, rel=1e-4)


def test_mixing_is_orthogonal_and_moves_the_generator(world, tmp_path):
    g = torch.Generator().manual_seed(0)
    mix = ChannelMixing(6)
    z = torch.randn(2, 6, 3, 3, generator=g)
    assert torch.equal(mix(z), z)
    torch.nn.init.normal_(mix.s)
    q = torch.linalg.matrix_exp((mix.s - mix.s.T).double()).detach()
    torch.testing.assert_close(q @ q.T, torch.eye(6).double())
    torch.testing.assert_close(mix(z).double(), torch.einsum("dc,bchw->bdhw", q, z.double()), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mix(mix(z), back=True), z, atol=1e-5, rtol=1e-4)

    plain, mixed = (task(world, KoopmanConfig(mixing=m)).model.eval() for m in (False, True))
    assert plain.koopman.to_dict() == KoopmanConfig().to_dict() and "mixing" not in plain.koopman.to_dict()
    for operator, other in zip(plain.operators, mixed.operators, strict=True):
        operator.a.data.copy_(other.a.data)
    x = SIGMA_MAX * torch.randn(2, 3, 8, 8, generator=g)
    with torch.no_grad():
        straight, around = plain.encode(x, SIGMA_MAX), mixed.encode(x, SIGMA_MAX)
        q = mixed.mixings[0].matrix
        torch.testing.assert_close(around[0], torch.einsum("dc,bchw->bdhw", q, straight[0]), atol=1e-4, rtol=1e-4)
        # exp(-Q^T A Q) on the plain latents of one position, by the matrix exponential
        a = torch.zeros(len(q), len(q))
        o = mixed.operators[0]
        for k in range(len(q) // 2):
            alpha, beta = o.alpha[k, 1, 2], o.beta[k, 1, 2]
            a[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = torch.tensor([[alpha, beta], [-beta, alpha]])
        moved = torch.linalg.matrix_exp(-(q.T @ a @ q)) @ straight[0][0, :, 1, 2]
        back = mixed.mixings[0](mixed.evolve(around, 1.0, 0.0)[0], back=True)[0, :, 1, 2]
        torch.testing.assert_close(back, moved, atol=1e-4, rtol=1e-3)
        save(mixed, tmp_path / "m.safetensors", dtype=torch.float32)
        again = load(tmp_path / "m.safetensors").eval()
        assert again.koopman.mixing and torch.equal(again.one_step(x / SIGMA_MAX), mixed.one_step(x / SIGMA_MAX))


def test_mixing_is_trained(world):
    t = task(world, KoopmanConfig(mixing=True), objective="path", latent_weights=(1.0, 1.0))
    t(torch.tensor(0.0), *t.draw(0, 4, torch.Generator().manual_seed(0)))["latent"].backward()
    assert all(float(m.s.grad.abs().max()) > 0 for m in t.model.mixings)
    trained = {id(p) for group in t.parameter_groups(1e-3) for p in group["params"]}
    assert all(id(p) in trained for p in t.model.parameters())


@pytest.mark.parametrize(
    "config", [{"latent_starts": 0}, {"latent_starts": 2}, {"rate_weight": -1.0}, {"rate_weight": float("nan")}]
)
def test_options_that_do_not_fit(config):
    with refuses(next(iter(config)), error=Mistake):
        StudentConfig(**config)
