"""The words of the field as this program uses them: the page's glossary and docs/glossary.md come from here.

`python -m analysis.guide.glossary` prints docs/glossary.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One word. Attributes: name; text = one or two plain sentences; formula = "" where none helps."""

    name: str
    text: str
    formula: str = ""


@dataclass(frozen=True)
class Chapter:
    """Words that belong together. Attributes: title; terms, in reading order."""

    title: str
    terms: tuple[Term, ...]


CHAPTERS = (
    Chapter(
        "Noise and time",
        (
            Term("σ, noise level", "Standard deviation of the noise in a state, from 80 (nothing else left) to 0.002."),
            Term(
                "trajectory",
                "All states on the way from one noise to one picture, in order. The same noise always gives the same "
                "one.",
            ),
            Term(
                "τ, Koopman time",
                "σ on a scale from 1 at noise to 0 at the picture, on which the teacher's levels lie evenly; T and ε "
                "are the two ends, σ = 80 and 0.002.",
                "τ = (σ^(1/7) − ε^(1/7)) / (T^(1/7) − ε^(1/7))",
            ),
            Term(
                "teacher",
                "The network that was trained to remove noise (EDM). It makes a picture by following an ODE in many "
                "calls, and the Koopman model learns from its trajectories.",
            ),
            Term(
                "denoised state",
                "The teacher's best guess of the picture at a noise level: blurred at first, the picture at the end.",
                "D(x; σ)",
            ),
            Term("NFE", "Number of function evaluations: how often the network was called. Counted here, not assumed."),
        ),
    ),
    Chapter(
        "Koopman model",
        (
            Term(
                "Koopman operator",
                "The matrix A that moves the latents in time, the same for every picture. It is made of 2×2 blocks, so "
                "its exponential costs next to nothing.",
                "z(τ) = exp((τ − 1) A) z(1)",
            ),
            Term(
                "latents, level",
                "What the first half of the network makes of a picture: one block of numbers a level (in code: entry), "
                "that is at each skip connection and at the bottleneck.",
                "z = E(x)",
            ),
            Term(
                "one-step",
                "From noise to picture in a single network call, by way of the latents.",
                "x = D(exp(−A) E(noise))",
            ),
            Term(
                "Koopman path",
                "The pictures that the evolved latents decode to at every τ, without calling the first half again.",
                "x(τ) = D(exp((τ − 1) A) E(noise))",
            ),
            Term(
                "mode",
                "Two neighbouring channels at one place of one level, with one 2×2 block of A: the smallest part that "
                "moves on its own.",
            ),
            Term(
                "eigenvalue",
                "The pair of complex numbers that says how a mode moves; all of them together are the spectrum.",
                "λ = α ± iβ",
            ),
            Term(
                "α",
                "Rate of growth, per unit of τ. Below 0 a mode grows on the way to the picture, above 0 it fades.",
                "size × exp(−α) from noise to picture",
            ),
            Term("β", "Rate of turning, in radians per unit of τ: how far the two numbers of a mode rotate."),
            Term(
                "band",
                "Modes of neighbouring rank by α (or by its size |α|), ranked within each level; three thirds unless "
                "the edges are moved. What a band carries is measured, not given by its name.",
            ),
            Term("retention", "By how much a band is kept: 0 removes it, 1 keeps it, 2 doubles it."),
            Term(
                "path objective",
                "Training that asks the Koopman path to follow the teacher's denoised states at every time (ours; "
                "model shapes).",
            ),
            Term(
                "published objective",
                "Training that asks for the final picture only, from the noise and from times between (the paper's; "
                "model shapes-published).",
            ),
        ),
    ),
    Chapter(
        "Flows",
        (
            Term(
                "flow matching",
                "Training a network to say in which direction points must move so that noise (t = 0) becomes data "
                "(t = 1).",
                "x_t = t x₁ + (1 − t) x₀ + σ_t ε",
            ),
            Term(
                "coupling",
                "Which noise is paired with which data point in training: at random (I-CFM), or so that the ways are "
                "short in all (optimal transport, OT-CFM).",
            ),
            Term("score", "The direction in which the density of the noisy points rises fastest.", "s = ∇ log p_t"),
            Term(
                "momentum, γ",
                "Weights with which IDFF adds the score and its derivatives to the drift. Without matching noise they "
                "change where the points end; at γ₁ = ½ the first one vanishes.",
                "(γ₁ − ½) σ_t² s",
            ),
        ),
    ),
    Chapter(
        "Measures",
        (
            Term(
                "PSNR",
                "Peak signal-to-noise ratio of two pictures in decibels: more is closer.",
                "10 log₁₀(2² / MSE), pictures in [−1, 1]",
            ),
            Term(
                "LPIPS",
                "Perceptual distance of two pictures: difference of their features in a trained network (AlexNet), "
                "0 for equal ones.",
            ),
            Term(
                "signature",
                "The energies of a picture's latents by band and level. Whether they tell a class or a factor is "
                "measured on pictures that nothing was fitted to, beside energies of bands dealt at random.",
            ),
            Term(
                "DMD",
                "Dynamic mode decomposition: the linear law that fits a system's states best, whose eigenvalues are "
                "found from data alone.",
            ),
            Term(
                "MMD²",
                "Squared maximum mean discrepancy of two clouds of points under a Gaussian kernel. The unbiased "
                "estimate can fall below 0; near 0 the clouds cannot be told apart.",
                "E k(x, x′) + E k(y, y′) − 2 E k(x, y)",
            ),
            Term(
                "W₂",
                "2-Wasserstein distance: root mean squared way on which one cloud is carried to the other at least "
                "cost.",
            ),
            Term(
                "CRPS",
                "Continuous ranked probability score of an ensemble forecast: its distance to the truth less half the "
                "distance among its members. Smaller is better.",
                "mean |xᵢ − y| − ½ mean |xᵢ − xⱼ|",
            ),
            Term(
                "spread-skill ratio",
                "Spread of an ensemble over the error of its mean: 1 is ideal for many members, below 1 it is too sure "
                "of itself.",
            ),
        ),
    ),
)
TITLE = "# Glossary"
LEAD = """The words as this program uses them, the same as under *Glossary* on the page. Formulas in full:
[method.md](method.md) and [flow.md](flow.md)."""


def terms() -> tuple[Term, ...]:
    """All words in their order."""
    return tuple(term for chapter in CHAPTERS for term in chapter.terms)


def page() -> str:
    """docs/glossary.md."""
    parts = [TITLE, LEAD]
    for chapter in CHAPTERS:
        parts.append(f"## {chapter.title}")
        parts += [f"**{t.name}**: {t.text}" + (f" `{t.formula}`" if t.formula else "") for t in chapter.terms]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
