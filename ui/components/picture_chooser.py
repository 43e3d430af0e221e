"""Pictures that people bring: files, base64 text, photographs that ship with scikit-image. Nothing in them is trusted.

Everything ends as uint8 (side, side, 3): turned as its EXIF says, in sRGB, on white where transparent, the central
square, downsampled with anti-aliasing (`foundation.data.decoding`), its metadata gone.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import gradio as gr
import numpy as np
from gradio.events import Dependency
from PIL import Image

from analysis.core.errors import UserError
from analysis.core.images import data_uri
from analysis.workbench.library import ModelLibrary
from foundation.data.decoding import SUFFIXES, UPLOAD_BYTES, PictureError, limit_decoders, read_picture
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.theme import script

FILE_TYPES = list(SUFFIXES)  # for the browser's file dialogue, which binds nobody
OWN = re.compile(r"own\.[0-9a-f]{16}")  # what an address says in the place of a picture of the visitor's own
_DATA_URI = re.compile(r"data:image/(?:png|jpeg|webp);base64,")
# names for people -> files inside scikit-image's wheel, so that nothing is downloaded
PHOTOGRAPHS = {
    "cat": "chelsea.png",
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "eye": "retina.jpg",
}


def open_picture(data: bytes, side: int, what: str = "The picture") -> np.ndarray:
    """A picture file as uint8 (side, side, 3).

    Args:
        data: the file's bytes: PNG, JPEG or WebP, at most 16 MB; a phone's photograph of any kind fits.
        side: pixels.
        what: names the picture in complaints.

    Raises:
        UserError: missing, too large, of another kind, or damaged.
    """
    if not isinstance(data, (bytes, bytearray)) or len(data) == 0:
        raise UserError(f"{what} is empty: choose a PNG, JPEG or WebP file.", "picture")
    if len(data) > UPLOAD_BYTES:
        raise UserError(f"{what} has more than {UPLOAD_BYTES // 2**20} MB: choose a smaller file.", "picture")
    try:
        return read_picture(io.BytesIO(data), side, uploaded=True)
    except PictureError as e:
        raise UserError(f"{what} {e.problem}.", "picture") from None


def open_base64(text: str, side: int, what: str = "The picture") -> np.ndarray:
    """The same for base64 text, with or without "data:image/png;base64," in front. Never looked at as a path.

    Raises:
        UserError: as `open_picture`, or no base64.
    """
    cure = f"{what} must be base64 text of a PNG, JPEG or WebP file"
    if not isinstance(text, str) or not text:
        raise UserError(f"{cure}: give one.", "picture")
    if len(text) > 4 * UPLOAD_BYTES // 3 + 64:  # before anything is decoded
        raise UserError(f"{what} has more than {UPLOAD_BYTES // 2**20} MB: choose a smaller file.", "picture")
    prefix = _DATA_URI.match(text)
    try:
        data = base64.b64decode(text[prefix.end() if prefix else 0 :], validate=True)
    except (binascii.Error, ValueError):
        raise UserError(f"{cure}; this is no base64.", "picture") from None
    return open_picture(data, side, what)


def open_mask_base64(text: str, side: int, what: str = "The mask") -> np.ndarray:
    """Base64 text of a picture as a mask, uint8 (side, side): its brightness, white = 255 = painted.

    Raises:
        UserError: as `open_base64`.
    """
    return np.round(open_base64(text, side, what).mean(axis=2)).astype(np.uint8)


def fitted(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture or mask at another model's side; the same object where nothing has to be done."""
    if picture.shape[:2] == (side, side):
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))


@functools.lru_cache(maxsize=32)
def photograph(name: str, side: int) -> np.ndarray:
    """One of scikit-image's own photographs, read-only uint8 (side, side, 3).

    Raises:
        UserError: no such photograph.
    """
    if not isinstance(name, str) or name not in PHOTOGRAPHS:
        raise UserError(f"There is no such photograph: choose one of {', '.join(PHOTOGRAPHS)}.", "photograph")
    picture = open_picture((resources.files("skimage") / "data" / PHOTOGRAPHS[name]).read_bytes(), side)
    picture.setflags(write=False)
    return picture


# ---------------------------------------------------------------------------------------------------------------------
# On the page


@dataclass(frozen=True)
class Chooser:
    """What was laid out.

    Attributes:
        picture: State of uint8 (side, side, 3); name: the dropdown; own: what keeps the visitor's own picture in the
            browser, see `own_value`; chosen: events of another picture.
    """

    picture: gr.State
    name: gr.Dropdown
    own: gr.HTML
    chosen: tuple[Dependency, ...]


def own_key(src: str) -> str:
    """The name of a picture of the visitor's own, by what it is."""
    return f"own.{hashlib.sha256(src.encode()).hexdigest()[:16]}"


def own_value(picture: np.ndarray) -> str:
    """A picture, uint8 (side, side, 3), for what keeps it in the browser: JSON of its key and itself."""
    src = data_uri(picture)
    return json.dumps({"key": own_key(src), "src": src})


def picture_of_address(
    asked: Mapping[str, str], side: int, picture: gr.State, name: gr.Dropdown, own: gr.HTML
) -> dict | None:
    """What an address says of a picture, as {component: value}; None, and a warning, where it is not at hand.

    Args:
        asked: the address's texts by the controls' ids, and pictures that the browser has kept by their keys.
        side: pixels.
        picture, name, own: as in `Chooser`.

    Raises:
        UserError: what the browser sent is no such picture.
    """
    said = asked.get(name.elem_id, "")
    if said in PHOTOGRAPHS:
        return {picture: photograph(said, side), own: ""}
    if not OWN.fullmatch(said):
        return {}
    if (src := asked.get(said)) is None:
        gr.Warning("The picture is neither in this link nor in this browser: upload it, or open a recipe that has it.")
        return None
    if own_key(src) != said:
        raise UserError("The kept picture is not the one that the link names: upload it again.", "picture")
    return {picture: open_base64(src, side), name: None, own: json.dumps({"key": said, "src": src})}


def picture_chooser(library: ModelLibrary, model: gr.Dropdown, first: str, prefix: str) -> Chooser:
    """A dropdown of photographs and an upload button; nobody but `open_picture` decodes what is uploaded.

    Args:
        library: the models.
        model: the component that names the model, which gives the side.
        first: its first value.
        prefix: of the elements' ids.
    """
    limit_decoders()

    def photo(name: str | None, model: str) -> tuple:
        return photograph(name or next(iter(PHOTOGRAPHS)), library.get(model).side), ""

    def upload(data: bytes | None, model: str) -> tuple:
        brought = open_picture(data or b"", library.get(model).side)
        return brought, own_value(brought), None

    start = photo(None, first)[0]
    picture = gr.State(start)
    with gr.Row(elem_classes="ks-buttons"):
        name = gr.Dropdown(
            list(PHOTOGRAPHS), value=next(iter(PHOTOGRAPHS)), label="Photograph", filterable=False, scale=3,
            info="from scikit-image", elem_id=f"{prefix}-photo", min_width=140,
        )  # fmt: skip
        file = gr.UploadButton(
            "Upload your own", type="binary", file_types=FILE_TYPES, size="sm", scale=2, min_width=120,
            elem_id=f"{prefix}-upload",
        )  # fmt: skip
    own = gr.HTML(
        html_template="<span></span>", js_on_load=script("own_picture.js"), elem_id=f"{prefix}-photo-own",
        visible="hidden",
    )  # fmt: skip
    quiet = {"show_progress": "hidden", **PRIVATE}
    chosen = name.input(guarded(photo), [name, model], [picture, own], trigger_mode="multiple", **quiet)
    uploaded = file.upload(guarded(upload), [file, model], [picture, own, name], trigger_mode="multiple", **quiet)
    return Chooser(picture, name, own, (chosen, uploaded))
