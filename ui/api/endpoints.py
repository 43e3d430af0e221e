"""The HTTP endpoints: one table of who answers what.

Every endpoint reads the same request class as Python and recipes. Images are base64 PNG strings, tables are nested
lists, what has no number is null. The work of a call is bounded, and a call that lasts too long is given up.
"""

from __future__ import annotations

from typing import Any

from analysis.flow.images import FlowPicturesRequest
from analysis.flow.nets import TrainRequest
from analysis.flow.points import Flow2DRequest, LikelihoodRequest
from analysis.flow.settings import SideBySideRequest
from analysis.flow.transport import TransportRequest
from analysis.race import RaceRequest, race
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import check_flows, find_model
from analysis.series.forecast import ForecastRequest
from analysis.studio import Studio
from analysis.workbench.atlas import AtlasRequest
from analysis.workbench.directions import DirectionRequest
from analysis.workbench.editing import EditRequest
from analysis.workbench.effects import EffectRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.inversion import InvertRequest
from analysis.workbench.probes import AttributionRequest, LinearityRequest
from analysis.workbench.ranking import RankRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.signatures import SignatureRequest
from analysis.workbench.spectrum import MaskRequest, ModeRequest, SurgeryRequest
from analysis.workbench.walks import WalkRequest
from foundation.data.decoding import limit_decoders
from ui.api import answers
from ui.api.codec import pictures_and_numbers, result_json
from ui.api.endpoint import Call, Endpoint, Limit
from ui.server.runs import LONG_QUEUE
from ui.tabs.flows.images import EXACT_QUEUE
from ui.tabs.flows.settings import LETTERS


def _recipe(call: Call) -> dict[str, Any]:
    # here, since flows are answered by the endpoint of their kind
    studio, recipe = call.studio, recipes.from_json(call.more["recipe"])
    if not recipe.of_flows:
        name = find_model(studio.library, recipe)
        pictures, numbers = pictures_and_numbers(recipes.replay(recipe, studio.library.get(name), call.watch))
        return {"kind": recipe.kind, "model": name, "pictures": pictures, "numbers": numbers}
    request, endpoint = check_flows(recipe, studio), BY_NAME[recipe.kind]
    about = {"kind": recipe.kind, "model": recipe.model}
    if isinstance(request, ForecastRequest):
        return about | {"pictures": {}, "numbers": endpoint.of(studio, request)}
    settings = request.settings if isinstance(request, SideBySideRequest) else ()
    places = zip(LETTERS, settings, strict=False)
    each = {letter: endpoint.of(studio, setting) for letter, setting in places if setting is not None}
    pictures = {letter: answer.pop("pictures") for letter, answer in each.items() if "pictures" in answer}
    return about | {"pictures": pictures, "numbers": each}


ENDPOINTS = (
    Endpoint(
        "models",
        """All models: name, description, side of pictures in pixels, classes, number of parameters, card.""",
        answers.models,
        returns=list[dict],
    ),
    Endpoint(
        "generate",
        """Pictures in one network call each.

    model: name, "" for the default. seeds: 1 to 64 whole numbers. label: class index, -1 for none. Returns
    pictures (base64 PNG, in the order of the seeds), nfe (network calls a picture), seconds.""",
        lambda call: call.bench.generate(call.request, call.watch),
        GenerateRequest,
        "model seeds label",
        defaults={"seeds": [0]},
    ),
    Endpoint(
        "trajectory",
        """One noise followed to its picture, Koopman path beside teacher.

    steps: 4 to 40 noise levels. Returns sigma, tau, koopman / denoised / state (base64 PNG a level, noise
    first), final (teacher's picture), mse, lpips (between koopman and denoised), nfe_model, nfe_teacher; null
    where there is no teacher or no LPIPS backbone.""",
        lambda call: call.bench.trajectory(call.request, call.watch),
        TrajectoryRequest,
        "model seed label steps",
        defaults={"seed": 0},
    ),
    Endpoint(
        "walk",
        """Pictures on the way from one seed to another, one network call each.

    seed, to: both ends. frames: 2 to 64, both ends among them. Returns share (of the way, 0 to 1), pictures (base64
    PNG), nfe (network calls a picture), seconds. The noises between are cos(a) x + sin(a) x', normal at any angle.""",
        lambda call: call.bench.walk(call.request, call.watch),
        WalkRequest,
        "model seed to label frames",
        defaults={"seed": 0, "to": 1},
    ),
    Endpoint(
        "race",
        """Three ways from one noise to a picture at 1, 5 and 35 network calls: the model, its teacher, a flow.

    path: of the flow, one that is here of the model's pictures; "" or another for the first. The teacher: Euler's
    method, from 9 calls on Heun's; the flow: Euler's. The model makes one call. Returns model, teacher and flow, each
    with title, note, calls, pictures (base64 PNG a number of calls), seconds (of this machine), absent (why it does not
    run, or ""), and flow_path.""",
        lambda call: race(call.bench, call.studio.images, call.request, call.watch),
        RaceRequest,
        "model seed label path",
        defaults={"seed": 0},
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "spectrum",
        """Eigenvalues alpha +- i beta of one level, per unit tau.

    level: index in `levels`. Returns levels (name, shape (C, h, w), mean and standard deviation of alpha),
    level, name, alpha and beta as [pair][row][column], warp (the time variable), idle: indices of levels without
    which, and with whose operator held still, LPIPS moves by less than idle_bound; null where not measured.""",
        answers.spectrum,
        arguments="model level",
        defaults={"level": 0},
    ),
    Endpoint(
        "mask_bands",
        """Weigh bands of modes and decode.

    edges: rising quantiles in [0, 1]; n edges make n + 1 bands by rank of alpha within each level. gains:
    retention of each band, 0 to 2. order: "alpha" or "abs". levels: indices to touch, [] for all. ablation: what
    stands in place of what is not kept, "mean" (of 1,024 noises), "resample" (another picture) or "zero". Returns
    full, masked, difference (base64 PNG), magnification of the difference, share of latent energy and modes of
    each band, mse.""",
        lambda call: call.bench.mask_bands(call.request),
        MaskRequest,
        "model seed label edges gains order levels=entries ablation",
        defaults={"seed": 0},
    ),
    Endpoint(
        "cumulative_effect",
        """What every band and level adds from noise to picture, averaged over seeds.

    model: name, "" for the default. seeds: 1 to 64. label: class index, -1 for none. edges: rising quantiles; n
    edges make n + 1 bands. order: "alpha" or "abs". kind: "displacement", "energy" or "arc". times: 2 to 256,
    equally spaced in tau. decoded_times: 0 to 16 (seeds times decoded times at most 32).
    ablation: as in /mask_bands, of the decoded curves. Returns kind, names of the levels, tau (1 =
    noise, 0 = picture), sigma, bands [band][time], bands_sd (null for one seed), levels
    [level][time], joint [level][band][time], moves; decoded_tau, decoded_bands, decoded_levels: mean squared
    picture change without the band or level, null where not asked for.""",
        lambda call: call.bench.cumulative_effect(call.request, call.watch),
        EffectRequest,
        "model seeds label edges order kind times decoded_times ablation",
        defaults={"seeds": [0]},
        limits=(Limit(lambda r: len(r.seeds) * r.decoded_times, 32, "Seeds times decoded times"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "mode",
        """What a mode, or a group of modes of one level, is and does.

    level: index, see /spectrum. modes: 1 to 4096 flat indices (pair h + row) w + column. tau: time of the
    pictures, 0 to 1, 0 = final. times: of the energy, 2 to 256. ablation: as in /mask_bands. Returns
    level, name, index, pair, row, column, alpha, beta, half_life (of the norm, in tau; doubling time where
    alpha < 0), period (null where infinite), tau, energy [mode][time], share of the group in all energy, full,
    without, contribution (base64 PNG), magnification of the contribution, mse.""",
        answers.mode,
        ModeRequest,
        "model seed label level=entry modes tau times ablation",
        defaults={"seed": 0, "level": 0, "modes": [0]},
    ),
    Endpoint(
        "rank",
        """Channel pairs of a level by what the picture loses without them, at all their places.

    level: index, see /spectrum. ablation: as in /mask_bands. pictures: whether the picture without each is sent, too.
    Returns level, name, pair (numbers, the strongest first), mse (mean squared change of the picture, in that order),
    without (base64 PNG, in that order) where asked for.""",
        answers.rank,
        RankRequest,
        "model seed label level=entry ablation pictures",
        defaults={"seed": 0, "level": 0, "pictures": False},
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "linearity",
        """How linear the latents are along the teacher's trajectories, with two yardsticks and exact DMD.

    seeds: of the trajectories. steps: noise levels, 4 to 24 (seeds times steps at most 96). decoded: measure
    pictures, too. dmd_rank: 0 to 64, 0 for none. Returns names of the levels, tau, sigma, learned / identity /
    fitted [level][time]: relative error of the operator, of standing still, of the best alpha and beta;
    differences: {operator: [level][time]} the same with the trajectories' mean taken off, and common [level][time]
    the share of energy they share, both null for one trajectory; spread over trajectories (null for one); mse,
    lpips: {operator: [time]} of pictures or null; dmd a level: alpha, beta, amplitude, captured, residual, or null.""",
        lambda call: result_json(call.bench.linearity(call.request, call.watch), ("fitted_alpha", "fitted_beta")),
        LinearityRequest,
        "model seeds label steps decoded dmd_rank",
        defaults={"seeds": [0, 1, 2, 3], "steps": 12},
        limits=(Limit(lambda r: len(r.seeds) * r.steps, 96, "Seeds times steps"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "attribution",
        """Which band and which level sees which factor of drawn scenes.

    pairs: of scenes that differ in one factor, 8 to 128. sigma: noise level to encode at, 0.002 (clean) to 80.
    carried: compare after the flow to the picture. edges, order: of the bands. rows: factors, [] for all;
    "everything" (two unrelated scenes) is what the others are to be compared with. seed: of scenes, noise and
    bootstrap; scenes below 2,000,000,000 may have been trained on. Returns rows, names of the levels, pairs that
    differ, share [row][level][band] of the squared latent difference; bands [row][band] and levels [row][level]
    with bands_low, bands_high, levels_low, levels_high: 95 % bootstrap intervals. measure: "picture" (bands and levels
    by what exchanging each alone changes in the picture, over the change of all together) or "latent" (share of the
    squared latent difference).""",
        lambda call: call.bench.attribution(call.request, call.watch),
        AttributionRequest,
        "model pairs sigma carried edges order rows seed measure",
        limits=(Limit(lambda r: r.pairs, 128, "The number of pairs"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "signatures",
        """Whether the spectrum of pictures tells their class, or a factor, over time.

    contrast: "" for classes (drawn pictures of every class where the model's data are drawn, else its own pictures), or
    a factor of drawn data: pictures with little of it against pictures with much. count: pictures a group, 8 to 64.
    edges, order: of the bands. seed: of pictures and noise; scenes below 2,000,000,000 may have been trained on.
    Returns groups, names of the levels, tau, sigma [time], own (pictures are the model's), profile
    [time][group][level][band]: mean log energy in standard deviations over all pictures; separation
    [time][level][band]: share of its variance between groups; distance [time][group][group]: squared, in spreads
    within groups, cross-validated; hits, hits_low, hits_high [reader][time]: share of held-out pictures whose group is
    read, with 95 % bootstrap intervals, readers: bands by alpha, modes dealt to bands at random, radial power of the
    noised picture; margin [2][time]: bands less each of the others, [value, low, high]; chance; group of every
    picture.""",
        lambda call: result_json(call.bench.signatures(call.request, call.watch), ("energies",)),
        SignatureRequest,
        "model contrast count edges order seed",
        limits=(Limit(lambda r: r.count, 64, "The number of pictures a group"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "atlas",
        """Clusters of modes with an address, from the atlas beside the model (`analysis.evaluate.atlas` makes one).

    search: words that all occur in address, place or factors, "" for all. level: index in /spectrum, -1 for all. sort:
    "effect" (largest first), "address", "modes", "radius" (narrowest first), "frequency" (coarsest first), "alpha",
    "factor" (largest lift first) or "cosine" (of the match in the second training). count: at most so many, 1 to 500.
    pictures: send the mean effects and the strongest seeds, too. Returns model, checkpoint, command, criterion, second,
    again (clusters that are found again, null without a second training), levels, idle (modes of each in no cluster),
    total, found, clusters: address, level, name, modes (flat indices), effect, control, gain ([value, low, high] of the
    mean squared change), x, y, radius, place, frequency, alpha and beta (10, 50 and 90 % quantiles), picture, scale,
    seeds, factors (name, share, carried), everything, match, cosine, again, recipe.""",
        lambda call: call.bench.atlas(call.request),
        AtlasRequest,
        "model search level sort count pictures",
        defaults={"count": 20},
    ),
    Endpoint(
        "surgery",
        """The picture with other eigenvalues: alpha' = scale alpha + shift and beta likewise, one number a band.

    alpha_scale, beta_scale: -4 to 4; alpha_shift: -8 to 8; beta_shift: -25 to 25, per unit tau; [] changes
    nothing. levels: indices to operate on, [] for all. tau: time to decode at, 0 = picture. ablation: what keeps
    its own eigenvalues, the "mean" of 1,024 noises, another picture ("resample") or nothing ("zero"); the rest of the
    picture gets the new ones. Returns full, altered,
    difference (base64 PNG), magnification, mse, modes operated on a band, held: how many the bound |alpha| <= 8
    held back, growth: largest factor by which a mode grows on the way.""",
        lambda call: call.bench.surgery(call.request),
        SurgeryRequest,
        "model seed label edges order alpha_scale alpha_shift beta_scale beta_shift levels=entries tau ablation",
        defaults={"seed": 0},
    ),
    Endpoint(
        "edit",
        """Mix bands of a reference into the picture of a seed, beside a control that mixes all bands.

    reference: "seed", "scene" (drawn, numbered by reference_seed) or "picture". picture: base64 PNG, JPEG or WebP,
    at most 16 MB. encoding: "noise", "ode", "latent" or "inversion" (the teacher's ODE run back from the picture); the
    second and third for seeds only. tau: edit time, 0 picture to 1 noise. edges, order: the bands as in /mask_bands.
    bands: numbers of those that are mixed. ratio: 0 to 1. region: "whole", "lower-half", "lower-left-triangle",
    "lower-left-quadrant" or "painted". mask: for "painted", base64 picture, white = mix here. levels: indices that are
    mixed, [] for all. feather: softens the region's edge by so many pixels, 0 to 8. Returns original, edited, control,
    reference, encoded (base64 PNG), strip at strip_ratios, sigma of tau, share of modes mixed, numbers and
    numbers_control (outside: mean squared change outside the region; high_correlation with the reference inside;
    low_distance to the original; null where not defined), leakage and leakage_control (change outside of the region
    over that inside, or null).""",
        lambda call: call.bench.edit(call.request, call.watch),
        EditRequest,
        "model seed label reference reference_seed reference_label picture encoding noise_seed tau edges bands "
        "order ratio region mask levels=entries feather",
        defaults={"seed": 0},
    ),
    Endpoint(
        "inpaint",
        """Fill the hole of a picture.

    picture: base64 PNG, JPEG or WebP, at most 16 MB; its central square is brought to the model's size. mask:
    base64 picture, white = UNKNOWN. seed: of what is made up. steps: 1 to 40. method: "iterative" or "latent" (one
    step, the known picture encoded at tau). truth: whether the picture is right inside the hole, too, so that the
    result can be measured. frames: also give every step. end: last noise level, 0 for the published grid. skip: hold
    the map still at small noise. by: "model", or "teacher" (the same steps with its denoiser). Returns picture, given,
    frames (base64 PNG), sigma of the steps, nfe (network calls), numbers (psnr in dB over the hole, null where it is
    infinite since nothing differs; ssim; lpips, null without a backbone), which are null without truth.""",
        answers.restored,
        InpaintRequest,
        "model picture mask seed label steps method tau truth frames end skip by",
        defaults={"frames": False},
    ),
    Endpoint(
        "colorize",
        """Make up the colours of a picture, of which only the luma is looked at.

    Arguments and result as in /inpaint; truth: whether the picture's own colours are right.""",
        answers.restored,
        ColorizeRequest,
        "model picture seed label steps truth frames end skip by",
        defaults={"frames": False},
    ),
    Endpoint(
        "invert",
        """A picture taken back to noise and made again, by the teacher's ODE and by the Koopman law.

    picture: base64 PNG, JPEG or WebP, at most 4 MB; its central square is brought to the model's size. steps: levels of
    the teacher's way back, 4 to 40. times: decoded times of the Koopman way back, 2 to 16. Returns tau and sigma of
    path (base64 PNG, from the reconstruction to noise), one_call (the model's picture of the teacher's x_T), koopman
    and teacher (how close the first of path and one_call are: mse, psnr in dB, ssim, lpips or null), noise
    [channel][row][column] (x_T over 80), noise_numbers (its mean, std and correlation of neighbours), nfe (calls of
    the teacher); null without a teacher.""",
        lambda call: call.bench.invert(call.request, call.watch),
        InvertRequest,
        "model picture label steps times",
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "direction",
        """A direction in the latents that changes one thing, and pictures along it.

    method: "mean" (difference of the means of a factor or of two classes), "decoder" (principal direction of the
    decoder's Jacobian at this picture), "groups" (modes grouped by what they do), "teacher" (principal direction of the
    denoiser's Jacobian). contrast: of "mean", a factor of the drawn scenes ("size", "x", "colour.0", "kind=2"), or ""
    with class_from and class_to. index of count: which direction, the strongest first. region, mask: what should
    change, as in /edit. rest: how many directions of the rest it is projected off. tau: time at which scenes are
    encoded, or of the teacher's state. strengths: up to 9, in standard deviations over noises, -20 to 20. transfer: up
    to 8 other seeds. edges, order: of bands. Returns strengths, pictures [strength], transfer [seed][strength] (base64
    PNG), inside and outside [seed][strength] (mean squared change in and outside of the region, null for none), values
    (singular values, or effects of groups), spread (length of a standard deviation), place [level][band] (where the
    direction lies; null for the teacher's), modes of each group, names of the levels, nfe (calls of the teacher a
    picture).""",
        lambda call: call.bench.direction(call.request, call.watch),
        DirectionRequest,
        "model seed label method contrast class_from class_to index count region mask rest tau strengths transfer "
        "edges order",
        defaults={"seed": 0, "contrast": "size"},
        limits=(Limit(lambda r: (1 + len(r.transfer)) * len(r.strengths), 27, "Seeds times strengths"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "dynamics",
        """DMD of trajectories of your own: the activations of a network, the path of a flow, anything.

    npz: base64 of a file by numpy.savez with states (trajectories, times, features), perhaps times (equally spaced); at
    most 12 MB, 64 MB unpacked. rank: singular vectors at most, 1 to 64. held_out: share of the trajectories to judge
    by, 0 to 0.9. draws: bootstrap resamples, 10 to 1000. method: "exact", or "optimised" (whole trajectories at
    once, for noisy states). Returns alpha and beta per unit of time with alpha_low, alpha_high, beta_low, beta_high
    (null for one trajectory), amplitude, captured, singular values, held_out (numbers), errors by predictor (dense,
    diagonal, identity, best) [time], step, largest (frequency that the step can tell), remarks: what to mistrust.""",
        answers.dynamics,
        arguments="npz rank held_out draws method",
        defaults={"npz": "", "rank": 8, "held_out": 0.25, "draws": 200, "method": "exact"},
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "recipe",
        """Make a described result again, bit for bit on one kind of processor with as many threads.

    recipe: JSON text, as “Save recipe” or /describe gives it, at most 64 kB; its checksum finds the model.
    Returns kind, model, pictures (by name: base64 PNG, or a list of them), numbers (everything else of the
    result; null where there is none). Of a flow's recipe: model is the names of its nets; pictures and numbers are
    those of /flow_2d or /flow_images by letter of the setting, or numbers those of /forecast.""",
        _recipe,
        arguments="recipe",
        defaults={"recipe": ""},
    ),
    Endpoint(
        "describe",
        """The recipe of a question.

    model: name, "" for the default and for flows. settings: "kind" (generate, trajectory, mask_bands, edit,
    inpaint, colorize, flow_2d, flow_images or forecast) and every field of that kind, as in the "settings" of a
    saved recipe; pictures are base64 PNG. Returns the recipe as JSON text for /recipe and for the page.""",
        answers.describe,
        arguments="model settings",
        returns=str,
        defaults={"settings": {"kind": "generate", "seeds": [0], "label": -1}},
    ),
    Endpoint(
        "flow_2d",
        """Points from noise to a density of two dimensions, and how far they end from data.

    density: "8gaussians", "checkerboard", "moons", "spirals", "pinwheel", or "drawn" with drawing: rows of weights
    of 0 or more on [-4, 4]^2, the top first, 2 to 128 a side. path: "icfm", "otcfm", "sbcfm", "idff", "meanflow"
    (whose net says mean velocities, by which "euler" jumps), "target", "vp". sampler: "euler", "heun", "rk4",
    "taylor2", "multistep", "published" or "momentum" (Euler with gammas, no noise), "matched" (gamma1 with matched
    noise), "bridge". nfe: 1 to 50. sigma0: 0 to 2, of "sbcfm", "idff" and "target" (where it is the noise left at
    t = 1). gammas: -100 to 100. grid: "uniform" or "cosine". points: 16 to 2048. net: "auto", "oracle", "shipped", or
    a key from /train_toy. source: "normal" noise, or a density (with source_drawing as drawing), on "icfm", "otcfm"
    and "meanflow".
    Returns net, nfe and derivatives as counted, times, points [n][2], trajectories [n][time][2] or null;
    numbers, floor (data against data) and oracle (the same sampler on the closed form, or null), each with mmd2
    (unbiased), mmd2_biased and w2, whose points are w2_points, and blur, which that MMD hardly sees: spread within
    modes (null where there are none) and beyond, the share of points where data hardly are.""",
        answers.flow_2d,
        Flow2DRequest,
        "density path sampler nfe sigma0 gamma1 gamma2 gamma3 grid seed points net drawing trajectories source "
        "source_drawing",
        defaults={"trajectories": False},
    ),
    Endpoint(
        "likelihood",
        """How probable a flow of points makes one point of the plane, beside the exact density.

    density, drawing, path, sigma0, net: as in /flow_2d. point: its two coordinates, -20 to 20. steps: of the
    Runge-Kutta method from the point back to noise, 4 to 64, of four calls each. Returns log_prob (natural logarithm,
    per unit of area) and bits_per_dim of the flow; exact_log_prob and exact_bits_per_dim of the density, null where it
    is 0; latent: the point's place in the noise; nfe and derivatives as counted, net.""",
        lambda call: call.studio.points.likelihood(call.request),
        LikelihoodRequest,
        "density path sigma0 point steps net drawing",
    ),
    Endpoint(
        "transport",
        """What exact transport of minibatches pairs, by the size of the batch, without a net.

    density, drawing: as in /flow_2d. sizes: 1 to 1024, at most 8. seed: of noises, data and batches. seeds:
    sets of 512 noises, each paired in 32 batches, 2 to 8. Returns sizes, and [size][set]: cost (mean |x1 - x0|^2),
    mmd2 (unbiased, to data, of E[x1 | x0], where one call of a perfect net of OT-CFM ends), spread (of it within
    modes, null where a density has none), scatter (of the partners of one noise).""",
        lambda call: call.studio.points.transport(call.request, call.watch),
        TransportRequest,
        "density sizes seed seeds drawing",
        limits=(Limit(lambda r: len(r.sizes) * r.seeds, 16, "Sizes times seeds"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "train_toy",
        """Train a net on a density; comes back when it is done, or stopped after a minute.

    density, drawing, path, sigma0, source, source_drawing: as in /flow_2d. steps: of 256 points, 25 to 2000. width:
    of the net's 3 hidden layers, 16 to 256. Returns key (for net of /flow_2d; kept for some time), step reached, steps
    asked for, seconds, losses [step, mean loss], mmd2 [step, unbiased MMD^2 of a preview], numbers of the last preview
    or null.""",
        answers.train_toy,
        TrainRequest,
        "density path sigma0 steps width seed drawing source source_drawing",
        defaults={"steps": 500},
        limits=(Limit(lambda r: r.steps, 2000, "The number of training steps"),),
        queue=LONG_QUEUE,
    ),
    Endpoint(
        "flow_images",
        """Pictures from noise by a flow, with what it saw on the way and how far from its exact flow it ends.

    data: "shapes" or "cifar10", as far as there are nets for it. path: the net's, "idff", "otcfm" or "meanflow" (on
    which "euler" jumps). sampler: "euler", "heun", "rk4", "taylor2", "multistep"; on "idff" also "published" or
    "momentum" (Euler with gammas, no noise), "matched" (gamma1 with matched noise), "bridge". nfe: 1 to 50. seeds:
    1 to 8, one a picture, the same noise for every net and sampler. label: class index, -1 for none. gammas: -100 to
    100. grid: "uniform" or "cosine". steps: whether x1_hat and the states come back, too (steps times seeds at most
    256). distance: whether the net's plain flow is followed in 61 calls and compared; this takes longer. guidance:
    0 to 20, times the velocity of the class less that without one, between guidance_from and guidance_to in t; 1 for
    none. Where it acts every step takes a call more, which nfe counts.
    Returns net, nfe and derivatives as counted, seconds, times, pictures [seed]; x1_hat [step][seed] and states
    [time][seed], or null; exact [seed] and distance with mse, psnr, ssim, lpips, each [seed] (null for equal
    pictures or without a backbone), or null. Pictures are base64 PNG.""",
        answers.flow_images,
        FlowPicturesRequest,
        "data path sampler nfe seeds label gamma1 gamma2 gamma3 grid steps distance guidance guidance_from guidance_to",
        defaults={"steps": False, "distance": False},
        queue=EXACT_QUEUE,
    ),
    Endpoint(
        "forecast",
        """An ensemble forecast of a time series from its held-out part, beside the truth and forecasts without a net.

    model: "lorenz", "alanine", "sst_sites" or another that is here; "" for the first. start: where in the held-out
    part, 0 to 1. horizon: frames, 1 to twice the world's usual number and at most 200; 0 for the usual one.
    members: 2 to 50. nfe: network calls a frame, 1 to 50. method: "euler", "heun", "rk4", "taylor2", "multistep",
    "bridge", "matched", "momentum", "published". gammas: -100 to 100, up to three for "published" and "momentum",
    one of at least 0 for "matched", else not read. every_member: whether all members come back. maps: whether the
    maps of a field do.
    Returns model, title, variables, unit, dt, time_unit, start and starts (which one of how many), times (dates,
    or time after the last frame seen), past_times, past [time][variable] and seen (frames the model saw), truth and
    mean [lead][variable], levels and quantiles [level][lead][variable], members [member][lead][variable] or null,
    baselines (name: mean); marks (name: crps, crps_fair, rmse, spread, by_lead) in standard deviations of the
    training part, or radians for angles; reference (the baseline to beat: the strongest over many starts), usual
    (name: fair CRPS over many starts), unbeaten (that baseline where the model is not shown to be better over many
    starts, else ""), inside (share of the truth in the band from 5 to 95 %), in_sample (whether the model was trained
    on these frames), nfe and derivatives a frame as counted, seconds, models (what is here); maps: null, or mean,
    truth, error, spread [lead][row][column], null on land, latitudes, longitudes.""",
        answers.forecast,
        ForecastRequest,
        "model start horizon members nfe method gammas seed every_member maps",
        defaults={"every_member": False, "maps": False},
    ),
)
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}


def add_endpoints(studio: Studio) -> None:
    """Register all endpoints with the page under construction."""
    limit_decoders()
    for endpoint in ENDPOINTS:
        endpoint.add(studio)
