// Shared by plot.js and trajectory_player.js; Gradio hands in element, trigger, props and watch.

const DARK_INK = { "#0072B2": "#3D9BE0", "#000000": "#ffffff", "#6A4C93": "#A98BD6" }; // too dim on a dark page

// Nothing of a plot leaves this machine: Plotly's own bar would offer to upload it.
const PLOT = {
  displaylogo: false, responsive: false, plotlyServerURL: "", showSendToCloud: false, showEditInChartStudio: false,
  toImageButtonOptions: { format: "png", scale: 3 },
};

const isDark = () => document.body.classList.contains("dark");
const cssValueOf = (part, name) => getComputedStyle(part).getPropertyValue(name).trim();
const cssValue = (name) => cssValueOf(element, name);

// A projector's laptop may have no WebGL: points are then drawn as SVG, slower but the same. To ask takes a moment, in
// which the first picture would wait: it is asked once, by the first figure that has points.
function hasWebGL() {
  const asked = () => {
    try {
      return document.createElement("canvas").getContext("webgl") !== null;
    } catch {
      return false;
    }
  };
  return (window.ksWebGL ??= asked());
}

function inked(trace) {
  const out = { ...trace };
  if (out.type === "scattergl" && !hasWebGL()) out.type = "scatter";
  if (isDark()) {
    for (const part of ["marker", "line"]) {
      const colour = out[part] && out[part].color;
      if (DARK_INK[colour]) out[part] = { ...out[part], color: DARK_INK[colour] };
    }
  }
  return out;
}

// The page's own colours, so that a plot is readable in light and in dark mode.
function themed(figure) {
  const ink = cssValue("--body-text-color") || "#333";
  const grid = cssValue("--border-color-primary") || "#ddd";
  const ground = cssValue("--background-fill-primary") || "#fff";
  const layout = { ...figure.layout };
  layout.font = { ...layout.font, color: ink, family: cssValue("--font") || "sans-serif" };
  layout.hoverlabel = { bgcolor: ground, bordercolor: grid, font: { color: ink } };
  layout.modebar = { ...layout.modebar, bgcolor: "rgba(0,0,0,0)", color: grid, activecolor: ink };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    layout[name] = { gridcolor: grid, zerolinecolor: ink, linecolor: grid, automargin: true, ...layout[name] };
  }
  const narrow = element.clientWidth > 0 && element.clientWidth < 520;
  if (narrow && layout.annotations) layout.annotations = layout.annotations.map((a) => ({ ...a, font: { size: 10 } }));
  return { data: figure.data.map(inked), layout };
}

// Draws again when the page turns dark, and takes the right size when its tab is opened.
function keepDrawn(div, draw) {
  new ResizeObserver(() => {
    if (!div.offsetWidth || !div.data) return;
    if (cssValueOf(div, "--ks-fits")) Plotly.relayout(div, { height: div.clientHeight, width: div.clientWidth });
    else Plotly.Plots.resize(div);
  }).observe(div);
  new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
