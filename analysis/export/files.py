"""Results as files: modes as CSV, spectra as NPZ, trajectories as GIF and MP4; all of them made in memory.

The page itself saves its figures as PNG and SVG; figures for a paper are in `analysis.figures.publication`. Everything
is made in memory; the caller decides where it goes.
"""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from PIL import Image

from analysis.core.errors import UserError
from analysis.workbench.signatures import SignatureResult
from analysis.workbench.spectrum import SpectrumResult
from foundation.mistakes import Mistake

MAX_GIF_FRAMES, MAX_GIF_SIDE = 128, 1024


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def modes_csv(spectrum: SpectrumResult, energy: Sequence[np.ndarray] | None = None) -> str:
    """One line a mode: level, name, pair, row, column, alpha, beta, rank by signed alpha, and energy when given.

    Args:
        spectrum: a `Workbench.spectrum()`.
        energy: one array of a level's alpha shape each, |z_k|^2 at a time of the caller's choice.

    Returns:
        Text with a header line; alpha and beta with the 9 digits that give every float32 back.

    Raises:
        ValueError: energies of another shape.
    """
    if energy is not None and [np.shape(e) for e in energy] != [e.alpha.shape for e in spectrum.entries]:
        raise Mistake("Give one energy for every mode: one array of alpha's shape for every level.", "energy")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ["level", "name", "pair", "row", "column", "alpha", "beta", "rank"]
    writer.writerow(names if energy is None else [*names, "energy"])
    for number, entry in enumerate(spectrum.entries):
        place = np.indices(entry.alpha.shape).reshape(3, -1)
        columns = [*place.tolist(), _digits(entry.alpha), _digits(entry.beta), entry.rank.ravel().tolist()]
        if energy is not None:
            columns.append(_digits(energy[number]))
        writer.writerows([number, entry.name, *row] for row in zip(*columns, strict=True))
    return out.getvalue()


def _digits(values: np.ndarray) -> list[str]:
    return [f"{v:.9g}" for v in np.asarray(values).ravel().tolist()]


def signatures_csv(result: SignatureResult) -> str:
    """One line a picture, time, level and band: picture, group, tau, sigma, level, name, band, log energy."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["picture", "group", "tau", "sigma", "level", "name", "band", "log energy"])
    place = np.indices(result.energies.shape).reshape(4, -1).T.tolist()
    for (picture, t, level, band), value in zip(place, _digits(result.energies), strict=True):
        writer.writerow([
            picture, result.groups[int(result.group[picture])], f"{result.tau[t]:g}", f"{result.sigma[t]:.6g}", level,
            result.names[level], band, value,
        ])  # fmt: skip
    return out.getvalue()


def spectrum_npz(spectrum: SpectrumResult) -> bytes:
    """A NumPy archive without pickles: `warp`, `names`, and for level l `alpha_l`, `beta_l`, `rank_l` (C/2, h, w)."""
    arrays = {"warp": np.array(spectrum.warp), "names": np.array([e.name for e in spectrum.entries])}
    for number, e in enumerate(spectrum.entries):
        arrays |= {f"alpha_{number}": e.alpha, f"beta_{number}": e.beta, f"rank_{number}": e.rank}
    buffer = io.BytesIO()
    # numpy's stub takes any of the names for its own option allow_pickle
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def latents_npz(names: Sequence[str], latents: Sequence[np.ndarray]) -> bytes:
    """A NumPy archive without pickles: `names`, and for level l `latent_l` (C, h, w)."""
    buffer = io.BytesIO()
    arrays = {f"latent_{number}": latent for number, latent in enumerate(latents)}
    # numpy's stub takes any of the names for its own option allow_pickle
    np.savez_compressed(buffer, names=np.array(names), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def enlarged(picture: np.ndarray, side: int, smooth: bool = False) -> np.ndarray:
    """A square picture at another side, uint8 (side, side, 3): pixels as squares, or smoothed (Lanczos)."""
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(picture).resize((side, side), how))


def trajectory_gif(frames: np.ndarray, milliseconds: int = 120, scale: int = 8, hold: int = 1500) -> bytes:
    """An endless animation, pixels enlarged without smoothing.

    Args:
        frames: uint8 (n, H, W, 3), 1 to 128 of them.
        milliseconds: of each frame, 20 to 10000; GIF counts in hundredths of a second.
        scale: enlargement; the result is at most 1024 pixels wide and high.
        hold: milliseconds of the last frame.

    Raises:
        UserError: something out of range.
    """
    images = [
        Image.fromarray(f).quantize(256, dither=Image.Dither.NONE) for f in _enlarged(frames, milliseconds, scale, hold)
    ]
    buffer = io.BytesIO()
    duration = [milliseconds] * (len(images) - 1) + [hold]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, disposal=1)
    return buffer.getvalue()


def films_mp4() -> bool:
    """Whether PyAV is here, which `trajectory_mp4` needs."""
    return importlib.util.find_spec("av") is not None


def trajectory_mp4(frames: np.ndarray, milliseconds: int = 120, scale: int = 8, hold: int = 1500) -> bytes:
    """The animation of `trajectory_gif` in all its colours, once, as H.264 in MP4: what slides and videos take.

    Args:
        frames, milliseconds, scale, hold: as of `trajectory_gif`; odd sides lose a row or column of pixels.

    Raises:
        UserError: something out of range, or PyAV is not here.
    """
    pictures = _enlarged(frames, milliseconds, scale, hold)
    if not films_mp4():
        raise UserError("MP4 needs the package av: pip install av, or save the GIF.", "format")
    import av  # only here: an optional package

    lasts = [milliseconds] * (len(pictures) - 1) + [hold]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as film:
        # without B-frames: their reordering would shorten the time that the file tells
        stream = film.add_stream("libx264", rate=1000, options={"crf": "16", "bf": "0"})
        stream.height, stream.width = (side // 2 * 2 for side in pictures[0].shape[:2])  # 4:2:0 has no odd sides
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        # the last picture twice, at the beginning and at the end of its time: a film has no other way to say how long
        for picture, begins in zip([*pictures, pictures[-1]], [0, *np.cumsum(lasts).tolist()], strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[: stream.height, : stream.width]))
            frame.pts, frame.time_base = begins, Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return buffer.getvalue()


def _enlarged(frames: np.ndarray, milliseconds: int, scale: int, hold: int) -> list[np.ndarray]:
    """The frames of an animation, pixels as squares of `scale`. Raises UserError: see `trajectory_gif`."""
    good = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
    if not good or not 1 <= len(frames) <= MAX_GIF_FRAMES:
        raise UserError(f"An animation has 1 to {MAX_GIF_FRAMES} colour pictures: choose fewer steps.")
    if not (scale >= 1 and scale * max(frames.shape[1:3]) <= MAX_GIF_SIDE):
        raise UserError(f"The animation would be larger than {MAX_GIF_SIDE} pixels: choose a smaller scale.")
    if not (20 <= milliseconds <= 10_000 and 20 <= hold <= 10_000):
        raise UserError("Frames last 20 to 10000 milliseconds.")
    return [np.kron(f, np.ones((scale, scale, 1), np.uint8)) for f in frames]
