"""Data sets: what was written to disk comes back byte for byte, what is wrong is told in a sentence."""

import gzip
import re
import shutil
import struct
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.data import readers
from foundation.data.datasets import DataError, ImageDataset, open_dataset
from foundation.mistakes import Mistake
from foundation.procedural import shapes
from tests.refusals import refuses

RNG = np.random.default_rng(0)


def random_pictures(n, side=32):
    return RNG.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def sheets(tmp_path):
    """Train: two sheets of 2 rows x 3 columns for 11 labels; test: one of 1 x 4."""
    stored = {
        "train": (random_pictures(11), RNG.integers(0, 10, 11)),
        "test": (random_pictures(4), np.arange(4)),
    }
    for split, rows, columns in (("train", 2, 3), ("test", 1, 4)):
        pixels = stored[split][0]
        per_sheet = rows * columns
        for k in range(0, len(pixels), per_sheet):
            sheet = np.zeros((rows * 32, columns * 32, 3), np.uint8)
            for i, picture in enumerate(pixels[k : k + per_sheet]):
                r, c = divmod(i, columns)
                sheet[r * 32 : r * 32 + 32, c * 32 : c * 32 + 32] = picture
            save(tmp_path / "cifar10" / f"{split}_{k // per_sheet}.webp", sheet, lossless=True)
    np.savez(tmp_path / "cifar10" / "labels.npz", **{k: v[1].astype(np.uint8) for k, v in stored.items()})
    return tmp_path / "cifar10", stored


@pytest.fixture
def bins(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    stored = {
        "train": (random_pictures(10), RNG.integers(0, 10, 10)),
        "test": (random_pictures(3), np.arange(3)),
    }

    def write(name, pixels, labels):
        records = b"".join(bytes([n]) + p.transpose(2, 0, 1).tobytes() for p, n in zip(pixels, labels, strict=True))
        (folder / name).write_bytes(records)

    for k in range(5):
        write(f"data_batch_{k + 1}.bin", *(part[2 * k : 2 * k + 2] for part in stored["train"]))
    write("test_batch.bin", *stored["test"])
    return folder, stored


def write_fashion(folder, n_train=7, n_test=5):
    folder.mkdir(parents=True)
    stored = {}
    for split, part, n in (("train", "train", n_train), ("test", "t10k", n_test)):
        pixels, labels = (
            RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8),
            RNG.integers(0, 10, n, dtype=np.uint8),
        )
        stored[split] = pixels, labels
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(struct.pack(">IIII", 2051, n, 28, 28) + pixels.tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(struct.pack(">II", 2049, n) + labels.tobytes())
    return stored


def check_contents(data, pixels, labels):
    assert isinstance(data, ImageDataset) and data.channels == 3 and len(data) == len(pixels)
    order = RNG.permutation(len(pixels))
    assert np.array_equal(data.pictures(order), pixels[order])
    x, y = data.batch(torch.from_numpy(order))
    assert x.dtype == torch.float32 and y.dtype == torch.int64 and x.is_contiguous()
    expected = torch.from_numpy(pixels[order].astype(np.float64)).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(x.double(), expected, atol=1e-6, rtol=0)
    assert x.min() >= -1 and x.max() <= 1
    assert y.tolist() == np.asarray(labels)[order].tolist()


# -----------------------------------------------------------------------------------------------------------
# Shapes and what is common to all


@pytest.mark.parametrize("size", [16, 32])
def test_shapes_are_rendered_on_demand(size):
    data = open_dataset("shapes", size)
    assert (len(data), data.name, data.classes, data.size, data.skipped) == (
        10_000_000,
        "shapes",
        (),
        size,
        0,
    )
    assert np.array_equal(data.pictures([5, 9_999_999]), shapes.images([5, 9_999_999], size))
    x, labels = data.batch(range(3))
    assert x.shape == (3, 3, size, size) and labels.tolist() == [-1] * 3


def test_splits_of_shapes_share_no_picture():
    train, test = (open_dataset("shapes", split=split) for split in ("train", "test"))
    first = np.concatenate([d.pictures(range(200)) for d in (train, test)])
    assert len(np.unique(first.reshape(400, -1), axis=0)) == 400
    prints = {d.fingerprint() for d in (train, test, open_dataset("shapes", 16))}
    assert len(prints) == 3 and all(len(p) == 64 for p in prints)
    assert train.fingerprint() == open_dataset("shapes").fingerprint()


def test_a_new_recipe_is_a_new_fingerprint(monkeypatch):
    before = open_dataset("shapes").fingerprint()
    monkeypatch.setattr(shapes, "RECIPE", "shapes-test")
    assert open_dataset("shapes").fingerprint() != before


def test_indices_are_checked():
    data = open_dataset("shapes", split="test")
    assert data.batch([])[0].shape == (0, 3, 32, 32)
    for bad in ([-1], [len(data)]):
        with pytest.raises(IndexError, match="100,000"):
            data.pictures(bad)
        with pytest.raises(IndexError):
            data.batch(bad)
    for bad in ([0.5], 3, [[1]]):
        with refuses("indices", error=Mistake):
            data.batch(bad)


@pytest.mark.parametrize("spec", ["", "mnist", "shapes:", "shapes:here", "folder", "folder:", "cifar10:", "../shapes"])
def test_unknown_names_are_refused(spec):
    with refuses("spec", error=DataError):
        open_dataset(spec)


@pytest.mark.parametrize("options", [{"split": "val"}, {"size": 4}, {"size": 2000}, {"size": 32.0}, {"size": True}])
def test_bad_options_are_refused(options):
    with refuses(next(iter(options)), error=DataError):
        open_dataset("shapes", **options)


# -----------------------------------------------------------------------------------------------------------
# CIFAR-10


@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar_sheets(sheets, split):
    folder, stored = sheets
    data = open_dataset(f"cifar10:{folder}", split=split)
    check_contents(data, *stored[split])
    assert data.name == "cifar10" and len(data.classes) == 10 and data.classes[3] == "cat" and data.licence


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("form", ["folder", "parent", "tar"])
def test_cifar_binary(bins, split, form, tmp_path):
    folder, stored = bins
    path = {"folder": folder, "parent": folder.parent, "tar": tmp_path / "c.tar.gz"}[form]
    if form == "tar":
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, "cifar-10-batches-bin")
        shutil.rmtree(folder)
    check_contents(open_dataset(f"cifar10:{path}", split=split), *stored[split])


def test_sheets_of_more_than_ten_parts_are_read_in_number_order(tmp_path):
    pixels = random_pictures(12)
    for k, picture in enumerate(pixels):
        save(tmp_path / f"train_{k}.webp", picture, lossless=True)
    np.savez(tmp_path / "labels.npz", train=np.zeros(12, np.uint8), test=np.zeros(1, np.uint8))
    check_contents(open_dataset(f"cifar10:{tmp_path}"), pixels, [0] * 12)


def test_fingerprint_is_of_the_content(sheets, tmp_path):
    folder, stored = sheets
    before = open_dataset(f"cifar10:{folder}").fingerprint()
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert open_dataset(f"cifar10:{copy}").fingerprint() == before
    labels = {k: v[1].astype(np.uint8) for k, v in stored.items()}
    labels["train"][0] = (labels["train"][0] + 1) % 10
    np.savez(copy / "labels.npz", **labels)
    assert open_dataset(f"cifar10:{copy}").fingerprint() != before


def test_other_size_is_resized(sheets):
    folder, stored = sheets
    data = open_dataset(f"cifar10:{folder}", size=16)
    expected = Image.fromarray(stored["train"][0][4]).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.array_equal(data.pictures([4])[0], np.asarray(expected))
    assert data.batch([])[0].shape == (0, 3, 16, 16)


def damage(kind, folder):
    if kind == "missing sheet":
        (folder / "train_0.webp").unlink()
    elif kind == "not a picture":
        (folder / "train_1.webp").write_bytes(b"RIFF....WEBP")
    elif kind == "another format":
        save(folder / "train_1.webp", random_pictures(1, 64)[0], format="PNG")
    elif kind == "odd size":
        save(folder / "train_1.webp", random_pictures(1, 40)[0], lossless=True)
    elif kind == "pickled labels":
        np.savez(folder / "labels.npz", train=np.array([{}], object))
    elif kind == "label 10":
        np.savez(folder / "labels.npz", train=np.full(11, 10))
    elif kind == "float labels":
        np.savez(folder / "labels.npz", train=np.zeros(11))
    elif kind == "no such split":
        np.savez(folder / "labels.npz", other=np.zeros(11, int))
    elif kind == "not an archive":
        (folder / "labels.npz").write_bytes(b"nothing")


@pytest.mark.parametrize(
    "kind, field",
    [
        ("missing sheet", "sheets"),
        ("not a picture", "file"),
        ("another format", "file"),
        ("odd size", "shape"),
        ("pickled labels", "file"),
        ("label 10", "labels"),
        ("float labels", "labels"),
        ("no such split", "split"),
        ("not an archive", "file"),
    ],
)
def test_damaged_sheets_are_told(sheets, kind, field):
    damage(kind, sheets[0])
    with refuses(field, error=DataError):
        open_dataset(f"cifar10:{sheets[0]}").pictures([0])


def test_damaged_batches_are_told(bins, tmp_path):
    folder, _ = bins
    batch = folder / "data_batch_2.bin"
    whole = batch.read_bytes()
    for content, field in ((whole[:-1], "length"), (b"", "length"), (b"\x0a" + whole[1:], "labels")):
        batch.write_bytes(content)
        with refuses(field, error=DataError):
            len(open_dataset(f"cifar10:{folder}"))
    batch.unlink()
    with refuses("path", "data_batch_2.bin", DataError):
        len(open_dataset(f"cifar10:{folder}"))
    archive = tmp_path / "c.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "cifar-10-batches-bin")
    with refuses("path", "data_batch_2.bin", DataError):
        len(open_dataset(f"cifar10:{archive}"))
    archive.write_bytes(archive.read_bytes()[:300])
    with refuses("file", error=DataError):
        len(open_dataset(f"cifar10:{archive}", split="test"))


def test_a_wrong_path_is_told_at_once(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with refuses("path", "data_batch_1.bin", DataError):
            open_dataset(f"cifar10:{path}")
        with refuses("path", "idx", DataError):
            open_dataset(f"fashion:{path}")


# -----------------------------------------------------------------------------------------------------------
# Fashion-MNIST


@pytest.mark.parametrize("split", ["train", "test"])
def test_fashion_is_padded_and_grey(tmp_path, split):
    pixels, labels = write_fashion(tmp_path / "f")[split]
    data = open_dataset(f"fashion:{tmp_path / 'f'}", split=split)
    expected = np.zeros((len(pixels), 32, 32, 3), np.uint8)
    expected[:, 2:30, 2:30] = pixels[..., None]
    check_contents(data, expected, labels)
    assert len(data.classes) == 10 and data.classes[9] == "ankle boot" and "MIT" in data.licence


@pytest.mark.parametrize(
    "change, field, number",
    [
        (lambda b: b[:2] + b"\x09" + b[3:], "kind", None),
        (lambda b: b[:3] + b"\x01" + b[4:], "kind", None),
        (lambda b: b[:-1], "length", None),
        (lambda b: b[:6], "length", None),
        (lambda b: b + b"x", "length", None),
        (lambda b: b[:8] + struct.pack(">I", 27) + b[12:], "shape", None),
        (lambda b: b[:4] + b"\xff" * 4 + b[8:], "size", "4,294,967,295"),
        (lambda b: b[:4] + struct.pack(">I", 6) + b[8 : 16 + 6 * 784], "labels", " 6 "),
    ],
)
def test_damaged_idx_files_are_told(tmp_path, change, field, number):
    write_fashion(tmp_path / "f")
    file = tmp_path / "f" / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(change(gzip.decompress(file.read_bytes()))))
    with refuses(field, number, DataError):
        len(open_dataset(f"fashion:{tmp_path / 'f'}"))


def test_damaged_gzip_is_told(tmp_path):
    write_fashion(tmp_path / "f")
    file = tmp_path / "f" / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"plain", whole[:900] + b"\0" * 50 + whole[950:]):
        file.write_bytes(content)
        with refuses("file", "train-images", DataError):
            len(open_dataset(f"fashion:{tmp_path / 'f'}"))


# -----------------------------------------------------------------------------------------------------------
# Data found or downloaded


def test_environment_names_the_folder(sheets, tmp_path, monkeypatch):
    _, stored = sheets
    fashion = write_fashion(tmp_path / "fashion_mnist")
    monkeypatch.setenv(readers.DATA_ENV, str(tmp_path))
    check_contents(open_dataset("cifar10"), *stored["train"])
    assert len(open_dataset("fashion", split="test")) == len(fashion["test"][0])


def test_download_is_checked_and_read(bins, tmp_path, monkeypatch):
    import pooch

    folder, stored = bins
    asked = []

    def retrieve(url, known_hash, fname, path):
        asked.append((url, known_hash))
        target = tmp_path / fname
        with tarfile.open(target, "w:gz") as archive:
            archive.add(folder, "cifar-10-batches-bin")
        return str(target)

    monkeypatch.delenv(readers.DATA_ENV, raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    check_contents(open_dataset("cifar10"), *stored["train"])
    assert asked == [(readers.CIFAR_URL, "md5:c32a1d4ab5d03f1284b67883e8d87530")]


@pytest.mark.parametrize("name", ["cifar10", "fashion"])
def test_a_failed_download_is_a_sentence(monkeypatch, name):
    import pooch

    def retrieve(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.delenv(readers.DATA_ENV, raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DataError, match=f"{name}:PATH.*{readers.DATA_ENV}"):
        open_dataset(name)


# -----------------------------------------------------------------------------------------------------------
# Folders


def test_folder_is_read_recursively_in_order_and_bad_files_are_counted(tmp_path):
    folder = tmp_path / "my pictures"
    pixels = random_pictures(3)
    save(folder / "a.PNG", pixels[0])
    save(folder / "b" / "deep" / "b.webp", pixels[1], lossless=True)
    save(folder / "c.png", pixels[2])
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    (folder / "empty.jpg").write_bytes(b"")
    cut = (folder / "c.png").read_bytes()
    (folder / "cut.png").write_bytes(cut[: len(cut) // 2])
    Image.new("RGB", (9, 9)).save(folder / "wrong.png", format="BMP")  # a format that is not asked for
    (folder / "notes.txt").write_text("no picture, and not counted")
    data = open_dataset(f"folder:{folder}")
    check_contents(data, pixels, [-1] * 3)
    assert (data.skipped, data.classes, data.name) == (4, (), "folder:my pictures")
    assert str(tmp_path) not in data.licence + data.name


def test_folder_with_splits(tmp_path):
    train, test = random_pictures(2)
    save(tmp_path / "x" / "train" / "a.png", train)
    check_contents(open_dataset(f"folder:{tmp_path / 'x'}", split="test"), train[None], [-1])
    save(tmp_path / "x" / "test" / "a.png", test)
    check_contents(open_dataset(f"folder:{tmp_path / 'x'}"), train[None], [-1])
    data = open_dataset(f"folder:{tmp_path / 'x'}", split="test")
    check_contents(data, test[None], [-1])
    assert data.name == "folder:x"


def test_folder_without_pictures_is_told(tmp_path):
    with refuses("path", "none", DataError):
        open_dataset(f"folder:{tmp_path / 'none'}")
    with refuses("path", re.escape(str(tmp_path)), DataError):
        open_dataset(f"folder:{tmp_path}")
    (tmp_path / "a.png").write_bytes(b"")
    with refuses("pictures", " 1 ", DataError):
        open_dataset(f"folder:{tmp_path}")


def test_too_many_pictures_for_the_memory_are_told(tmp_path, monkeypatch):
    save(tmp_path / "a.png", random_pictures(1)[0])
    monkeypatch.setattr("foundation.data.pictures.MAX_DATASET_BYTES", 32 * 32 * 3 - 1)
    with refuses("size", "4 GB", DataError):
        open_dataset(f"folder:{tmp_path}")
