"""How the page looks: a theme on fonts that come with Gradio, so that no request leaves the machine."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE_SHEET = Path(__file__).resolve().parent.parent / "assets" / "style.css"

# steps around Okabe and Ito's blue, which the plots use too
THEME_BLUE = gr.themes.Color(
    name="studio",
    c50="#eef6fb", c100="#d8eaf6", c200="#b0d5ed", c300="#7dbae0", c400="#3d9be0", c500="#0072b2",
    c600="#00639b", c700="#005280", c800="#064468", c900="#0b3a57", c950="#072538",
)  # fmt: skip

# whole fonts: Gradio's files of 600 hold Latin letters alone, and a browser takes α, τ and × from another face then;
# where 600 is asked for, it takes 700
FONT_WEIGHTS = (400, 700)


def theme() -> gr.themes.Base:
    """The theme for `launch(theme=...)`."""
    return gr.themes.Base(
        primary_hue=THEME_BLUE,
        secondary_hue=THEME_BLUE,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.LocalFont("IBM Plex Sans", FONT_WEIGHTS), "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", FONT_WEIGHTS), "ui-monospace", "Consolas", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_shadow="none",
        block_label_text_weight="500",
        block_title_text_weight="600",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600",
        button_primary_text_color="white",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_800",
    )


JS_DIR = Path(__file__).parent / "js"


def script(*parts: str) -> str:
    """Scripts of a player, one after another."""
    return "\n".join((JS_DIR / part).read_text(encoding="utf-8") for part in parts)
