"""Nested bands: ranks, masks and low-pass pictures against independent ones, and what a trained model's bands are."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from foundation.training.loop import TrainingConfig, train
from koopman_core.edm import SIGMA_MIN
from koopman_core.model import KoopmanDiffusion
from koopman_core.nested import RAMP, blur_at, keep_first, low_pass, rank_shares, start_ramp
from koopman_core.objective import StudentConfig, StudentTask
from tests.koopman_core.teachers import teacher_with_trajectories

BLURS = (3.0, 1.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return teacher_with_trajectories(tmp_path_factory.mktemp("trajectories"), 16)


def student_task(world, **config):
    teacher, data = world
    settings = {"lambda2": 0.0, "nested_blurs": BLURS, **config}
    return StudentTask(KoopmanDiffusion.from_teacher(teacher), data, None, StudentConfig(**settings))


def test_ranks_are_the_shares_of_smaller_alphas():
    alpha = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    values = alpha.numpy().ravel()
    counted = np.array([(values < v).sum() for v in values]) / len(values)
    np.testing.assert_allclose(rank_shares(alpha).numpy().ravel(), counted, atol=1e-6)
    ties = rank_shares(torch.zeros(2, 3, 3))
    assert sorted(ties.flatten().tolist()) == pytest.approx([i / 18 for i in range(18)])


def test_kept_modes_partition_and_both_channels_of_a_pair_go_together():
    generator = torch.Generator().manual_seed(1)
    z, alpha = torch.randn(2, 6, 4, 4, generator=generator), torch.randn(3, 4, 4, generator=generator)
    ranks = rank_shares(alpha)
    kept = keep_first(z, ranks, torch.tensor([1 / 3, 1.0]))
    assert torch.equal(kept[1], z[1])
    pairs = (kept[0] != 0).view(3, 2, 4, 4)
    assert torch.equal(pairs[:, 0], pairs[:, 1])
    assert int(pairs[:, 0].sum()) == 16  # a third of 48 modes
    assert alpha[pairs[:, 0]].max() < alpha[~pairs[:, 0]].min()
    assert torch.equal(kept[0][kept[0] != 0], z[0][kept[0] != 0])


@pytest.mark.parametrize("blur", [1.1, 1.5, 4.0])
def test_low_pass_is_a_gaussian_filter_that_mirrors_at_the_edges(blur):
    x = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(2))
    want = scipy.ndimage.gaussian_filter(x.double().numpy(), blur, mode="reflect", truncate=9, axes=(2, 3))
    # a sampled Gaussian differs from the continuous one by its aliases, which vanish with width
    got = low_pass(x, torch.full((2,), blur)).numpy()
    np.testing.assert_allclose(got, want, atol={1.1: 5e-3, 1.5: 1e-4, 4.0: 1e-5}[blur])


def test_low_pass_takes_a_width_a_picture_and_leaves_means_alone():
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    got = low_pass(x, torch.tensor([0.0, 2.0, 50.0]))
    torch.testing.assert_close(got[0], x[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(got[1], low_pass(x[1:2], torch.tensor([2.0]))[0])
    torch.testing.assert_close(got[2], x[2].mean().expand_as(got[2]), atol=1e-5, rtol=0)


def test_blur_goes_through_its_edges_and_falls():
    share = torch.linspace(1 / 3, 1, 101)
    blur = blur_at(share, BLURS)
    edges = blur_at(torch.tensor([1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0]), BLURS)
    torch.testing.assert_close(edges, torch.tensor([3.0, 3.0**0.5, 1.0, 0.5, 0.0]), atol=1e-5, rtol=1e-4)
    assert bool((blur.diff() < 0).all())
    torch.testing.assert_close(blur_at(torch.tensor([0.5, 1.0]), (2.0,)), torch.tensor([2.0, 0.0]))


@pytest.mark.parametrize("objective", ["path", "published"])
@pytest.mark.parametrize("continuous", [False, True])
def test_nested_samples_aim_at_the_low_passed_final_picture(world, objective, continuous):
    task = student_task(world, objective=objective, nested_continuous=continuous, nested_share=0.5)
    x, sigma, delta, target, _, share = task.draw(0, 60, torch.Generator().manual_seed(0))
    assert bool((share[30:] == 1).all()) and bool((share[:30] < 1).all()) and bool((share[:30] >= 1 / 3 - 1e-6).all())
    assert (len(share[:30].unique()) > 2) is continuous
    finals = world[1].finals(np.arange(24))
    for i in range(30):
        wanted = low_pass(finals, blur_at(share[i : i + 1], BLURS).expand(24))
        assert (wanted - target[i]).abs().amax((1, 2, 3)).min() < 1e-5
    torch.testing.assert_close(
        task.model.tau(sigma[:30]) + delta[:30].double(), torch.zeros(30).double(), atol=1e-6, rtol=0
    )
    assert x.shape == target.shape


def test_loss_of_a_nested_sample_sees_its_kept_modes_only(world):
    task = student_task(world, nested_share=1.0)
    drawn = task.draw(0, 4, torch.Generator().manual_seed(0))
    x, sigma, delta, target, labels, share = drawn
    model = task.model
    z = model.evolve(model.encode(x, sigma, labels), 0.0, delta)
    kept = []
    for latent, operator in zip(z, model.operators, strict=True):
        alpha = operator.alpha.detach().numpy()
        order = np.argsort(alpha, axis=None, kind="stable")
        masks = []
        for s in share.numpy():
            mask = np.zeros(alpha.size, bool)
            mask[order[: int(np.ceil(s * alpha.size - 1e-4))]] = True
            masks.append(mask.reshape(alpha.shape).repeat(2, axis=0))
        kept.append(latent * torch.from_numpy(np.stack(masks)))
    want = (model.decode(kept, labels) - target).square().mean()
    got = task(torch.tensor(0.5), *drawn)["mse"]
    torch.testing.assert_close(got, want)


def test_loss_of_a_swapped_sample_sees_the_low_pass_of_what_two_pictures_make(world):
    task = student_task(world, nested_share=0.75, nested_swapped=0.67)
    drawn = task.draw(0, 8, torch.Generator().manual_seed(0))
    x, sigma, delta, target, labels, share = drawn
    model = task.model
    z = model.evolve(model.encode(x, sigma, labels), 0.0, delta)
    mixed = []
    for latent, operator in zip(z, model.operators, strict=True):
        alpha = operator.alpha.detach().numpy()
        rank = np.argsort(np.argsort(alpha, axis=None, kind="stable"), kind="stable").reshape(alpha.shape) / alpha.size
        rows = []
        for i in range(8):  # six keep some bands, four of these have the rest of the next picture
            own = torch.from_numpy((rank < share[i].item() - 1e-6).repeat(2, axis=0))
            rest = latent[(i + 1) % 6] if i < 4 else torch.zeros_like(latent[i])
            rows.append(torch.where(own, latent[i], rest if i < 6 else latent[i]))
        mixed.append(torch.stack(rows))
    out = model.decode(mixed, labels).detach().double().numpy()
    for i in range(4):
        width = float(blur_at(share[i : i + 1], BLURS))
        out[i] = scipy.ndimage.gaussian_filter(out[i], width, mode="reflect", truncate=9, axes=(1, 2))
    got = float(task(torch.tensor(0.5), *drawn)["mse"].detach())
    # the filter samples its Gaussian, see above
    assert got == pytest.approx(np.square(out - target.double().numpy()).mean(), rel=2e-3)
    plain = student_task(world, nested_share=0.75)
    plain.load_state_dict(task.state_dict())
    assert abs(float(plain(torch.tensor(0.5), *drawn)["mse"].detach()) - got) > 1e-3


@pytest.mark.parametrize("late", [0.0, 0.5, 1.0])
def test_a_share_of_the_nested_samples_starts_at_any_time_and_the_others_as_before(world, late):
    task = student_task(world, nested_share=0.5, share_T=0.9, nested_late=late)
    _, sigma, delta, *_ = task.draw(0, 4000, torch.Generator().manual_seed(0))
    at_T = (sigma == sigma.max()).float()
    times = len(world[1].sigmas)
    asked = (1 - late) * (0.9 + 0.1 / times) + late / times  # a start that is drawn may be T as well
    assert float(at_T[:2000].mean()) == pytest.approx(asked, abs=0.03)
    assert float(at_T[2000:].mean()) == pytest.approx(0.9 + 0.1 / times, abs=0.03)
    tau = task.model.tau(sigma[:2000]) + delta[:2000].double()
    torch.testing.assert_close(tau, torch.zeros(2000).double(), atol=1e-6, rtol=0)  # to the picture from everywhere


def test_noised_pictures_are_final_pictures_with_their_noise_level(world):
    task = student_task(world, nested_share=0.25, share_noised=0.5, noised_max=0.1)
    x, sigma, delta, target, _, share = task.draw(0, 400, torch.Generator().manual_seed(0))
    rows = slice(100, 300)
    assert bool((share[rows] == 1).all())
    assert sigma[rows].min() >= SIGMA_MIN and sigma[rows].max() <= 0.1
    finals = world[1].finals(np.arange(24)).flatten(1)
    assert bool((target[rows].flatten(1)[:, None] == finals).all(2).any(1).all())
    noise = (x - target)[rows].flatten(1) / sigma[rows, None]
    assert float(noise.std()) == pytest.approx(1, abs=0.02) and abs(float(noise.mean())) < 0.02
    assert float(sigma[rows].log().std()) == pytest.approx(np.log(0.1 / SIGMA_MIN) / 12**0.5, rel=0.1)
    torch.testing.assert_close((task.model.tau(sigma) + delta)[rows], torch.zeros(200).double(), atol=1e-6, rtol=0)


def test_noised_pictures_with_exchanged_bands_aim_at_the_sum_of_both_pictures_bands(world):
    task = student_task(world, nested_share=0.25, share_noised=0.5, noised_max=0.1, noised_swapped=0.5)
    drawn = task.draw(0, 16, torch.Generator().manual_seed(0))
    x, sigma, delta, target, labels, share = drawn
    before = student_task(world, nested_share=0.25, share_noised=0.5, noised_max=0.1)
    plain = before.draw(0, 16, torch.Generator().manual_seed(0))
    for a, b in zip((x, sigma, delta), plain, strict=False):
        assert torch.equal(a, b)  # nothing else is drawn in another way
    # the first four keep some bands, the next four have the rest of the next of eight noised pictures
    assert set((3 * share[4:8]).round().tolist()) == {1, 2} and bool((share[8:] == 1).all())
    assert torch.equal(target[:4], plain[3][:4]) and torch.equal(target[8:], plain[3][8:])
    for i in range(4, 8):
        width = float(blur_at(share[i : i + 1], BLURS))
        mine, other = plain[3][i].double().numpy(), plain[3][i + 1].double().numpy()
        low = [scipy.ndimage.gaussian_filter(p, width, mode="reflect", truncate=9, axes=(1, 2)) for p in (mine, other)]
        np.testing.assert_allclose(target[i], low[0] + other - low[1], atol=2e-2)  # the filter samples its Gaussian
    model = task.model
    z = model.evolve(model.encode(x, sigma, labels), 0.0, delta)
    mixed = []
    for latent, operator in zip(z, model.operators, strict=True):
        kept = keep_first(latent, rank_shares(operator.alpha), share)
        whole = keep_first(latent.roll(-1, 0), rank_shares(operator.alpha), share)
        kept[4:8] += (latent.roll(-1, 0) - whole)[4:8]
        mixed.append(kept)
    want = (model.decode(mixed, labels) - target).square().mean()
    torch.testing.assert_close(task(torch.tensor(0.5), *drawn)["mse"], want)


def test_ramp_orders_channels_and_leaves_a_trained_operator_alone(world):
    model = KoopmanDiffusion.from_teacher(world[0])
    torch.nn.init.constant_(model.operators[0].a, 0.1)
    start_ramp(model)
    assert bool((model.operators[0].a == 0.1).all())
    alpha = model.operators[1].alpha.detach()
    assert float(alpha[0].max()) == pytest.approx(-RAMP, abs=1e-3) and bool((alpha.diff(dim=0) > 0).all())


def test_bands_of_training_are_the_bands_of_the_trained_average(world, tmp_path):
    """Ranks are taken anew at every step; the average that is shipped must agree with them at the edges, too."""
    task = student_task(world, objective="path", operator_lr=2e-2)
    settings = TrainingConfig(images=1600, batch=16, lr=1e-3, warmup=100, ema_halflife=100, compile="off", threads=1)
    result = train(task, settings, tmp_path, identity={"task": "nested"}, quiet=True)
    agree = []
    for i, operator in enumerate(task.model.operators):
        half = operator.a.shape[0] // 2
        last, average = rank_shares(operator.alpha), rank_shares(result.ema[f"model.operators.{i}.a"][:half])
        agree.append(((3 * last).long() == (3 * average).long()).float().mean())
        assert float(operator.alpha.std()) > 0.1  # the spectrum did move
    assert float(torch.stack(agree).min()) >= 0.95


def test_random_operator_is_frozen_and_the_same_every_time(world):
    one, two = (student_task(world, operator="random").model for _ in range(2))
    for a, b in zip(one.operators, two.operators, strict=True):
        assert not a.a.requires_grad and torch.equal(a.a, b.a) and 0.7 < float(a.a.std()) < 1.3
    assert all("operators" not in name for name in student_task(world, operator="random").trainable_state())


def test_operator_as_it_starts_is_a_ramp_that_is_held(world):
    task = student_task(world, operator="start")
    learned = student_task(world).model
    for a, b in zip(task.model.operators, learned.operators, strict=True):
        assert not a.a.requires_grad and torch.equal(a.a, b.a) and len(a.alpha.unique()) == len(a.alpha)
    assert all("operators" not in name for name in task.trainable_state())


def test_permuted_operator_keeps_its_pairs_and_is_frozen(world):
    teacher, data = world
    config = StudentConfig(lambda2=0.0, operator="permuted")
    model = KoopmanDiffusion.from_teacher(teacher)
    with pytest.raises(ValueError):  # nothing was learned yet
        StudentTask(model, data, None, config)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for operator in model.operators:
            operator.a.copy_(torch.randn(operator.a.shape, generator=generator))
    before = [operator.a.detach().clone() for operator in model.operators]
    task = StudentTask(model, data, None, config)
    for old, operator in zip(before, task.model.operators, strict=True):
        pairs, shuffled = (sorted(zip(*a.detach().reshape(2, -1).tolist(), strict=True)) for a in (old, operator.a))
        assert pairs == shuffled and not torch.equal(old, operator.a) and not operator.a.requires_grad


@pytest.mark.parametrize(
    "bad", [{"nested_blurs": (1.0, 2.0)}, {"nested_blurs": (0.0,)}, {"nested_share": 1.5}, {"share_noised": -0.1},
            {"noised_max": 0.001}, {"operator": "none"}, {"noised_swapped": 0.5},
            {"nested_blurs": (1.0,), "noised_swapped": 1.5}],
)  # fmt: skip
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValueError):
        StudentConfig(**bad)
