"""A row of features: stopped and gone on with, it is the row that was never stopped."""

import pytest
import torch
from safetensors.torch import save_file

from foundation.files.locations import DataError
from foundation.metrics import feature_cache
from foundation.metrics.feature_cache import collect, place
from tests.refusals import refuses

KEY = {"of": "numbers"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(feature_cache, "PICTURES_PER_WRITE", 4)
    monkeypatch.setattr(feature_cache, "KEPT", 8)


class Source:
    """Pictures whose first byte is their number; `asked` is every number that was made."""

    def __init__(self, stop=None):
        self.asked, self.stop = [], stop

    def pictures(self, low, high):
        if self.stop is not None and high > self.stop:
            raise KeyboardInterrupt
        self.asked += range(low, high)
        return torch.arange(low, high, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)


def features(pixels):
    n = pixels[:, 0, 0, 0].float()
    return torch.stack([n, n.square(), n.sin()], 1)


def get(path, count, source=None, **more):
    source = source or Source()
    return collect(path, KEY, count, source.pictures, features, batch=3, **more), source.asked


def same(a, b):
    for name in ("total", "outer", "shift"):
        assert torch.equal(getattr(a.moments, name), getattr(b.moments, name))
    assert a.moments.count == b.moments.count and torch.equal(a.kept, b.kept)


def test_stopped_and_gone_on_with(tmp_path):
    path = place(tmp_path, "x", KEY)
    with pytest.raises(KeyboardInterrupt):
        get(path, 20, Source(stop=11))
    told = []
    row, asked = get(path, 20, progress=lambda done, n: told.append((done, n)))
    assert asked == list(range(9, 20)) and told[-1] == (20, 20)
    whole, _ = get(tmp_path / "never-stopped", 20)
    same(row, whole)
    assert row.kept.shape == (8, 3) and get(path, 20)[1] == []  # from the disk alone
    torch.testing.assert_close(row.moments.mean, features(Source().pictures(0, 20)).double().mean(0))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_fewer_are_taken_from_what_is_kept_and_more_are_added(tmp_path):
    path = tmp_path / "row"
    get(path, 8)
    five, asked = get(path, 5)
    assert asked == [] and five.moments.count == 5 and len(five.kept) == 5
    torch.testing.assert_close(five.moments.covariance, features(Source().pictures(0, 5)).double().T.cov())
    assert get(path, 12)[1] == [8, 9, 10, 11]
    with refuses("count", "12.*10", DataError):
        get(path, 10)
    assert get(path, 8)[0].moments.count == 8


def test_a_file_of_other_pictures_or_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "row"
    get(path, 5)
    with refuses("key", "row", DataError):
        collect(path, {"of": "letters"}, 5, Source().pictures, features)
    path.write_bytes(path.read_bytes()[:-9])
    with refuses("file", "row", DataError):
        get(path, 5)
    save_file({"total": torch.zeros(3)}, path)
    with refuses("file", "row", DataError):
        get(path, 5)
    assert place(tmp_path, "a", KEY) != place(tmp_path, "a", {"of": "letters"})


def test_features_that_overflow_are_not_kept(tmp_path):
    with refuses("pictures", error=DataError):
        collect(tmp_path / "row", KEY, 5, Source().pictures, lambda x: features(x) / 0)
    assert not (tmp_path / "row").exists()
