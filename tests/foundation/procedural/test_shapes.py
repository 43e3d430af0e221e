"""The procedural pictures: always the same, clear to look at, with factors that hold."""

import hashlib

import numpy as np
import pytest

from foundation.mistakes import Mistake
from foundation.procedural import shapes
from foundation.procedural.colours import oklab
from tests.refusals import refuses

N = 400
GOLDEN_KINDS = [0, 0, 3, 0, 3, 2, 0, 4, 4, 0, 3, 4]
GOLDEN_TEXTURES = [3, 3, 3, 3, 0, 3, 0, 0, 0, 3, 1, 2]
GOLDEN_MEAN = [135.769, 132.81, 130.77]
GOLDEN_RECORDS = "b4ea83ab08b093cb"


@pytest.fixture(scope="module")
def known():
    return shapes.factors(range(N))


@pytest.fixture(scope="module")
def pictures(known):
    return shapes.render(known)


def one(**fields):
    """A record with a grey background and a red object in the middle, and what is asked."""
    record = np.zeros(1, shapes.FACTOR_DTYPE)
    record["background_a"] = record["background_b"] = 0.5
    record["colour"] = (1, 0, 0)
    record["x"] = record["y"] = 0.5
    record["size"] = 0.6
    for name, value in fields.items():
        record[name] = value
    return record


def test_picture_is_the_same_alone_in_a_batch_and_in_any_order(known, pictures):
    order = np.random.default_rng(0).permutation(N)
    assert np.array_equal(shapes.images(order), pictures[order])
    for i in range(0, N, 7):
        assert shapes.factors([i]).tobytes() == known[i : i + 1].tobytes()
        assert np.array_equal(shapes.images([i])[0], pictures[i])


def test_pictures_stay_what_they_were():
    """A changed generator needs a new RECIPE: fingerprints and models are made from the old pictures."""
    assert shapes.RECIPE == "shapes-1"
    kinds, textures = (shapes.factors(range(12))[name].tolist() for name in ("kind", "texture"))
    assert kinds == GOLDEN_KINDS
    assert textures == GOLDEN_TEXTURES
    np.testing.assert_allclose(shapes.images(range(64)).mean((0, 1, 2)), GOLDEN_MEAN, atol=0.02)


def test_records_and_their_changes_are_the_same_on_every_processor():
    """To the last bit, since a change is keyed by all bits of a record. Computed with and without AVX2 and AVX-512."""
    digest, records = hashlib.sha256(), shapes.factors(range(512))
    for group in (None, *shapes.FACTOR_GROUPS):
        digest.update((records if group is None else shapes.vary(records, group, 1)).tobytes())
    assert digest.hexdigest()[:16] == GOLDEN_RECORDS


def test_seeds_and_far_indices_give_other_pictures(pictures):
    assert not np.array_equal(shapes.images(range(8), seed=1), pictures[:8])
    far = shapes.images([2**62 - 1, 2**62 - 2, 2**40])
    assert len(np.unique(np.concatenate([far, pictures]).reshape(N + 3, -1), axis=0)) == N + 3


def test_adjacent_indices_are_unrelated():
    f = shapes.factors(range(20_000))
    for name in ("gradient", "x", "y", "size", "turn", "stripe_direction", "stripe_phase"):
        # The correlation of n independent pairs has the standard deviation 1 / sqrt(n) = 0.007.
        assert abs(np.corrcoef(f[name][:-1], f[name][1:])[0, 1]) < 0.035, name
    columns = np.stack([f[name] for name in ("x", "y", "size", "turn", "stripe_phase", "kind", "texture")])
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.035


@pytest.mark.parametrize(
    ("bad", "field"),
    [([-1], "index"), ([2**62], "index"), ([0.5], "indices"), (3, "indices"), ([[1, 2]], "indices")],
)
def test_bad_indices_are_refused(bad, field):
    with refuses(field, error=Mistake):
        shapes.factors(bad)


def test_no_pictures_is_not_an_error():
    assert shapes.images([]).shape == (0, 32, 32, 3)
    assert len(shapes.vary(shapes.factors([]), "colour", 0)) == 0


def test_kinds_and_textures_have_their_shares():
    f = shapes.factors(range(10_000))
    # Standard deviations are at most 0.005.
    np.testing.assert_allclose(np.bincount(f["kind"]) / 1e4, [0.2] * 5, atol=0.02)
    np.testing.assert_allclose(np.bincount(f["texture"]) / 1e4, [0.4, 0.2, 0.2, 0.2], atol=0.02)


def test_factors_stay_in_their_ranges():
    f = shapes.factors(range(10_000))
    assert set(f.dtype.names) == {name for group in shapes.FACTOR_GROUPS.values() for name in group}
    for name in ("background_a", "background_b", "colour"):
        assert f[name].min() >= 0 and f[name].max() <= 1
    for name, top in (("gradient", 2 * np.pi), ("turn", np.pi / 2), ("stripe_direction", np.pi)):
        assert 0 <= f[name].min() < 0.01 * top and 0.99 * top < f[name].max() < top


def test_object_stands_out_from_its_background():
    bright, dark = shapes.contrast(shapes.factors(range(5000))).T
    assert bright.min() >= 0.2
    assert dark.min() >= 0.09 and (dark >= 0.15).mean() > 0.9


def test_contrast_is_the_distance_to_the_nearest_point_of_the_gradient():
    record = one(background_a=(0, 0, 0), background_b=(1, 1, 1), colour=(0.5, 0.5, 0.5))
    assert shapes.contrast(record)[0, 0] < 1e-5  # the middle of the gradient is the object's very colour


def test_oklab_reproduces_published_values():
    # White, and the primaries of sRGB as given with CSS Color 4.
    expected = {
        (1, 1, 1): (1, 0, 0),
        (1, 0, 0): (0.62796, 0.22486, 0.12585),
        (0, 0, 1): (0.45201, -0.03246, -0.31153),
    }
    for rgb, lab in expected.items():
        np.testing.assert_allclose(oklab(np.array(rgb)), lab, atol=2e-4)


@pytest.mark.parametrize("kind", range(5))
def test_object_lies_inside_and_is_not_small(kind):
    f = shapes.factors(range(1000))
    f["kind"] = kind
    inside = shapes.coverage(f)
    fine = shapes.coverage(f[:300], 64)  # half a pixel of 32 is free on each side: a whole one of 64
    assert fine[:, [0, -1]].max() == 0 and fine[:, :, [0, -1]].max() == 0
    for axis in (1, 2):
        span = (inside.max(axis) > 0.5).sum(1)
        assert span.min() >= 9 and span.max() <= 21


@pytest.mark.parametrize("turn", [0, 0.3, 1.2])
@pytest.mark.parametrize(
    "kind, area",  # in units of the squared radius of the circle around the object
    [
        ("disc", np.pi * 0.88**2),
        ("square", 2),
        ("triangle", 0.75 * 3**0.5),
        ("ring", np.pi * (0.97**2 - 0.49**2)),
        ("cross", 4 * 0.34 * (2 * 0.94 - 0.34)),
    ],
)
def test_covered_area_is_the_area_of_the_figure(kind, area, turn):
    """Anti-aliasing is right if the coverages add up to the area, at odd places and at any turn."""
    record = one(kind=shapes.SHAPE_KINDS.index(kind), turn=turn, x=0.487, y=0.521)
    for size, tolerance in ((16, 0.02), (32, 0.01), (128, 0.003)):
        got = shapes.coverage(record, size).sum() / size**2 / 0.3**2
        assert got == pytest.approx(area, rel=tolerance)


def test_edges_are_softened_and_supersampling_converges():
    record = one(kind=2, turn=0.4)
    fine = shapes.coverage(record, 32, 16)[0]
    assert ((fine > 0.05) & (fine < 0.95)).sum() > 20
    error = [np.abs(shapes.coverage(record, 32, s)[0] - fine).max() for s in (1, 2, 4)]
    assert error[0] > 2 * error[1] > 4 * error[2] and error[2] < 0.02
    # A large picture averaged over blocks is the same as the small one.
    blocks = shapes.render(record, 128).reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(blocks - shapes.render(record)[0]).max() < 8


@pytest.mark.parametrize("texture", [1, 2, 3])
def test_stripes_have_their_period(texture):
    record = one(kind=1, size=20 / 32, texture=texture, stripe_direction=0)
    row = shapes.render(record, 512)[0, 256, 160:352, 0].astype(float)  # 12 px of 32, inside the square
    wave = np.fft.rfft(row - row.mean(), 2**16)
    period = 2**16 / np.abs(wave).argmax() / 512
    assert period == pytest.approx(shapes.STRIPE_PERIODS[texture - 1], rel=0.06)
    assert np.ptp(shapes.render(record)[0, 16, 11:21, 0].astype(float)) > 90  # plain to see at 32 pixels


def test_stripes_are_on_the_object_only():
    plain, striped = (shapes.render(one(kind=0, texture=t, stripe_direction=0.5)) for t in (0, 1))
    outside = shapes.coverage(one(kind=0))[0] == 0
    assert np.array_equal(plain[0][outside], striped[0][outside])
    assert not np.array_equal(plain, striped)


def test_background_runs_from_one_colour_to_the_other():
    record = one(background_a=(0, 0, 0), background_b=(1, 1, 1), gradient=0)
    row = shapes.render(record)[0, 0, :, 0].astype(int)
    assert row[0] <= 4 and row[-1] >= 251 and (np.diff(row) > 0).all()
    down = shapes.render(one(background_a=(0, 0, 0), background_b=(1, 1, 1), gradient=np.pi / 2))
    assert np.array_equal(down[0, :, 0, 0], row)


def test_object_is_where_its_factors_say(known):
    f = known.copy()
    f["kind"] = 0
    inside = shapes.coverage(f).astype(float)
    centres = (np.arange(32) + 0.5) / 32
    for name, axis in (("x", 1), ("y", 2)):
        found = (inside.sum(axis) * centres).sum(1) / inside.sum((1, 2))
        np.testing.assert_allclose(found, f[name], atol=0.1 / 32)


@pytest.mark.parametrize("group", shapes.FACTOR_GROUPS)
def test_vary_changes_the_asked_group_only(known, group):
    changed = shapes.vary(known, group, seed=5)
    for name, fields in shapes.FACTOR_GROUPS.items():
        for field in fields:
            same = (changed[field] == known[field]).reshape(N, -1).all(1)
            assert not same.any() if name == group else same.all(), (name, field)


def test_vary_makes_a_change_that_can_be_seen(known, pictures):
    def change(group):
        new = shapes.vary(known, group, seed=2)
        seen = np.abs(shapes.render(new).astype(int) - pictures).max((1, 2, 3))
        return new, seen

    for group in shapes.FACTOR_GROUPS:
        new, seen = change(group)
        if group == "turn":
            round_ = np.isin(known["kind"], [0, 3])
            assert (seen[round_] == 0).all()
            seen = seen[~round_]
            step = np.abs(new["turn"] - known["turn"])
            assert np.minimum(step, np.pi / 2 - step).min() > np.pi / 12 - 1e-5
        assert seen.min() >= 30, group
    place = change("place")[0]
    assert np.hypot(place["x"] - known["x"], place["y"] - known["y"]).min() >= 4.4 / 32
    size = change("size")[0]["size"]
    assert np.abs(size - known["size"]).min() >= 2.1 / 32
    assert known["size"].min() - 0.01 < size.min() and size.max() < known["size"].max() + 0.01
    for group in ("colour", "background"):
        new = change(group)[0]
        assert shapes.contrast(new)[:, 0].min() > 0.15
        for field in shapes.FACTOR_GROUPS[group][:2]:
            step = np.linalg.norm(oklab(new[field]) - oklab(known[field]), axis=1)
            assert step.min() >= 0.149


def test_vary_does_not_depend_on_the_batch_but_on_the_seed(known):
    for group in shapes.FACTOR_GROUPS:
        whole = shapes.vary(known, group, 3)
        for i in range(0, N, 41):
            assert shapes.vary(known[i : i + 1], group, 3).tobytes() == whole[i : i + 1].tobytes()
        assert shapes.vary(known, group, 4).tobytes() != whole.tobytes()


def test_vary_reaches_every_kind_and_texture(known):
    for group, count in (("kind", 5), ("texture", 4)):
        pairs = {
            tuple(p) for s in range(3) for p in zip(known[group], shapes.vary(known, group, s)[group], strict=True)
        }
        assert len(pairs) == count * (count - 1)


def test_bad_requests_are_refused(known):
    with refuses("group", "background, kind", Mistake):
        shapes.vary(known, "shape", 0)
    with refuses("factors", error=Mistake):
        shapes.render(np.zeros(3))
    for options in ({"size": 4}, {"size": 5000}, {"supersample": 0}, {"supersample": 99}):
        with refuses(next(iter(options)), error=Mistake):
            shapes.render(known[:1], **options)


def test_other_sizes(known):
    for size in (8, 33, 64):
        assert shapes.render(known[:5], size).shape == (5, size, size, 3)
