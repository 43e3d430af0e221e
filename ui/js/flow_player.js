// Flows under one time slider. props.value = JSON {trace, panels: [{title, note, numbers, times, x, y, figure} or null]}.
// Between two times of a grid a point moves on a straight line: that is what a step of Euler's method does.

const find = (selector) => element.querySelector(selector);
const slider = find(".ks-time"), play = find(".ks-play"), now = find(".ks-now");
const boxes = [...element.querySelectorAll(".ks-flow")];
const WHOLE_RUN_MS = 4000, FRAME_MS = 60, TICKS = 1000;
let run = null, clock = null, at = 1, stops = [0, 1];

function place(panel, t) {
  const last = panel.times.length - 1;
  let k = 0;
  while (k < last - 1 && panel.times[k + 1] <= t) k += 1;
  const share = Math.min(1, Math.max(0, (t - panel.times[k]) / (panel.times[k + 1] - panel.times[k])));
  const mix = (axis) => panel[axis][k].map((v, i) => v + share * (panel[axis][k + 1][i] - v));
  return { x: [mix("x")], y: [mix("y")] };
}

function show(t) {
  if (!run) return;
  at = Math.max(0, Math.min(1, t));
  slider.value = Math.round(at * TICKS);
  slider.setAttribute("aria-valuetext", `time ${at.toFixed(2)}`);
  now.textContent = `t = ${at.toFixed(3)}`;
  find(".ks-flow-player").dataset.time = at.toFixed(3);
  run.panels.forEach((panel, i) => {
    const plot = boxes[i].querySelector(".ks-flow-plot");
    if (panel && panel.figure && plot.data) Plotly.restyle(plot, place(panel, at), [run.trace]);
  });
}

function stop() {
  clearInterval(clock);
  clock = null;
  play.textContent = "▶ Play";
  play.setAttribute("aria-label", "Play from noise to data");
}

function start() {
  if (!run) return;
  if (at >= 1) show(0);
  play.textContent = "❚❚ Pause";
  play.setAttribute("aria-label", "Pause");
  const begun = performance.now(), from = at;
  clock = setInterval(() => {
    show(from + (performance.now() - begun) / WHOLE_RUN_MS);
    if (at >= 1) stop();
  }, FRAME_MS);
}

// To the next or the last time of any grid.
function step(by) {
  stop();
  const near = 1e-6;
  const next = by > 0 ? stops.find((t) => t > at + near) : [...stops].reverse().find((t) => t < at - near);
  show(next === undefined ? (by > 0 ? 1 : 0) : next);
}

function draw() {
  if (!run || !window.Plotly) return;
  run.panels.forEach((panel, i) => {
    const plot = boxes[i].querySelector(".ks-flow-plot");
    plot.hidden = !(panel && panel.figure);
    if (plot.hidden) return;
    const figure = themed(panel.figure), moved = place(panel, at);
    figure.data[run.trace] = { ...figure.data[run.trace], x: moved.x[0], y: moved.y[0] };
    // a plane is square: on a narrow page a lower plot leaves no gap
    if (plot.clientWidth > 0) figure.layout.height = Math.min(figure.layout.height, plot.clientWidth + 12);
    plot.style.minHeight = `${figure.layout.height}px`;
    plot.setAttribute("aria-label", `Points of ${panel.title} over the density`);
    Plotly.react(plot, figure.data, figure.layout, { displaylogo: false, displayModeBar: false, responsive: false }).then(() => {
      if (plot.wired) return;
      plot.wired = true;
      keepDrawn(plot, draw);
    });
  });
}

function load() {
  if (!props.value) return;
  stop();
  run = JSON.parse(props.value);
  const times = run.panels.filter((p) => p && p.figure).flatMap((p) => p.times);
  stops = [...new Set(times.map((t) => Number(t.toFixed(9))))].sort((a, b) => a - b);
  boxes.forEach((box, i) => {
    const panel = run.panels[i];
    box.hidden = !panel;
    if (!panel) return;
    box.querySelector("b").textContent = panel.title;
    box.querySelector("span").textContent = panel.note;
    box.querySelector(".ks-flow-numbers").innerHTML = panel.numbers;
  });
  at = 1;
  draw();
  show(1);
}

slider.addEventListener("input", () => { stop(); show(Number(slider.value) / TICKS); });
play.addEventListener("click", () => (clock ? stop() : start()));
find(".ks-back").addEventListener("click", () => step(-1));
find(".ks-forward").addEventListener("click", () => step(1));
load();
watch("value", load);
