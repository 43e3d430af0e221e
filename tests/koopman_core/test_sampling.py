"""The same seed gives the same picture to the last bit, whatever is made with it and with how many threads."""

import threading

import pytest
import torch

import koopman_core
from foundation import noise
from foundation.networks.unet import UNetConfig
from koopman_core.model import KoopmanDiffusion
from koopman_core.sampling import in_groups, one_step

SEEDS = list(range(16))


@pytest.fixture(scope="module")
def shapes():
    return koopman_core.load("shapes")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def together(shapes):
    return one_step(shapes, SEEDS)


def test_they_are_the_models_pictures(shapes, together):
    with torch.no_grad():
        plain = shapes.one_step(noise(SEEDS, shapes.picture_shape))
    torch.testing.assert_close(together, plain, rtol=0, atol=1e-4)
    assert not together.requires_grad


@pytest.mark.parametrize("order", [SEEDS[::-1], [3, 3, 11], [7, 1, 15, 2, 9], *([s] for s in (0, 5, 15))], ids=str)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_company_order_and_threads_do_not_matter(shapes, together, threads, order, count):
    threads(count)
    assert torch.equal(one_step(shapes, order), together[order])
    assert torch.get_num_threads() == count


def test_a_new_thread_computes_the_same_and_keeps_its_threads(shapes, together, threads):
    threads(2)
    got = []
    thread = threading.Thread(target=lambda: got.append((one_step(shapes, [4, 2]), torch.get_num_threads())))
    thread.start()
    thread.join()
    assert torch.equal(got[0][0], together[[4, 2]]) and got[0][1] == 2


def test_classes_go_with_their_rows():
    config = UNetConfig(resolution=8, base=16, multipliers=(1,), blocks=1, attention=(), embedding=32, classes=3)
    torch.manual_seed(0)
    model = KoopmanDiffusion(config).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1)
    labels = torch.tensor([0, 1, 2, -1, 1])
    got = one_step(model, [1, 1, 1, 1, 1], labels)
    assert torch.equal(got[1], got[4]) and len({t.numpy().tobytes() for t in got}) == 4
    assert torch.equal(one_step(model, [1], labels[2:3])[0], got[2])


def test_every_row_once_in_groups_of_one_size():
    sizes = []

    def double(x, y):
        sizes.append(len(x))
        assert y is None and not torch.is_grad_enabled() and torch.get_num_threads() == 1
        return [2 * x, x + 1]

    x = torch.arange(7.0, requires_grad=True)
    twice, more = in_groups(double, x, None, group=3)
    assert sizes == [3, 3, 3] and torch.equal(twice, 2 * x.detach()) and torch.equal(more, x.detach() + 1)


def test_what_cannot_be_grouped_is_refused():
    for batches, group in (((torch.zeros(0),), 4), ((torch.zeros(2),), 0), ((torch.zeros(2), torch.zeros(3)), 4)):
        with pytest.raises(ValueError):
            in_groups(lambda *b: b[0], *batches, group=group)


def test_an_error_within_reaches_the_caller():
    def broken(x):
        raise FloatingPointError("inside")

    with pytest.raises(FloatingPointError, match="inside"):
        in_groups(broken, torch.zeros(3))
