"""The objectives: what is drawn, what is asked for, and that it can be learned."""

from dataclasses import replace

import pytest
import torch

from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from foundation.training.loop import TrainingConfig, train
from koopman_core.edm import SIGMA_MIN
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from koopman_core.objective import StudentConfig, StudentTask, lambda1, one_call_mean, spread_at_the_end
from tests.koopman_core.teachers import teacher_with_trajectories
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)
NO_LPIPS = {"lambda2": 0.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return teacher_with_trajectories(tmp_path_factory.mktemp("trajectories"), 8)


def task(world, **config):
    teacher, data = world
    koopman = config.pop("koopman", None)
    return StudentTask(KoopmanDiffusion.from_teacher(teacher, koopman), data, None, StudentConfig(**NO_LPIPS, **config))


def draw(t, n=400, seed=0):
    x, sigma, delta, target, _, _ = t.draw(0, n, torch.Generator().manual_seed(seed))
    tau_t = t.model.tau(sigma)
    return x, sigma, tau_t, tau_t + delta.double(), target


def test_lambda1_falls_from_one_to_a_thousandth():
    assert [float(lambda1(torch.tensor(p))) for p in (0.0, 1 / 3, 1.0)] == pytest.approx([1, 0.1, 0.001])
    assert [float(lambda1(torch.tensor(p), 0.25)) for p in (0.0, 0.5, 1.0)] == pytest.approx([1, 0.5, 0.25])
    with refuses("lambda1_final", error=Mistake):
        StudentConfig(lambda1_final=0.0)


def test_published_aims_at_the_picture_from_every_time(world):
    t = task(world, objective="published")
    _, sigma, _, tau_s, target = draw(t)
    assert float(tau_s.abs().max()) < 1e-6
    assert 0.55 < float((sigma == 80).float().mean()) < 0.65  # a half, and a fifth of the other half
    finals = world[1].finals(range(24)).flatten(1)
    assert bool((target.flatten(1)[:, None] == finals).all(2).any(1).all())


def test_path_never_goes_back_in_time_and_meets_the_teacher(world):
    t = task(world, objective="path")
    x, sigma, tau_t, tau_s, target = draw(t)
    assert bool((tau_s <= tau_t + 1e-6).all())
    grid = t.model.tau(world[1].sigmas)
    assert float((tau_s[:, None] - grid).abs().min(1).values.max()) < 1e-6
    teacher = world[0]
    same = (tau_s - tau_t).abs() < 1e-6  # s = t: the target is what the teacher makes of x itself
    same &= tau_t > 1e-6  # at eps the target may be the final picture
    assert int(same.sum()) > 20
    with torch.no_grad():
        want = teacher(x[same], sigma[same])
    torch.testing.assert_close(target[same], want, rtol=1e-3, atol=1e-3)


def test_share_eps_one_is_the_published_objective(world):
    _, _, _, tau_s, target = draw(task(world, objective="path", share_eps=1.0))
    _, _, _, tau_p, published = draw(task(world, objective="published"))
    assert float(tau_s.abs().max()) < 1e-6 and float(tau_p.abs().max()) < 1e-6
    torch.testing.assert_close(target.mean(), published.mean(), rtol=0.5, atol=0.1)


def test_only_T(world):
    _, sigma, *_ = draw(task(world, objective="published", only_T=True))
    assert bool((sigma == 80).all())


def test_loss_is_its_formula(world):
    t = task(world, objective="published")
    x, sigma, delta, target, labels, share = t.draw(0, 6, torch.Generator().manual_seed(1))
    with torch.no_grad():
        parts = t(torch.tensor(0.5), x, sigma, delta, target, labels, share)
        want = sum(float((t.model(x[i : i + 1], float(sigma[i])) - target[i]).square().mean()) for i in range(6)) / 6
    assert float(parts["loss"]) == pytest.approx(10**-1.5 * want, rel=1e-4)


def test_lpips_of_a_share_of_the_samples(world):
    teacher, data = world
    seen = []

    def distance(x, y):  # stands for LPIPS
        seen.append(len(x))
        return (x - y).abs().flatten(1).mean(1)

    parts = {}
    for share, rows in {1.0: range(6), 0.5: (0, 2, 4), 0.01: (0,)}.items():
        model = KoopmanDiffusion.from_teacher(teacher)
        t = StudentTask(model, data, None, StudentConfig(objective="published", lambda2=0.0))
        t.perceptual, t.config = distance, StudentConfig(objective="published", lambda2=2.0, lpips_share=share)
        x, sigma, delta, target, labels, kept = t.draw(0, 6, torch.Generator().manual_seed(1))
        with torch.no_grad():
            parts[share] = t(torch.tensor(1.0), x, sigma, delta, target, labels, kept)
            out = model(x, sigma, labels)
        error = (out - target)[list(rows)].abs().mean()
        assert float(parts[share]["lpips"]) == pytest.approx(float(error), rel=1e-4)
        want = 1e-3 * float(parts[share]["mse"]) + 2 * float(parts[share]["lpips"])
        assert float(parts[share]["loss"]) == pytest.approx(want, rel=1e-5)
    assert seen == [6, 3, 1]
    with refuses("lpips_share", error=Mistake):
        StudentConfig(lpips_share=0.0)


def test_what_the_log_says_of_one_call_is_the_mean_over_samples_that_ask_for_it(world):
    t = task(world, objective="path", share_T=0.6, share_eps=0.6, nested_blurs=(2.0,), nested_share=0.3)
    t.perceptual, t.config = lambda x, y: (x - y).abs().flatten(1).mean(1), replace(t.config, lambda2=1.0)
    x, sigma, delta, target, labels, share = t.draw(0, 40, torch.Generator().manual_seed(1))
    asked = [i for i in range(40) if sigma[i] == 80 and delta[i] == -1 and share[i] == 1]
    assert 5 < len(asked) < 30
    with torch.no_grad():
        out = t.model(x[asked], 80.0, labels[asked])
        got = t(torch.tensor(0.5), x, sigma, delta, target, labels, share)
    assert float(got["lpips_one_call"]) == pytest.approx(float((out - target[asked]).abs().mean()), rel=1e-4)
    late = one_call_mean(torch.tensor([1.0, 3.0]), torch.ones(2), -torch.ones(2), torch.ones(2))
    assert float(late) == 2  # nothing asks for one call


def test_latent_consistency_is_its_formula(world):
    weights = (0.5, 2.0)
    t = task(world, objective="path", share_eps=0.4, latent_weights=weights)
    plain = task(world, objective="path", share_eps=0.4)
    x, sigma, delta, target, labels, share, at_s, sigma_s = t.draw(0, 40, torch.Generator().manual_seed(1))
    for a, b in zip((x, sigma, delta, target), plain.draw(0, 40, torch.Generator().manual_seed(1)), strict=False):
        assert torch.equal(a, b)  # the term draws nothing of its own
    for operator in t.model.operators:
        torch.nn.init.normal_(operator.a, std=0.3)
    tau_s = t.model.tau(sigma_s)
    torch.testing.assert_close(tau_s - t.model.tau(sigma), delta.double(), atol=1e-6, rtol=0)
    last = sigma_s < 0.0021  # at the end the state is the picture, or the last state of the grid
    assert bool(last.any()) and bool((~last).any())
    with torch.no_grad():
        plain.model.load_state_dict(t.model.state_dict())
        base = plain(torch.tensor(0.5), x, sigma, delta, target, labels, share)["loss"]
        got = t(torch.tensor(0.5), x, sigma, delta, target, labels, share, at_s, sigma_s)
        moved = t.model.evolve(t.model.encode(x, sigma, labels), t.model.tau(sigma), tau_s)
        wanted = t.model.encode(at_s, sigma_s, labels)
        by_side = {8: [], 4: []}
        for a, b in zip(moved, wanted, strict=True):
            by_side[a.shape[-1]].append(float((a - b).double().norm() ** 2 / b.double().norm() ** 2))
    want = sum(w * sum(e) / len(e) for w, e in zip(weights, (by_side[8], by_side[4]), strict=True))
    assert float(got["latent"]) == pytest.approx(want, rel=1e-4)
    assert float(got["loss"] - base) == pytest.approx(want, rel=1e-4)


def test_latent_consistency_over_the_variance_is_its_formula(world):
    t = task(world, objective="path", share_eps=0.4, latent_weights=(1.0, 0.0), latent_scale="variance")
    drawn = t.draw(0, 40, torch.Generator().manual_seed(1))
    x, sigma, _, _, labels, _, at_s, sigma_s = drawn
    with torch.no_grad():
        moved = t.model.evolve(t.model.encode(x, sigma, labels), t.model.tau(sigma), t.model.tau(sigma_s))
        wanted = t.model.encode(at_s, sigma_s, labels)
        got = t(torch.tensor(0.5), *drawn)["latent"]
    end = (sigma_s < 0.0021).numpy()
    errors = []
    for a, b in zip(moved, wanted, strict=True):
        if a.shape[-1] == 8:
            a, b = a.double().numpy(), b.double().numpy()
            errors.append(((a - b) ** 2).mean() / b[end].var(0).mean())
    assert 2 <= end.sum() < 40 and float(got) == pytest.approx(sum(errors) / len(errors), rel=1e-4)


@pytest.mark.parametrize("at_end", [(), (3,), (0, 1, 4)])
def test_an_offset_that_all_share_does_not_count_as_spread(at_end):
    z, sigma = torch.randn(5, 2, 3, 3, generator=torch.Generator().manual_seed(0)), torch.full((5,), 7.0)
    sigma[list(at_end)] = SIGMA_MIN
    want = (z[list(at_end)] if len(at_end) > 1 else z).double().numpy().var(0).mean()
    assert float(spread_at_the_end(z, sigma)) == pytest.approx(want, rel=1e-5)
    assert float(spread_at_the_end(z + 100, sigma)) == pytest.approx(want, rel=1e-3)


def test_latent_consistency_compares_with_the_teachers_state(world):
    """At s = t nothing is left of it, and the state at s is the one of which the target is the denoised one."""
    t = task(world, objective="path", share_eps=0.0, latent_weights=(1.0, 1.0))
    x, sigma, delta, target, labels, share, at_s, sigma_s = t.draw(0, 60, torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(world[0](at_s, sigma_s), target, rtol=1e-3, atol=1e-3)
        same = delta == 0
        assert int(same.sum()) > 3
        part = [v[same] for v in (x, sigma, delta, target, labels, share, at_s, sigma_s)]
        assert float(t(torch.tensor(0.0), *part)["latent"]) < 1e-9


def test_latent_weights_that_do_not_fit(world):
    with refuses("latent_weights", "8, 4 ", Mistake):
        task(world, objective="path", latent_weights=(1.0,))


@pytest.mark.parametrize("evolved,groups", [("all", 2), ("bottleneck", 2), ("none", 1)])
def test_operators_have_their_own_rate_unless_frozen(world, evolved, groups):
    t = task(world, koopman=KoopmanConfig(evolved=evolved), operator_lr=0.5)
    made = t.parameter_groups(1e-3)
    assert [g["lr"] for g in made] == [1e-3, 0.5][:groups]
    names = {id(p) for g in made for p in g["params"]}
    assert names == {id(p) for p in t.parameters() if p.requires_grad}


def test_training_lowers_the_loss_and_moves_the_spectrum(world, tmp_path):
    t = task(world, objective="path")
    config = TrainingConfig(
        images=640, batch=16, lr=3e-3, warmup=64, images_per_log=64, compile="off", precision="fp32"
    )
    result = train(t, config, tmp_path, identity={}, quiet=True)
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    losses = [float(r.split(",")[3]) for r in rows]  # mse: lambda1 falls by itself
    assert result.finished and losses[-1] < 0.7 * losses[0]
    assert max(float(e.alpha.abs().max()) for e in t.model.spectrum()) > 0.05


@pytest.mark.parametrize(
    "bad",
    [
        {"objective": "both"},
        {"share_T": 1.5},
        {"share_eps": -0.1},
        {"operator_lr": 0.0},
        {"lambda2": -1.0},
        {"latent_weights": (-1.0,)},
        {"latent_weights": (1.0,), "objective": "published"},
        {"latent_scale": "norm"},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError):
        StudentConfig(**bad)


def test_lpips_is_not_silently_dropped(world):
    with refuses("backbone", error=Mistake):
        StudentTask(KoopmanDiffusion(TINY), world[1], None, StudentConfig())
