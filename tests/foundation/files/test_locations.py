"""Where files are looked for; nothing is fetched here."""

import pooch
import pytest

from foundation.files.locations import ASSETS, DataError, download, provided


def test_provided_files_and_folders(tmp_path, monkeypatch):
    (tmp_path / "sst").mkdir()
    (tmp_path / "sst" / "a.nc").write_bytes(b"x")
    monkeypatch.setenv("KOOPMAN_DATA", str(tmp_path))
    assert provided("sst") == tmp_path / "sst"
    assert provided("sst/a.nc") == tmp_path / "sst" / "a.nc"
    assert provided("sst/b.nc") is None
    monkeypatch.delenv("KOOPMAN_DATA")
    assert provided("sst") is None


def test_assets_are_those_of_the_repository():
    assert (ASSETS / "style.css").is_file()


def test_failed_download_tells_the_cure(monkeypatch):
    asked = []

    def refuse(url, known_hash, fname, path):
        asked.append((url, known_hash, fname, path.name))
        raise ValueError("hash")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(DataError, match=r"ValueError.*Give its path\."):
        download("sst", "https://example.org/data/a.nc", "sha256:00", "Give its path.")
    assert asked == [("https://example.org/data/a.nc", "sha256:00", "a.nc", "sst")]
