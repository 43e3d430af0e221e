"""Reference statistics of a data set, and real pictures against real pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.evaluate import image_sets
from foundation.data.datasets import open_dataset
from foundation.metrics import feature_cache, inception
from foundation.metrics.frechet import Moments, fid, kid
from foundation.mistakes import Mistake
from tests.analysis.evaluate.five_features import network
from tests.refusals import refuses
from tests.sentences import tells


@pytest.fixture
def folder(tmp_path):
    """Twelve training and seven test pictures of a colour each."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 12), ("test", 7)):
        (tmp_path / "data" / split).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
                tmp_path / "data" / split / f"{i:02}.png"
            )
    return f"folder:{tmp_path / 'data'}"


def test_all_of_a_stored_set_in_a_random_order(folder, tmp_path):
    data = open_dataset(folder, 8)
    row = image_sets.reference(data, network, folder=tmp_path / "fid")
    features = network(torch.from_numpy(data.pictures(range(12))).permute(0, 3, 1, 2))
    assert row.moments.count == len(row.kept) == 12 and not torch.equal(row.kept, features)
    found, there = (sorted(f.tolist()) for f in (row.kept, features))
    np.testing.assert_allclose(found, there, rtol=1e-5)
    torch.testing.assert_close(row.moments.covariance, features.double().T.cov())
    again = image_sets.reference(data, lambda _: pytest.fail("made again"), folder=tmp_path / "fid")
    assert torch.equal(again.kept, row.kept)
    test = open_dataset(folder, 8, "test")
    assert image_sets.reference(test, network, folder=tmp_path / "fid").moments.count == 7  # another file


def test_of_the_shapes_a_stated_number(tmp_path, monkeypatch):
    data = open_dataset("shapes", 8)
    assert image_sets.size_of(data) == 10_000
    monkeypatch.setattr(feature_cache, "MOST_PROCEDURAL", 5)
    row = image_sets.reference(data, network, folder=tmp_path)
    torch.testing.assert_close(row.kept, network(torch.from_numpy(data.pictures(range(5))).permute(0, 3, 1, 2)))
    assert image_sets.reference(data, network, 3, folder=tmp_path).moments.count == 3
    with refuses("count", "shapes.* 2", Mistake):
        image_sets.reference(data, network, 1, folder=tmp_path)


def test_the_command(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(image_sets, "Inception", lambda path: network)
    arguments = [folder, "--size", "8", "--cache", str(tmp_path / "fid")]
    assert image_sets.main([*arguments, "--against", "test"]) == 0
    out = capsys.readouterr().out
    a, b = (
        network(torch.from_numpy(d.pictures(range(len(d)))).permute(0, 3, 1, 2))
        for d in (open_dataset(folder, 8, split) for split in ("train", "test"))
    )
    assert tells(out, "folder:data train", 12, "folder:data test", 12, "train")
    assert f"| FID-7 | {fid(Moments.of(a), Moments.of(b)):.3f} | not known |" in out
    assert f"| KID-7 x 1000 | {1000 * kid(a, b).value:.3g} [" in out
    assert image_sets.main([*arguments, "--against", "train"]) == 0
    assert "| FID-12 | 0.000 |" in capsys.readouterr().out
    assert image_sets.KNOWN["cifar10", 32, 50_000, 10_000] == "about 3.15"


@pytest.mark.parametrize("arguments,words", [
    (["cifar11"], "Unknown data set"), (["shapes", "--size", "4"], "size 4"), (["shapes", "--count", "0"], "from 2 to"),
])  # fmt: skip
def test_mistakes_get_one_sentence(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(image_sets, "Inception", lambda path: network)
    assert image_sets.main(arguments) == 2
    assert words in capsys.readouterr().err


def test_without_the_network(monkeypatch, capsys):
    monkeypatch.delenv("KOOPMAN_INCEPTION", raising=False)
    monkeypatch.setattr(inception, "PACKAGE", "there_is_no_such_package")
    assert image_sets.main(["shapes"]) == 2
    assert inception.VARIABLE in capsys.readouterr().err
