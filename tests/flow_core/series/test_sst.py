"""Sea temperatures: small files of both formats, what is wrong with them, season and climatology by hand."""

import sys

import numpy as np
import pytest

from flow_core.series import sst
from foundation.files.locations import DataError
from tests.refusals import refuses

RNG = np.random.default_rng(0)
MISSING = -9.96921e36


def maps(months=30, rows=4, columns=6):
    values = RNG.uniform(0, 30, (months, rows, columns)).astype(np.float32)
    values[:, 1, 2] = MISSING
    values[3, 0, 0] = np.nan
    days = (np.datetime64("2010-01") + np.arange(months)).astype("datetime64[D]") - np.datetime64("1800-01-01")
    return values, days.astype(float), 2.0 * np.arange(rows) - 3, 2.0 * np.arange(columns)  # south to north


def write_netcdf3(path, values, time, latitudes, longitudes, units="days since 1800-1-1 00:00:00"):
    from scipy.io import netcdf_file

    with netcdf_file(path, "w") as file:
        for name, axis in (("time", time), ("lat", latitudes), ("lon", longitudes)):
            file.createDimension(name, len(axis))
            file.createVariable(name, "d", (name,))[:] = axis
        file.variables["time"].units = units
        file.createVariable("sst", "f", ("time", "lat", "lon"))[:] = values
    return path


def write_netcdf4(path, values, time, latitudes, longitudes, units="days since 1800-01-01"):
    h5py = pytest.importorskip("h5py", reason="an optional extra")
    with h5py.File(path, "w") as file:
        for name, array in (("sst", values), ("time", time), ("lat", latitudes), ("lon", longitudes)):
            file[name] = array
        file["time"].attrs["units"] = np.bytes_(units)
    return path


@pytest.mark.parametrize("write", [write_netcdf3, write_netcdf4])
def test_field_comes_back(tmp_path, write):
    values, time, latitudes, longitudes = maps()
    field = sst.read_field(write(tmp_path / "a.nc", values, time, latitudes, longitudes))
    assert field.months[0] == np.datetime64("2010-01") and field.months[-1] == np.datetime64("2012-06")
    assert field.latitudes.tolist() == [3, 1, -1, -3] and field.longitudes.tolist() == longitudes.tolist()
    want = np.where(values < -100, np.nan, values)[:, ::-1]
    np.testing.assert_array_equal(field.values, want)
    assert field.values.dtype == np.float32
    mask = np.ones((4, 6), bool)
    mask[2, 2] = mask[3, 0] = False  # land, and a cell that lacks one month
    assert np.array_equal(field.mask, mask)


def test_damaged_fields_get_their_sentence(tmp_path, monkeypatch):
    values, time, latitudes, longitudes = maps()
    path = tmp_path / "a.nc"
    with refuses("file", error=DataError):
        sst.read_field(tmp_path / "none.nc")
    path.write_bytes(b"not a map")
    with refuses("file", error=DataError):
        sst.read_field(path)
    write_netcdf3(path, values, np.where(time > time[4], time + 31, time), latitudes, longitudes)
    with refuses("month", error=DataError):
        sst.read_field(path)
    write_netcdf3(path, values, time, latitudes, longitudes, units="hours since 1800-01-01")
    with refuses("units", "hours since", DataError):
        sst.read_field(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with refuses("h5py", error=DataError):
        sst.read_field(path)


def test_damaged_netcdf4_gets_its_sentence(tmp_path):
    pytest.importorskip("h5py", reason="an optional extra")
    path = tmp_path / "a.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with refuses("file", error=DataError):
        sst.read_field(path)


def test_where_the_field_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("KOOPMAN_DATA", str(tmp_path))
    asked = []
    monkeypatch.setattr(sst, "download", lambda *a: asked.append(a) or tmp_path / "cache.nc")
    assert sst.field_path() == tmp_path / "cache.nc"
    assert asked[0][1:3] == (sst.FIELD_URL, sst.FIELD_HASH) and "sst:PATH" in asked[0][3]
    (tmp_path / "sst").mkdir()
    (tmp_path / "sst" / sst.FIELD_FILE).write_bytes(b"")
    assert sst.field_path() == sst.field_path(tmp_path / "sst") == tmp_path / "sst" / sst.FIELD_FILE
    assert sst.field_path(tmp_path / "x.nc") == tmp_path / "x.nc"
    assert len(asked) == 1


def test_crop():
    latitudes, longitudes = np.arange(88.0, -90, -2), np.arange(0.0, 360, 2)
    values = latitudes[:, None] + 1000 * longitudes + np.zeros((2, 1, 1))
    field = sst.Field(values, latitudes, longitudes, np.array(["2010-01", "2010-02"], "datetime64[M]"))
    pacific = sst.crop(field, "pacific")
    assert pacific.values.shape == (2, 64, 64)
    assert np.array_equal(pacific.values[0], pacific.latitudes[:, None] + 1000 * pacific.longitudes)
    assert (pacific.latitudes[0], pacific.latitudes[-1], pacific.longitudes[0], pacific.longitudes[-1]) == (
        *(62, -64),
        *(140, 266),
    )
    assert sst.crop(field, "global").values.shape == (2, 64, 180)
    with refuses("region", "moon", DataError):
        sst.crop(field, "moon")
    with refuses("map", "pacific", DataError):
        sst.crop(sst.crop(field, "pacific"), "pacific") and sst.crop(
            sst.Field(values[:, :5], latitudes[:5], longitudes, field.months), "pacific"
        )


def write_site(folder, name, first, temps):
    days = np.datetime64(first) + np.arange(len(temps))
    lines = [f"{d},{t}" for d, t in zip(days, temps, strict=True)]
    (folder / f"sst_{name}.csv").write_text("\n".join(["t,temp", *lines]) + "\n", encoding="utf-8")


def test_sites_are_cut_to_common_days(tmp_path, monkeypatch):
    temps = RNG.uniform(10, 20, (3, 40))
    for name, first, row in zip(sst.SITES, ("2000-02-20", "2000-02-25", "2000-02-18"), temps, strict=True):
        write_site(tmp_path, name, first, row)
    sites = sst.read_sites(tmp_path)
    assert sites.names == sst.SITES
    assert sites.days[0] == np.datetime64("2000-02-25") and sites.days[-1] == np.datetime64("2000-03-28")
    np.testing.assert_allclose(sites.values, np.stack([temps[0, 5:38], temps[1, :33], temps[2, 7:]], 1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sst").symlink_to(tmp_path)
    monkeypatch.setenv("KOOPMAN_DATA", str(tmp_path / "data"))
    np.testing.assert_array_equal(sst.read_sites().values, sites.values)
    monkeypatch.delenv("KOOPMAN_DATA")
    with refuses("folder", "KOOPMAN_DATA", DataError):
        sst.read_sites()


@pytest.mark.parametrize(
    "text, field",
    [
        ("t,temp\n2000-01-01,12\n2000-01-03,12\n", "day"),
        ("t,temp\n2000-01-01,12\n2000-01-02,nan\n", "temp"),
        ("t,temp\n2000-01-01,12\n2000-01-02,300\n", "temp"),
        ("t,temp\n2000-01-01,12\n2000-01-02,\n", "file"),
        ("day,temp\n2000-01-01,12\n", "file"),
        ("t,temp\n", "day"),
        (None, "path"),
    ],
)
def test_damaged_sites_get_their_sentence(tmp_path, text, field):
    for name in sst.SITES[1:]:
        write_site(tmp_path, name, "2000-01-01", [10.0] * 9)
    if text is not None:
        (tmp_path / f"sst_{sst.SITES[0]}.csv").write_text(text)
    with refuses(field, error=DataError):
        sst.read_sites(tmp_path)


def test_sites_without_common_days(tmp_path):
    for name, first in zip(sst.SITES, ("2000-01-01", "2001-01-01", "2000-01-01"), strict=True):
        write_site(tmp_path, name, first, [10.0] * 9)
    with refuses("days", error=DataError):
        sst.read_sites(tmp_path)


def test_season():
    days = np.array(["2001-01-01", "2001-12-31", "2004-07-02"], "datetime64[D]")
    want = np.array([0.5 / 365, 364.5 / 365, 183.5 / 366]) * 2 * np.pi
    np.testing.assert_allclose(sst.season(days), want)
    months = np.array(["2001-01", "2001-12"], "datetime64[M]")
    np.testing.assert_allclose(sst.season(months), np.array([0.5, 11.5]) / 12 * 2 * np.pi)


def test_monthly_climatology_uses_training_months_only():
    months = np.datetime64("2010-03") + np.arange(40)
    values = RNG.normal(size=(40, 2, 3))
    train = np.arange(40) < 26
    got = sst.monthly_climatology(values, months, train)
    for t in range(40):
        same = [s for s in range(26) if (s - t) % 12 == 0]
        np.testing.assert_allclose(got[t], values[same].mean(0))
    values[26:] += 100
    np.testing.assert_array_equal(sst.monthly_climatology(values, months, train), got)
    with refuses("month", " 1;", DataError):
        sst.monthly_climatology(values, months, np.arange(40) < 5)


def test_harmonic_climatology_finds_the_waves():
    days = np.datetime64("1990-01-01") + np.arange(3000)
    angle = sst.season(days)
    wave = np.stack([15 + 4 * np.cos(angle - 1) + np.sin(3 * angle), -2 * np.sin(2 * angle)], 1)
    train = np.arange(3000) < 2000
    noisy = wave + np.where(train, RNG.normal(0, 0.5, 3000), 50)[:, None]  # after training anything may be
    got = sst.harmonic_climatology(noisy, days, train)
    np.testing.assert_allclose(got, wave, atol=0.15)
    np.testing.assert_allclose(sst.harmonic_climatology(wave, days, train), wave, atol=1e-9)
