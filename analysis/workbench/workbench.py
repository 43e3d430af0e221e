"""The seam between screen and science: one loaded model, one method a question.

Every method takes a frozen request, returns a frozen result (numpy only) and raises `UserError` with a sentence that
tells the cure. The answers are functions of a `Session`, each documented beside its request and its result.
"""

from __future__ import annotations

from analysis.workbench import (
    atlas,
    defaults,
    directions,
    editing,
    effects,
    images,
    inversion,
    probes,
    ranking,
    restoration,
    signatures,
    walks,
)
from analysis.workbench import spectrum as spectra
from analysis.workbench.session import Session


class Workbench(Session):
    """A session that is asked by methods: a new question joins by one line."""

    generate = images.generate
    trajectory = images.trajectory
    walk = walks.walk
    few_calls = walks.few_calls
    invert = inversion.invert
    direction = directions.direction
    spectrum = spectra.spectrum
    mask_bands = spectra.mask_bands
    mode = spectra.mode
    rank = ranking.rank
    surgery = spectra.surgery
    cumulative_effect = effects.cumulative_effect
    linearity = probes.linearity
    attribution = probes.attribution
    band_labels = probes.band_labels
    signatures = signatures.signatures
    edit = editing.edit
    edit_defaults = defaults.edit_defaults
    restoration_defaults = defaults.restoration_defaults
    inpaint = restoration.inpaint
    colorize = restoration.colorize
    atlas = atlas.atlas
