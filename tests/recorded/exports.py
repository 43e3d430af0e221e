"""Files that the page saves, reduced to their fields and what is in them."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
from PIL import Image

from tests.recorded.reduction import image, reduced

NUMBERS = ("alpha", "beta")  # columns of the CSV that are measured


def file_fields(name: str, data: bytes) -> dict:
    """What is recorded of a file.

    Args:
        name: its name, whose ending says what it is.
        data: its content.
    """
    read = {"csv": _csv, "npz": _npz, "gif": _gif, "html": _html}
    return {"name": name} | read[name.rsplit(".", 1)[1]](data)


def _csv(data: bytes) -> dict:
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    columns = {c: reduced([float(r[c]) for r in rows]) for c in NUMBERS}
    return {
        "settings": {"header": list(rows[0]), "levels": sorted({r["name"] for r in rows})},
        "rows": len(rows),
    } | columns


def _npz(data: bytes) -> dict:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return {
        "settings": {n: [str(a.dtype), list(a.shape)] for n, a in arrays.items()},
        "arrays": {n: reduced(a.tolist()) for n, a in arrays.items() if a.dtype.kind == "f"},
    }


def _gif(data: bytes) -> dict:
    gif, frames = Image.open(io.BytesIO(data)), []
    for i in range(gif.n_frames):
        gif.seek(i)
        buffer = io.BytesIO()
        gif.convert("RGB").save(buffer, "PNG")
        frames.append(image(buffer.getvalue()) | {"milliseconds": gif.info["duration"]})
    return {"loop": gif.info["loop"], "frames": frames}


def _html(data: bytes) -> dict:
    text = data.decode()
    text = text.replace(text[text.find("<script>") : text.find("</script>")], "")  # Plotly, which has tags in it, too
    tags = ("section", "table", "img", "pre", 'div class="plot"')
    remote = re.findall(r'(?:src|href)="https?:', text)
    return {"tags": {t: text.count(f"<{t}") for t in tags}, "remote": len(remote)}
