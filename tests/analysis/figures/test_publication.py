"""Figures for a paper: what is drawn is what was measured, files are whole and the same each time."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from analysis.core.errors import UserError
from analysis.figures import publication
from analysis.figures.style import BAND_COLOURS
from analysis.flow.image_sweeps import PictureSweepResult
from analysis.flow.points import SweepResult
from analysis.koopman.editing import EditNumbers
from analysis.workbench.editing import EditResult
from analysis.workbench.probes import BandLabelsResult
from analysis.workbench.spectrum import SpectrumEntryResult, SpectrumResult
from tests.analysis.figures.test_effects import NAMES, TAU, effect

RNG = np.random.default_rng(0)


def level(index, name, shape=(4, 3, 5)):
    alpha, beta = RNG.normal(size=(2, shape[0] // 2, *shape[1:])).astype(np.float32)
    return SpectrumEntryResult(index, name, shape, alpha, beta, np.zeros(alpha.shape))


SPECTRUM = SpectrumResult(tuple(level(i, name) for i, name in enumerate(NAMES)), "karras")
LABELS = BandLabelsResult(
    np.array([0.0, 0.1, 0.2]), np.full((3, 3), 0.5), np.array([0.1, 0.2, 0.3]), np.array([0.08, 0.15, 0.2]),
    np.array([0.15, 0.22, 0.33]), np.ones(3), (0, 1, 2), (True, True),
)  # fmt: skip


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)


def edit(seed, ratios=(0.1, 0.5)):
    numbers = EditNumbers(0.1, 0.2, 0.3)
    strip = np.stack([picture(seed + i) for i in range(len(ratios))])
    pictures = (picture(seed + 10 * k) for k in range(1, 6))
    return EditResult(*pictures, strip, ratios, 2.5, numbers, numbers, 0.5)


def sweep():
    by_nfe = RNG.random((2, 3, 4))
    by_nfe[0, 1, 2] = np.nan
    none = np.zeros((0,))
    return SweepResult(np.array([1, 2, 5]), by_nfe, by_nfe[1] / 2, none, (), none, none, np.array([0.01, 0.03]), none)


FIGURES = {
    "spectrum": lambda width: publication.spectrum(SPECTRUM, width=width),
    "bands": lambda width: publication.bands(LABELS, width=width),
    "cumulative effect": lambda width: publication.cumulative_effect(effect(), width=width),
    "edit strips": lambda width: publication.edit_strips([edit(1), edit(2)], ["a", "b"], width=width),
    "nfe sweep": lambda width: publication.nfe_sweep(sweep(), ["A", "B"], width=width),
    "contact sheet": lambda width: publication.contact_sheet([[picture(1), None]], ["a", "b"], width=width),
}  # fmt: skip


@pytest.mark.parametrize("width", [publication.COLUMN_INCHES, publication.PAGE_INCHES])
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_the_width_of_a_column_or_a_page_and_is_a_file(name, width):
    figure = FIGURES[name](width)
    assert isinstance(figure, Figure) and figure.get_figwidth() == width
    with Image.open(io.BytesIO(publication.save(figure, "png"))) as image:
        assert image.width == pytest.approx(width * publication.DPI, abs=1)
        assert len(np.unique(np.asarray(image))) > 2


def test_files_are_vectors_with_text_and_the_same_each_time():
    pdf, svg = ([publication.save(FIGURES["bands"](3.3), kind) for _ in range(2)] for kind in ("pdf", "svg"))
    assert pdf[0] == pdf[1] and pdf[0].startswith(b"%PDF") and b"/Type3" not in pdf[0]
    assert svg[0] == svg[1] and b"<svg" in svg[0]
    with pytest.raises(UserError):
        publication.save(FIGURES["bands"](3.3), "bmp")


def test_no_figure_stays_open_and_no_setting_changes():
    import matplotlib

    before = dict(matplotlib.rcParams)
    for make in FIGURES.values():
        publication.save(make(3.3), "pdf")
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in vars(publication)


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_every_mode_is_drawn_twice_in_its_band():
    figure = publication.spectrum(SPECTRUM, [1])
    drawn = lines(figure.axes[0])
    entry = SPECTRUM.entries[1]
    ranked = np.argsort(entry.alpha.ravel(), kind="stable")
    for b, name in enumerate(("smallest α", "middle α", "largest α")):
        want = ranked[10 * b : 10 * b + 10]  # thirds of 30 modes
        x, y = drawn[name].get_data()
        assert sorted(x) == pytest.approx(sorted(np.tile(entry.alpha.ravel()[want], 2)))
        assert sorted(np.abs(y)) == pytest.approx(sorted(np.tile(np.abs(entry.beta.ravel()[want]), 2)))
        assert drawn[name].get_color() == BAND_COLOURS[b] and drawn[name].get_marker() == publication.MARKERS[b]
    for bad in ([], [4], [-1]):
        with pytest.raises(UserError):
            publication.spectrum(SPECTRUM, bad)


def test_bands_and_their_intervals():
    power, centroid = publication.bands(LABELS).axes
    assert [line.get_xdata().tolist() for line in power.get_lines()] == [[0.1, 0.2]] * 3  # no frequency 0 on a log axis
    ends = [np.ptp(bar.get_segments()[0][:, 0]) for bar in centroid.collections]
    assert ends == pytest.approx(LABELS.high - LABELS.low)


def test_shares_over_time_and_in_pictures():
    result = effect()
    bands, levels, decoded = publication.cumulative_effect(result).axes
    assert bands.get_xlim()[0] > bands.get_xlim()[1], "noise at the left"
    for axes, values in ((bands, result.bands), (levels, result.levels), (decoded, result.decoded_bands)):
        drawn = axes.get_lines()
        assert len(drawn) == len(values)
        for line, wanted in zip(drawn, values, strict=True):
            np.testing.assert_allclose(
                line.get_ydata(), np.maximum(wanted, publication.LOG_FLOOR if axes is decoded else 0)
            )
    low, high = (result.bands[0] + s * result.bands_sd[0] for s in (-1, 1))
    ribbon = bands.collections[0].get_paths()[0].vertices
    assert {*np.round(low, 9), *np.round(high, 9)} <= set(np.round(ribbon[:, 1], 9)) and len(bands.collections) == 3
    plain = publication.cumulative_effect(effect(spread=False, decoded=False))
    assert len(plain.axes) == 2 and not plain.axes[0].collections
    assert TAU.tolist() == bands.get_lines()[0].get_xdata().tolist()


def test_pictures_stand_where_they_are_named():
    figure = publication.edit_strips([edit(1), edit(2)], ["a", "b"])
    axes = np.array(figure.axes).reshape(2, -1)
    assert [a.get_title() for a in axes[0]] == ["original", "10%", "50%", "all modes", "reference"]
    assert [a.get_ylabel() for a in axes[:, 0]] == ["a", "b"]
    for row, seed in zip(axes, (1, 2), strict=True):
        r = edit(seed)
        for a, wanted in zip(row, [r.original, *r.strip, r.control, r.reference], strict=True):
            assert np.array_equal(a.get_images()[0].get_array(), wanted)
    for bad in (([], ()), ([edit(1), edit(2, (0.2, 0.5))], ()), ([edit(1)], ("a", "b"))):
        with pytest.raises(UserError):
            publication.edit_strips(*bad)
    with pytest.raises(UserError):
        publication.contact_sheet([[picture(1)]], ["a", "b"])
    empty = publication.contact_sheet([[picture(1), None]], ["a", "b"], caption="words " * 30).axes
    assert len(empty[0].get_images()) == 1 and not empty[1].get_images()


def test_a_sweep_has_students_intervals_and_gaps():
    result = sweep()
    axes = publication.nfe_sweep(result, ["A", "B"]).axes[0]
    drawn = lines(axes)
    mean = result.by_nfe.mean(2)
    np.testing.assert_allclose(drawn["B"].get_ydata(), mean[1])
    np.testing.assert_allclose(drawn["A"].get_ydata(), [mean[0, 0], np.nan, mean[0, 2]])
    np.testing.assert_allclose(drawn["closed form, Euler"].get_ydata(), mean[1] / 2)
    assert drawn["data"].get_ydata() == pytest.approx([0.02, 0.02])
    ends = [stats.t.interval(0.95, 3, loc=v.mean(), scale=stats.sem(v)) for v in result.by_nfe[1]]
    ribbon = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert all(np.isclose(ribbon, end, atol=1e-9).any() for pair in ends for end in pair)
    with pytest.raises(UserError):
        publication.nfe_sweep(result, ["A"])


def test_a_sweep_of_images_has_its_own_distance():
    distance = np.random.default_rng(3).random((1, 3, 5))
    axes = publication.nfe_sweep(PictureSweepResult(np.array([1, 2, 4]), distance, "PSNR"), ["A"]).axes[0]
    np.testing.assert_allclose(lines(axes)["A"].get_ydata(), distance[0].mean(1))
    assert "PSNR" in axes.get_ylabel() and "data" not in lines(axes)
