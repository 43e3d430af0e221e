// Flows under one time slider. props.value = JSON {trace, begin, panels: [{title, note, numbers, times, x, y, figure} or null]};
// times is null where nothing moves: the figure is then the density alone.
// Between two times of a grid a point moves on a straight line: that is what a step of Euler's method does.

const now = element.querySelector(".ks-now"), boxes = [...element.querySelectorAll(".ks-flow")];
const bar = timeBar(show, { playing: "Play from noise to data", marks: element.querySelector(".ks-flow-player") });
let run = null;

function place(panel, t) {
  const last = panel.times.length - 1;
  let k = 0;
  while (k < last - 1 && panel.times[k + 1] <= t) k += 1;
  const share = Math.min(1, Math.max(0, (t - panel.times[k]) / (panel.times[k + 1] - panel.times[k])));
  const mix = (axis) => panel[axis][k].map((v, i) => v + share * (panel[axis][k + 1][i] - v));
  return { x: [mix("x")], y: [mix("y")] };
}

function show(t) {
  now.textContent = `t = ${t.toFixed(3)}`;
  (run ? run.panels : []).forEach((panel, i) => {
    const plot = boxes[i].querySelector(".ks-flow-plot");
    if (panel && panel.times && plot.data) Plotly.restyle(plot, place(panel, t), [run.trace]);
  });
}

// A click anywhere in the plane asks for the density there.
function pick(plot, setting, event) {
  const { xaxis, yaxis } = plot._fullLayout, box = plot.getBoundingClientRect();
  const x = xaxis.p2d(event.clientX - box.left - xaxis._offset), y = yaxis.p2d(event.clientY - box.top - yaxis._offset);
  const within = (value, [from, to]) => value >= Math.min(from, to) && value <= Math.max(from, to);
  if (!run.panels[setting]?.times || !within(x, xaxis.range) || !within(y, yaxis.range)) return;
  const r = (xaxis.range[1] - xaxis.range[0]) / 50;
  Plotly.relayout(plot, { shapes: [{ type: "circle", x0: x - r, x1: x + r, y0: y - r, y1: y + r, line: { color: "#D55E00", width: 3 } }] });
  trigger("select", { setting, point: [x, y] });
}

function draw() {
  if (!run) return;
  if (!window.Plotly) {
    window.studioPlotly().then(draw, () => {});
    return;
  }
  run.panels.forEach((panel, i) => {
    const plot = boxes[i].querySelector(".ks-flow-plot");
    plot.hidden = !(panel && panel.figure);
    if (plot.hidden) return;
    const figure = themed(panel.figure);
    if (panel.times) {
      const moved = place(panel, bar.at);
      figure.data[run.trace] = { ...figure.data[run.trace], x: moved.x[0], y: moved.y[0] };
    }
    if (plot.clientWidth > 0) figure.layout.height = plot.clientWidth + 12; // a plane is square
    plot.style.minHeight = `${figure.layout.height}px`;
    plot.setAttribute("aria-label", panel.times ? `Points of ${panel.title} on the way to the density` : "The exact density");
    Plotly.react(plot, figure.data, figure.layout, { ...PLOT, displayModeBar: false }).then(() => {
      if (plot.wired) return;
      plot.wired = true;
      keepDrawn(plot, draw);
      plot.addEventListener("click", (event) => pick(plot, i, event));
    });
  });
}

function load() {
  if (!props.value) return;
  bar.stop();
  run = null; // what is about to be drawn needs no moving
  bar.set(1);
  run = JSON.parse(props.value);
  const times = run.panels.filter((p) => p && p.times).flatMap((p) => p.times);
  bar.stops = [...new Set(times.map((t) => Number(t.toFixed(9))))].sort((a, b) => a - b);
  boxes.forEach((box, i) => {
    const panel = run.panels[i];
    box.hidden = !panel;
    if (!panel) return;
    box.querySelector("b").textContent = panel.title;
    box.querySelector("span").textContent = panel.note;
    box.querySelector(".ks-flow-numbers").innerHTML = panel.numbers;
  });
  element.querySelector(".ks-end").textContent = run.begin;
  draw();
}

bar.stop();
load();
watch("value", load);
