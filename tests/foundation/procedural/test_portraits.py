"""The procedural portraits: always the same, factors that hold, and changes that can be seen."""

import hashlib

import numpy as np
import pytest

from foundation.procedural import factor_changes, portrait_factors, portraits
from foundation.procedural.colours import oklab

N = 160
GROUPS = list(portraits.FACTOR_GROUPS)
GOLDEN_HAIR = [3, 3, 4, 4, 3, 0, 4, 7, 3, 6, 7, 0]
GOLDEN_GLASSES = [0, 0, 1, 0, 0, 3, 0, 0, 0, 0, 0, 1]
GOLDEN_MEAN = [143.55, 136.27, 134.986]
GOLDEN_RECORDS = "069c16eb20681c19"


@pytest.fixture(scope="module")
def people():
    return portraits.factors(range(N))


@pytest.fixture(scope="module")
def pictures(people):
    return portraits.render(people)


def low_pass(pictures, block=8):
    """Means over blocks of pixels, float (N, 64 / block, 64 / block, 3)."""
    n, side = pictures.shape[:2]
    return pictures.reshape(n, side // block, block, side // block, block, 3).mean((2, 4), dtype=np.float64)


def test_picture_is_the_same_alone_in_a_batch_and_in_any_order(people, pictures):
    order = np.random.default_rng(0).permutation(N)
    assert np.array_equal(portraits.images(order), pictures[order])
    for i in range(0, N, 17):
        assert portraits.factors([i]).tobytes() == people[i : i + 1].tobytes()
        assert np.array_equal(portraits.images([i])[0], pictures[i])


def test_pictures_stay_what_they_were(people, pictures):
    """A changed generator needs a new RECIPE: fingerprints and models are made from the old pictures."""
    assert portraits.RECIPE == "portraits-1"
    assert people["hair"][:12].tolist() == GOLDEN_HAIR
    assert people["glasses"][:12].tolist() == GOLDEN_GLASSES
    np.testing.assert_allclose(pictures[:64].mean((0, 1, 2)), GOLDEN_MEAN, atol=0.05)


def test_records_and_their_changes_are_the_same_on_every_processor():
    """To the last bit, since a change is keyed by all bits of a record. Computed with and without AVX2 and AVX-512."""
    digest, records = hashlib.sha256(), portraits.factors(range(512))
    for group in (None, *portraits.FACTOR_GROUPS):
        digest.update((records if group is None else portraits.vary(records, group, 1)).tobytes())
    assert digest.hexdigest()[:16] == GOLDEN_RECORDS


def test_seeds_and_far_indices_give_other_pictures(pictures):
    assert not np.array_equal(portraits.images(range(8), seed=1), pictures[:8])
    far = portraits.images([2**62 - 1, 2**40])
    assert len(np.unique(np.concatenate([far, pictures]).reshape(N + 2, -1), axis=0)) == N + 2


def test_kinds_have_their_shares_and_numbers_their_ranges():
    f = portraits.factors(range(10_000))
    for name, shares in portrait_factors.SHARES.items():
        # standard deviations are at most 0.005
        np.testing.assert_allclose(np.bincount(f[name], minlength=len(shares)) / 1e4, shares, atol=0.02, err_msg=name)
    for name, (low, high) in portrait_factors.RANGES.items():
        span = high - low
        assert low <= f[name].min() < low + 0.01 * span and high - 0.01 * span < f[name].max() <= high, name
    assert (f["open"] == 0).mean() == pytest.approx(0.5, abs=0.02)
    for name in ("background_a", "background_b", "shirt", "hat_colour"):
        assert f[name].min() >= 0 and f[name].max() <= 1


def test_no_factor_goes_with_another():
    f = portraits.factors(range(20_000))
    columns = [f[name].astype(np.float64) for name in f.dtype.names if f.dtype[name].subdtype is None]
    skin_and_ground = np.concatenate([np.stack(columns), f["background_a"].T.astype(np.float64)])
    table = np.corrcoef(skin_and_ground)
    mixed = table[: len(columns), :] - np.eye(len(columns), len(table))
    assert np.abs(mixed).max() < 0.035  # the correlation of n independent pairs has the standard deviation 0.007


def test_every_field_belongs_to_one_group():
    fields = [name for names in portraits.FACTOR_GROUPS.values() for name in names]
    assert sorted(fields) == sorted(portraits.FACTOR_DTYPE.names)


def test_shirt_stands_out_from_the_background():
    f = portraits.factors(range(3000))
    for end in ("background_a", "background_b"):
        assert np.quantile(np.linalg.norm(oklab(f["shirt"]) - oklab(f[end]), axis=1), 0.02) > 0.13


@pytest.mark.parametrize("group", GROUPS)
def test_vary_changes_the_group_only_and_the_picture(people, pictures, group):
    changed = portraits.vary(people, group, seed=3)
    held = [name for name in people.dtype.names if name not in portraits.FACTOR_GROUPS[group]]
    for name in held:
        assert np.array_equal(changed[name], people[name]), name
    assert all(
        any(not np.array_equal(changed[name][i], people[name][i]) for name in portraits.FACTOR_GROUPS[group])
        for i in range(N)
    )
    again = portraits.vary(people[5:6], group, seed=3)
    assert again.tobytes() == changed[5:6].tobytes()
    moved = np.abs(portraits.render(changed).astype(int) - pictures).max((1, 2, 3))
    hidden = hidden_changes(people, changed, group)
    assert (moved[~hidden] >= 5).mean() > 0.98


def hidden_changes(people, changed, group):
    """Where a change cannot be seen: nothing to colour or comb, or two hats of one colour."""
    bald = (people["hair"] == 0) & (people["beard"] == 0)
    if group == "hair texture":
        return bald | (people["hat"] > 0)
    return np.zeros(len(people), bool)


@pytest.mark.parametrize("group", list(portrait_factors.LEAST_CHANGES))
def test_vary_makes_at_least_the_smallest_change(people, group):
    name, step = portrait_factors.LEAST_CHANGES[group]
    change = np.abs(portraits.vary(people, group, seed=1)[name] - people[name])
    assert change.min() >= step - 1e-6
    low, high = portrait_factors.RANGES[name]
    assert change.max() <= high - low


@pytest.mark.parametrize("group", ["background", "shirt"])
def test_vary_changes_colours_visibly(people, group):
    changed = portraits.vary(people, group, seed=1)
    name = portraits.FACTOR_GROUPS[group][0]
    assert np.linalg.norm(oklab(changed[name]) - oklab(people[name]), axis=1).min() >= factor_changes.COLOUR_STEP - 1e-5


def test_coarse_groups_move_the_low_passed_picture_and_fine_ones_the_rest(people, pictures):
    """Ground truth for bands: share of a change that is left after means over 8 x 8 pixels."""

    def coarse_share(group):
        change = portraits.render(portraits.vary(people, group, seed=2)).astype(float) - pictures
        return (low_pass(change) ** 2).mean() / (change**2).mean()

    share = {group: coarse_share(group) for group in GROUPS}
    coarse = [share[g] for g in ("background", "skin", "shirt", "hair colour")]
    fine = [share[g] for g in ("freckles", "glasses", "brows", "pattern", "hair texture", "eyes")]
    assert min(coarse) > 2 * max(fine), share


def test_interpolation_goes_from_one_face_to_the_other(people):
    a, b = people[:40], people[40:80]
    assert portraits.interpolate(a, b, 0.0).tobytes() == a.tobytes()
    end = portraits.interpolate(a, b, 1.0)
    middle = portraits.interpolate(a, b, 0.5)
    for name in people.dtype.names:
        if name != "gradient":
            np.testing.assert_allclose(end[name], b[name], rtol=1e-6)
        if people[name].dtype == np.float32 and name != "gradient":
            np.testing.assert_allclose(middle[name], (a[name].astype(float) + b[name]) / 2, atol=1e-6)
    turn = np.angle(np.exp(1j * (middle["gradient"].astype(float) - a["gradient"])))
    whole = np.angle(np.exp(1j * (b["gradient"].astype(float) - a["gradient"])))
    np.testing.assert_allclose(turn, whole / 2, atol=1e-5)
    with pytest.raises(ValueError):
        portraits.interpolate(a, b[:3], 0.5)
    with pytest.raises(ValueError):
        portraits.interpolate(a, b, 1.5)


def test_sizes_agree_and_bad_requests_are_refused(people, pictures):
    double = portraits.render(people[:24], 128).astype(float)
    shrunk = double.reshape(24, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(shrunk - pictures[:24]).mean() < 1.5  # anti-aliasing of one size against the mean of another
    assert portraits.images([]).shape == (0, 64, 64, 3)
    for size in (4, 2000):
        with pytest.raises(ValueError):
            portraits.render(people[:1], size)
    with pytest.raises(ValueError):
        portraits.render(np.zeros(3))
    with pytest.raises(ValueError):
        portraits.vary(people, "ears", 0)
    for bad in ([-1], [2**62], [0.5], 3):
        with pytest.raises(ValueError):
            portraits.factors(bad)


def test_mirrored_people_are_mirrored(people):
    """The painter has no side of its own: left and right, turned about, give the mirrored picture."""
    f = people[np.isin(people["hair"], [0, 1, 3, 4, 5, 7]) & (people["strands"] == 0) & (people["pattern"] < 2)][:20]
    m = f.copy()
    for name in ("x", "yaw", "roll", "gaze", "light"):
        m[name] = -f[name]
    m["gradient"] = (np.pi - f["gradient"]) % np.float32(2 * np.pi)
    a, b = portraits.render(f).astype(int), portraits.render(m)[:, :, ::-1].astype(int)
    glint = np.abs(a - b).max(3) > 3  # the light in the eyes, freckles and ribs of a beanie have a side
    assert glint.mean() < 0.02


def test_data_set_gives_hair_styles_as_classes():
    from foundation.data.datasets import open_dataset

    data = open_dataset("portraits", size=64)
    x, labels = data.batch(range(16))
    assert data.classes == portrait_factors.HAIR_STYLES
    assert np.array_equal(labels.numpy(), portraits.factors(range(16))["hair"])
    assert x.shape == (16, 3, 64, 64)
    assert not np.array_equal(open_dataset("portraits", 64, "test").pictures(range(2)), data.pictures(range(2)))
