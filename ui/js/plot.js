// A Plotly figure that keeps its zoom and answers clicks. props.value = JSON of the figure.

const div = element.querySelector(".ks-plot");
const name = () => (element.closest("[id]")?.id || "figure").replace(/[^\w-]/g, "");
const vector = {
  name: "toSVG",
  title: "Download plot as SVG",
  get icon() { return Plotly.Icons.disk; }, // there when a figure is drawn
  click: () => Plotly.downloadImage(div, { format: "svg", filename: name() }),
};
const config = {
  ...PLOT,
  modeBarButtonsToRemove: ["autoScale2d"],
  modeBarButtonsToAdd: [vector],
  toImageButtonOptions: { ...PLOT.toImageButtonOptions, filename: name() },
};
if (props.modebar) config.displayModeBar = true;

// customdata[0] is the flat index of a mode; each mode is drawn twice (+ beta, - beta)
const chosen = (event) =>
  [...new Set(event.points.filter((p) => p.customdata).map((p) => Number(p.customdata[0])))];

// From the keyboard: the arrows go from mode to mode in the order of their real parts, beginning at 0.
function arrows(event) {
  const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
  if (!by) return;
  event.preventDefault();
  const real = new Map();
  div._fullData.forEach((trace) => {
    (trace.customdata || []).forEach((place, i) => real.set(Number(place[0]), trace.x[i]));
  });
  const modes = [...real.keys()].sort((a, b) => real.get(a) - real.get(b) || a - b);
  const last = modes.indexOf(div.chosen), right = modes.findIndex((k) => real.get(k) >= 0);
  const next = last >= 0 ? last + by : by < 0 ? right - 1 : right;
  div.chosen = modes[Math.max(0, Math.min(modes.length - 1, next))];
  clearTimeout(div.waiting); // one answer for a held key
  div.waiting = setTimeout(() => trigger("select", { points: [div.chosen] }), 150);
}

function wire() {
  if (div.wired) return;
  div.wired = true;
  keepDrawn(div, draw);
  if (!props.clickable) return;
  div.on("plotly_click", (event) => {
    const points = chosen(event).slice(0, 1);
    clearTimeout(div.resting);
    if (points.length) trigger("select", { points: [(div.near = div.chosen = points[0])] });
  });
  div.addEventListener("keydown", arrows);
  // the pointer rests on a point: its mode, until another one is pointed at or the plane is left
  const rest = (modes, ms) => {
    clearTimeout(div.resting);
    div.resting = setTimeout(() => {
      const near = modes[0] ?? null;
      const before = div.near ?? null;
      div.near = near;
      // what is shown already: the same mode, or the chosen one
      if (near === before || (near ?? div.chosen) === (before ?? div.chosen)) return;
      trigger("focus", { points: modes });
    }, ms);
  };
  div.on("plotly_hover", (event) => { if (!event.event?.buttons) rest(chosen(event).slice(0, 1), 180); });
  div.on("plotly_unhover", () => clearTimeout(div.resting));
  div.addEventListener("mouseleave", () => rest([], 100));
  div.on("plotly_selected", (event) => { if (event) trigger("apply", { points: chosen(event) }); });
}

function draw() {
  if (!div || !props.value) return;
  if (!window.Plotly) {
    window.studioPlotly().then(draw, () => {});
    return;
  }
  const figure = themed(JSON.parse(props.value));
  const own = cssValueOf(div, "--ks-fits") && div.clientHeight;
  if (own) figure.layout.height = own;
  else div.style.minHeight = `${figure.layout.height}px`;
  Plotly.react(div, figure.data, figure.layout, config).then(wire);
}

// Pictures that come with a figure are seen first: a plane of thousands of points takes a good second without a GPU.
let due = false;
function soon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => setTimeout(() => {
    due = false;
    draw();
  }));
}

soon();
watch("value", soon);
