"""Sea-surface temperature: NOAA ERSST v5 monthly fields and OISST daily series at three sites, as anomalies.

A climatology is fitted on the training years alone, and everything after is the anomaly against it. Files:
sst.mnmean.nc (field) and sst_WA.csv, sst_NW_Atl.csv, sst_Med.csv (columns t, temp), below sst/ of the folder that
KOOPMAN_DATA names or in a folder given by path; the field is otherwise downloaded once. None of it ships.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foundation.files.locations import DataError, download, provided

FIELD_FILE = "sst.mnmean.nc"
FIELD_URL = (
    "https://raw.githubusercontent.com/xarray-contrib/xarray-tutorial/"
    "54df4e2fc01e51905210793f7aa01df0d87be86b/data/sst.mnmean.nc"
)
FIELD_HASH = "sha256:eade01e2085d841f2ff94fa6886b08a65c5018f576b066c57880726006f28ba6"
SITES = ("WA", "NW_Atl", "Med")  # off Western Australia, north-western Atlantic, north-western Mediterranean
# rows from north to south and columns from west to east, cell centres in degrees: (north, south), (west, east)
SEA_REGIONS = {"pacific": ((62.0, -64.0), (140.0, 266.0)), "global": ((62.0, -64.0), (0.0, 358.0))}
COLDEST, HOTTEST = -5.0, 50.0  # of sea water, degrees Celsius; what lies outside is a code for "no data"
HARMONICS = 3  # of the year in the daily climatology
FIELD_LICENCE = (
    "NOAA Extended Reconstructed SST v5 (Huang et al., J. Climate 30 (2017) 8179), NOAA NCEI and PSL: no constraints "
    "on access or use."
)
SITES_LICENCE = (
    "NOAA OISST v2.1 (Huang et al., J. Climate 34 (2021) 2923), public; series at three sites after heatwaveR (MIT)."
)


@dataclass(frozen=True)
class Field:
    """Monthly maps.

    Attributes:
        values: float32 (months, rows, columns), degrees Celsius, NaN where there is no water.
        latitudes: (rows,) degrees north, from north to south.
        longitudes: (columns,) degrees east, from 0.
        months: datetime64[M] (months,), without a gap.
    """

    values: np.ndarray
    latitudes: np.ndarray
    longitudes: np.ndarray
    months: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Bool (rows, columns), True where every month has a value."""
        return np.isfinite(self.values).all(0)


def field_path(path: str | Path | None = None) -> Path:
    """The file of the fields: the one given (or in the folder given), below KOOPMAN_DATA, or downloaded and checked."""
    if path:
        path = Path(path).expanduser()
        return path / FIELD_FILE if path.is_dir() else path
    cure = f"Fetch {FIELD_FILE} in another way and give its path, sst:PATH, or put it into sst/ below KOOPMAN_DATA."
    return provided(f"sst/{FIELD_FILE}") or download("sst", FIELD_URL, FIELD_HASH, cure)


def read_field(path: Path) -> Field:
    """Monthly fields from a NetCDF file with variables sst (time, lat, lon), time, lat and lon.

    NetCDF-4 is read with h5py (an optional extra), NetCDF-3 with SciPy.

    Raises:
        DataError: missing or damaged file, h5py missing, other variables, or months that do not follow each other.
    """
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        raw, units = _read_hdf5(path) if magic == b"\x89HDF" else _read_netcdf3(path)
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} cannot be read as monthly sea temperatures ({error}); copy it again.", "file"
        ) from error
    values, times, latitudes, longitudes = raw
    if values.ndim != 3 or values.shape != (len(times), len(latitudes), len(longitudes)) or len(times) < 2:
        raise DataError(
            f"{path} does not hold sst (time, lat, lon) with its axes; give the ERSST v5 monthly file.", "sst"
        )
    words = units.split()
    if words[:2] != ["days", "since"] or not np.isfinite(times).all():
        raise DataError(f"{path} counts time in {units!r}; give a file in 'days since ...'.", "units")
    year, month, day = (int(part) for part in words[2].split("-"))
    origin = np.datetime64(f"{year:04}-{month:02}-{day:02}")
    months = (origin + times.astype(np.int64)).astype("datetime64[M]")
    if (np.diff(months) != np.timedelta64(1, "M")).any():
        raise DataError(f"{path} skips or repeats a month; give the complete ERSST v5 monthly file.", "month")
    water = (values >= COLDEST) & (values <= HOTTEST)  # False for NaN too
    rows, columns = np.argsort(-latitudes), np.argsort(longitudes)
    values = np.where(water, values, np.nan).astype(np.float32)[:, rows][:, :, columns]
    return Field(values, latitudes[rows], longitudes[columns], months)


def _read_hdf5(path: Path) -> tuple[tuple[np.ndarray, ...], str]:
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"Reading {path.name} (NetCDF-4) needs h5py, which is not installed: pip install h5py.", "h5py"
        ) from error
    with h5py.File(path, "r") as file:
        units = file["time"].attrs["units"]
        arrays = tuple(np.asarray(file[name][()], np.float64) for name in ("sst", "time", "lat", "lon"))
        return arrays, units.decode() if isinstance(units, bytes) else str(units)


def _read_netcdf3(path: Path) -> tuple[tuple[np.ndarray, ...], str]:
    from scipy.io import netcdf_file  # only here: it takes a while to import

    with netcdf_file(path, "r", mmap=False) as file:
        arrays = tuple(np.array(file.variables[name][:], np.float64) for name in ("sst", "time", "lat", "lon"))
        return arrays, file.variables["time"].units.decode()


def crop(field: Field, region: str) -> Field:
    """The part of the map that `SEA_REGIONS` names; the pacific one has 64 x 64 cells at 2 degrees.

    Raises:
        DataError: unknown region, or the map does not reach it.
    """
    if region not in SEA_REGIONS:
        raise DataError(f"Unknown region {region!r}; use {' or '.join(SEA_REGIONS)}.", "region")
    (north, south), (west, east) = SEA_REGIONS[region]
    rows = (field.latitudes <= north) & (field.latitudes >= south)
    columns = (field.longitudes >= west) & (field.longitudes <= east)
    if not rows.any() or not columns.any():
        raise DataError(f"The map does not reach the region {region!r}; give the global ERSST v5 file.", "map")
    values = field.values[:, rows][:, :, columns]
    return Field(values, field.latitudes[rows], field.longitudes[columns], field.months)


@dataclass(frozen=True)
class Sites:
    """Daily series.

    Attributes:
        values: float64 (days, sites), degrees Celsius.
        days: datetime64[D] (days,), without a gap.
        names: of the sites.
    """

    values: np.ndarray
    days: np.ndarray
    names: tuple[str, ...]


def read_sites(folder: str | Path | None = None) -> Sites:
    """The daily series of the three sites over the days that all have.

    Args:
        folder: that holds sst_WA.csv, sst_NW_Atl.csv and sst_Med.csv; without it sst/ below KOOPMAN_DATA.

    Raises:
        DataError: no folder, a missing or damaged file, or a gap.
    """
    folder = Path(folder).expanduser() if folder else provided("sst")
    if folder is None:
        raise DataError(
            "The daily series are not at hand: give their folder, sst_sites:PATH, or set KOOPMAN_DATA.", "folder"
        )
    series = [_read_site(folder / f"sst_{name}.csv") for name in SITES]
    first, last = max(days[0] for days, _ in series), min(days[-1] for days, _ in series)
    if last <= first:
        raise DataError(f"The series in {folder} have no days in common; take the files of one version.", "days")
    values = [v[(days >= first) & (days <= last)] for days, v in series]
    return Sites(np.stack(values, 1), np.arange(first, last + 1), SITES)


def _read_site(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [(r["t"], float(r["temp"])) for r in csv.DictReader(file)]
        days = np.array([t for t, _ in rows], "datetime64[D]")
        values = np.array([v for _, v in rows], np.float64)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; give the folder with the three sst_*.csv files.", "path") from error
    except (OSError, KeyError, ValueError, TypeError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path} cannot be read ({error}); it needs columns t (YYYY-MM-DD) and temp.", "file"
        ) from error
    if len(days) < 2 or (np.diff(days) != np.timedelta64(1, "D")).any():
        raise DataError(f"{path} skips or repeats a day; copy it again.", "day")
    if not ((values >= COLDEST) & (values <= HOTTEST)).all():  # NaN is outside
        raise DataError(f"{path} has a temperature that sea water cannot have; copy it again.", "temp")
    return days, values


# -----------------------------------------------------------------------------------------------------------
# Season and climatology


def season(times: np.ndarray) -> np.ndarray:
    """Angle of the year at the middle of each day or month, radians in (0, 2 pi), for datetime64[D] or [M]."""
    years = times.astype("datetime64[Y]")
    unit = np.datetime_data(times.dtype)[0]
    length = ((years + 1).astype(f"datetime64[{unit}]") - years.astype(times.dtype)).astype(np.float64)
    return ((times - years.astype(times.dtype)).astype(np.float64) + 0.5) / length * (2 * np.pi)


def monthly_climatology(values: np.ndarray, months: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Mean of each calendar month over the training months, laid out along the series.

    Args:
        values: (T, ...).
        months: datetime64[M] (T,).
        train: bool (T,), every calendar month at least once.

    Returns:
        (T, ...), to be subtracted.
    """
    of_year = months.astype(np.int64) % 12
    missing = set(range(12)) - set(of_year[train].tolist())
    if missing:
        raise DataError(f"The training years have no month {min(missing) + 1}; give more of them.", "month")
    table = np.stack([values[train & (of_year == m)].mean(0, dtype=np.float64) for m in range(12)])
    return table[of_year]


def harmonic_climatology(
    values: np.ndarray, days: np.ndarray, train: np.ndarray, harmonics: int = HARMONICS
) -> np.ndarray:
    """Least-squares mean and yearly harmonics fitted on the training days, laid out along the series: as (T, S).

    Smooth, unlike the mean of each calendar day, whose noise at 34 years is a sixth of the weather's.
    """
    angle = season(days)
    waves = [f(k * angle) for k in range(1, harmonics + 1) for f in (np.cos, np.sin)]
    design = np.stack([np.ones_like(angle), *waves], 1)
    weights, *_ = np.linalg.lstsq(design[train], values[train], rcond=None)
    return design @ weights
