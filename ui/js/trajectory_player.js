// Scrubs through a trajectory. All frames come at once in props.value, so that moving needs no server.

const find = (selector) => element.querySelector(selector);
const slider = find(".ks-time"), play = find(".ks-play"), curve = find(".ks-curve");
const WHOLE_RUN_MS = 3600;
let run = null, clock = null, shown = 0;

function paint(canvas, sprite, index) {
  const side = run.side, context = canvas.getContext("2d");
  canvas.width = canvas.height = side;
  context.drawImage(sprite, index * side, 0, side, side, 0, 0, side, side);
}

function show(index) {
  if (!run) return;
  shown = Math.max(0, Math.min(run.sigma.length - 1, index));
  slider.value = shown;
  const sigma = run.sigma[shown], tau = run.tau[shown];
  const number = (x) => (x >= 0.01 || x === 0 ? Number(x.toPrecision(3)).toString() : x.toExponential(1));
  const where = [`seed ${run.seed}`, run.model, `σ = ${number(sigma)}`, `τ = ${tau.toFixed(3)}`, `level ${shown + 1} of ${run.sigma.length}`];
  find(".ks-now").replaceChildren(...where.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
  slider.setAttribute("aria-valuetext", `noise level ${number(sigma)}, Koopman time ${tau.toFixed(3)}`);
  run.tracks.forEach((track) => { if (track.ready) paint(track.canvas, track.sprite, shown); });
  find(".ks-player").dataset.level = shown;
  if (curve.data) Plotly.relayout(curve, { "shapes[0].x0": sigma, "shapes[0].x1": sigma });
}

function stop() {
  clearInterval(clock);
  clock = null;
  play.textContent = "▶ Play";
  play.setAttribute("aria-label", "Play from noise to picture");
}

function start() {
  if (!run) return;
  if (shown >= run.sigma.length - 1) show(0);
  play.textContent = "❚❚ Pause";
  play.setAttribute("aria-label", "Pause");
  clock = setInterval(() => {
    show(shown + 1);
    if (shown >= run.sigma.length - 1) stop();
  }, Math.max(80, WHOLE_RUN_MS / run.sigma.length));
}

const step = (by) => { stop(); show(shown + by); };

function drawCurve() {
  find(".ks-curve-box").hidden = !(run && run.figure);
  if (!run || !run.figure || !window.Plotly) return;
  const figure = themed(run.figure);
  figure.layout.shapes = figure.layout.shapes.map((s) => ({ ...s, x0: run.sigma[shown], x1: run.sigma[shown] }));
  Plotly.react(curve, figure.data, figure.layout, PLOT).then(() => {
    if (curve.wired) return;
    curve.wired = true;
    keepDrawn(curve, drawCurve);
    curve.on("plotly_click", (event) => { stop(); show(Number(event.points[0].customdata)); });
  });
}

function load() {
  if (!props.value) return;
  stop();
  run = JSON.parse(props.value);
  slider.max = run.sigma.length - 1;
  const figures = [...element.querySelectorAll(".ks-track")];
  figures.forEach((box, i) => {
    const track = run.tracks[i];
    box.hidden = !track;
    if (!track) return;
    track.canvas = box.querySelector("canvas");
    track.canvas.setAttribute("aria-label", track.title);
    box.querySelector("figcaption b").textContent = track.title;
    box.querySelector("figcaption span").textContent = track.note;
    track.sprite = new Image();
    track.sprite.onload = () => { track.ready = true; paint(track.canvas, track.sprite, shown); };
    track.sprite.src = track.src;
  });
  shown = run.sigma.length - 1;
  drawCurve();
  show(shown);
}

slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
play.addEventListener("click", () => (clock ? stop() : start()));
find(".ks-back").addEventListener("click", () => step(-1));
find(".ks-forward").addEventListener("click", () => step(1));
load();
watch("value", load);
