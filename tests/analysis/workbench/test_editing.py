"""The Workbench's edits: right answers, no needless encoding, sentences for nonsense; and what restoring shares."""

import numpy as np
import pytest
import torch

from analysis.core.errors import UserError
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.pictures import to_bytes
from foundation.procedural import shapes
from tests.refusals import refuses

pytestmark = pytest.mark.usefixtures("no_backbone")

ALL = {"edges": (1 / 3, 2 / 3), "bands": (0, 1, 2)}


@pytest.fixture(scope="module")
def bench(models):
    plain = ModelLibrary(models).get("shapes")
    return Workbench(plain.model, plain.teacher, "shapes")


@pytest.fixture(scope="module")
def many(models):
    return Workbench(ModelLibrary(models).get("many").model, None, "many")


def scene(number=3):
    return shapes.images([number], 16)[0]


def hole():
    mask = np.zeros((16, 16), bool)
    mask[5:12, 3:10] = True
    return mask


def as_picture(x):
    return to_bytes(x)[0].permute(1, 2, 0).numpy()


def test_ratio_0_is_the_original_and_everything_at_1_is_the_reference(bench):
    own, other = (bench.generate(GenerateRequest((s,))).pictures[0].astype(int) for s in (1, 2))
    for encoding in ("noise", "ode", "latent"):
        r = bench.edit(EditRequest(1, reference_seed=2, encoding=encoding, ratio=0.0))
        assert np.array_equal(r.edited, r.original) and np.array_equal(r.control, r.original)
        assert np.abs(r.original - own).max() <= 1 and np.abs(r.reference - other).max() <= 1
        assert r.numbers.outside == 0 and r.numbers.low_distance == 0
        r = bench.edit(EditRequest(1, reference_seed=2, encoding=encoding, ratio=1.0, region="whole", **ALL))
        assert np.array_equal(r.edited, r.encoded) and np.array_equal(r.control, r.encoded) and r.share == 1
        assert r.numbers == r.numbers_control and r.numbers.outside is None
        if encoding == "latent":
            assert np.abs(r.edited - other).max() <= 1


def test_the_edit_time_moves_every_encoding_but_the_latent_one(bench):
    def edited(encoding, tau):
        return bench.edit(EditRequest(1, encoding=encoding, tau=tau, ratio=0.8)).edited

    assert np.array_equal(edited("latent", 0.2), edited("latent", 0.9))
    assert not np.array_equal(edited("noise", 0.2), edited("noise", 0.9))
    assert not np.array_equal(edited("ode", 0.2), edited("ode", 0.9))


def test_all_bands_are_the_control_and_fewer_are_not(bench):
    r = bench.edit(EditRequest(1, ratio=0.6, region="lower-half", **ALL))
    assert np.array_equal(r.edited, r.control) and r.numbers == r.numbers_control
    r = bench.edit(EditRequest(1, ratio=0.6, region="lower-half", bands=(0,)))
    assert not np.array_equal(r.edited, r.control) and 0.1 < r.share < 0.25


def test_the_strip_is_the_edit_at_its_ratios(bench):
    r = bench.edit(EditRequest(4, bands=(0, 1)))
    assert r.strip_ratios == (0.1, 0.2, 0.5, 0.8, 0.9) and r.strip.shape == (5, 16, 16, 3)
    for ratio, shown in zip(r.strip_ratios, r.strip, strict=True):
        one = bench.edit(EditRequest(4, bands=(0, 1), ratio=ratio))
        assert np.abs(one.edited.astype(int) - shown).max() <= 1 and np.array_equal(one.strip, r.strip)


def test_a_noise_reference_by_hand(bench):
    request = EditRequest(
        1, reference="picture", picture=scene(), noise_seed=7, tau=0.4, ratio=1.0, region="whole", **ALL
    )
    model = bench.model
    with torch.no_grad():
        x = torch.from_numpy(scene().transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
        sigma = (0.6 * 0.002 ** (1 / 7) + 0.4 * 80 ** (1 / 7)) ** 7
        z = model.evolve(model.encode(x + sigma * noise([7], (3, 16, 16)), sigma), 0.4, 0.0)
        expected = as_picture(model.decode(z))
    r = bench.edit(request)
    assert r.sigma == pytest.approx(sigma) and np.array_equal(r.reference, scene())
    assert np.abs(r.edited.astype(int) - expected).max() <= 1
    same = bench.edit(
        EditRequest(1, reference="scene", reference_seed=3, noise_seed=7, tau=0.4, ratio=1.0, region="whole", **ALL)
    )
    assert np.array_equal(same.edited, r.edited)


def test_sliders_do_not_encode(bench):
    bench.edit(EditRequest(11, reference_seed=12))
    before = bench.encodes
    painted = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    for changed in ({"ratio": 0.1}, {"bands": (0,)}, {"edges": (0.5,), "bands": (1,)}, {"region": "whole"},
                    {"region": "painted", "mask": painted}, {"order": "abs"}):  # fmt: skip
        bench.edit(EditRequest(11, reference_seed=12, **changed))
    assert bench.encodes == before
    bench.edit(EditRequest(11, reference_seed=12, tau=0.7))
    assert bench.encodes == before + 1
    bench.edit(EditRequest(11, reference_seed=12, tau=0.7, encoding="latent"))
    assert bench.encodes == before + 1


def test_a_painted_region_equals_the_one_it_draws(bench):
    painted = np.zeros((16, 16), np.uint8)
    painted[8:] = 255
    a = bench.edit(EditRequest(1, ratio=0.9, region="painted", mask=painted))
    b = bench.edit(EditRequest(1, ratio=0.9, region="lower-half"))
    assert np.array_equal(a.edited, b.edited) and a.numbers == b.numbers


def test_ode_progress_can_cancel_and_nothing_is_kept(bench):
    def stop(share, picture):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.edit(EditRequest(1, reference_seed=31, encoding="ode"), stop)
    seen = []
    bench.edit(
        EditRequest(1, reference_seed=31, encoding="ode"), lambda share, picture: seen.append((share, picture.shape))
    )
    assert seen[0][0] == 0 and seen[-1] == (1, (16, 16, 3))


def test_repeats_are_bit_equal(bench, models):
    fresh = Workbench(ModelLibrary(models).get("shapes").model, bench.teacher)
    for ask, request in (
        ("edit", EditRequest(5, ratio=0.3, encoding="ode")),
        ("inpaint", InpaintRequest(scene(), hole(), steps=3)),
        ("colorize", ColorizeRequest(scene(), steps=3)),
    ):
        a, b = getattr(bench, ask)(request), getattr(fresh, ask)(request)
        assert np.array_equal(getattr(a, "edited", None), getattr(b, "edited", None))
        assert np.array_equal(getattr(a, "picture", None), getattr(b, "picture", None))


def test_classes(many):
    edits = [
        many.edit(EditRequest(1, label=label, reference_label=other)).edited
        for label, other in ((0, -1), (1, -1), (0, 2))
    ]
    assert len({e.tobytes() for e in edits}) == 3
    fills = [many.inpaint(InpaintRequest(scene(), hole(), label=label, steps=2)).picture for label in (-1, 2)]
    assert not np.array_equal(*fills)
    for ask in (
        lambda: many.edit(EditRequest(1, label=3)),
        lambda: many.edit(EditRequest(1, reference_label=3)),
        lambda: many.inpaint(InpaintRequest(scene(), hole(), label=3)),
        lambda: many.colorize(ColorizeRequest(scene(), label="a")),
    ):
        with pytest.raises(UserError, check=lambda e: e.field in ("label", "reference_label")):
            ask()


def test_what_a_model_cannot_do(bench, many):
    with refuses("encoding"):
        many.edit(EditRequest(1, encoding="ode"))
    large = shapes.images([0], 32)[0]
    for ask, request in (
        (bench.edit, EditRequest(1, reference="picture", picture=large)),
        (bench.inpaint, InpaintRequest(large, np.ones((32, 32)))),
        (bench.colorize, ColorizeRequest(large)),
    ):
        with refuses("picture", "16 x 16"):
            ask(request)
