// Scrubs through a trajectory. All frames come at once in props.value, so that moving needs no server.

const find = (selector) => element.querySelector(selector);
const slider = find(".ks-time"), play = find(".ks-play"), curve = find(".ks-curve"), more = find(".ks-curve-box");
const main = find(".ks-main"), wipe = find(".ks-wipe"), line = find(".ks-wipe-line"), words = find(".ks-big-words");
const WHOLE_RUN_MS = 3600;
let run = null, clock = null, shown = 0, over = null; // over: the track that is laid over the first

function paint(canvas, sprite, index) {
  const side = run.side, context = canvas.getContext("2d");
  canvas.width = canvas.height = side;
  context.drawImage(sprite, index * side, 0, side, side, 0, 0, side, side);
}

// The first track large; right of the line what it is compared with.
function paintMain() {
  const [first] = run.tracks, other = over === null ? null : run.tracks[over];
  if (!first.ready) return;
  paint(main, first.sprite, shown);
  words.textContent = other ? `${first.title} | ${other.title}` : run.made.words;
  main.setAttribute("aria-label", `${other ? words.textContent : first.title}, ${run.made.words}`);
  wipe.hidden = line.hidden = !other;
  if (!other || !other.ready) return;
  const { side } = run, share = Number(wipe.value) / 100, from = Math.round(share * side);
  line.style.left = `${100 * share}%`;
  main.getContext("2d").drawImage(other.sprite, shown * side + from, 0, side - from, side, from, 0, side - from, side);
}

// The pipeline beside shows where the player is.
function tell() {
  const frame = (track, k) => (track && track.ready ? (canvas) => paint(canvas, track.sprite, k) : null);
  const noise = run.tracks[2] || run.tracks[0], side = run.side;
  document.dispatchEvent(new CustomEvent("studio:moment", {
    detail: { tau: run.tau[shown], side, first: frame(noise, 0), last: frame(run.tracks[0], run.sigma.length - 1) },
  }));
}

function compare(track) {
  over = over === track || track === 0 ? null : track;
  element.querySelectorAll(".ks-track button").forEach((button, k) => button.setAttribute("aria-pressed", k === over));
  if (run) paintMain();
}

function show(index) {
  if (!run) return;
  shown = Math.max(0, Math.min(run.sigma.length - 1, index));
  slider.value = shown;
  const sigma = run.sigma[shown], tau = run.tau[shown];
  const number = (x) => (x >= 0.01 || x === 0 ? Number(x.toPrecision(3)).toString() : x.toExponential(1));
  const where = [run.made.words, `σ = ${number(sigma)}`, `τ = ${tau.toFixed(3)}`, `level ${shown + 1} of ${run.sigma.length}`];
  find(".ks-now").replaceChildren(...where.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
  slider.setAttribute("aria-valuetext", `noise level ${number(sigma)}, Koopman time ${tau.toFixed(3)}`);
  run.tracks.forEach((track) => { if (track.ready) paint(track.canvas, track.sprite, shown); });
  find(".ks-player").dataset.level = shown;
  paintMain();
  tell();
  if (curve.data) Plotly.relayout(curve, { "shapes[0].x0": sigma, "shapes[0].x1": sigma });
}

function stop() {
  clearInterval(clock);
  clock = null;
  delete find(".ks-player").dataset.playing;
  play.textContent = "▶ Play";
  play.setAttribute("aria-label", "Play from noise to picture");
}

function start() {
  if (!run) return;
  if (shown >= run.sigma.length - 1) show(0);
  play.textContent = "❚❚ Pause";
  play.setAttribute("aria-label", "Pause");
  find(".ks-player").dataset.playing = "";
  clock = setInterval(() => {
    show(shown + 1);
    if (shown >= run.sigma.length - 1) stop();
  }, Math.max(80, WHOLE_RUN_MS / run.sigma.length));
}

const step = (by) => { stop(); show(shown + by); };

function drawCurve() {
  more.hidden = !(run && run.figure);
  if (!run || !run.figure || !more.open) return;
  if (!window.Plotly) {
    window.studioPlotly().then(drawCurve, () => {});
    return;
  }
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
  find(".ks-now").dataset.made = run.made.data;
  const figures = [...element.querySelectorAll(".ks-track")];
  figures.forEach((box, i) => {
    const track = run.tracks[i];
    box.hidden = !track;
    if (!track) return;
    track.canvas = box.querySelector("canvas");
    track.canvas.setAttribute("aria-label", track.title);
    const button = box.querySelector("button");
    button.setAttribute("aria-label", i ? `Compare with: ${track.title}` : track.title);
    button.title = i ? "Lay it over the large picture" : "Show it alone";
    box.querySelector("figcaption b").textContent = track.title;
    box.querySelector("figcaption span").textContent = track.note;
    track.sprite = new Image();
    track.sprite.onload = () => {
      if (run.tracks[i] !== track) return;
      track.ready = true;
      paint(track.canvas, track.sprite, shown);
      paintMain();
      tell();
      if (i === 0) playOnce();
    };
    track.sprite.src = track.src;
  });
  if (over !== null && !run.tracks[over]) compare(over);
  shown = run.sigma.length - 1;
  drawCurve();
  show(shown);
}

// The first picture of a visit comes out of its noise by itself, unless the visitor wants no motion.
function playOnce() {
  if (window.studioPlayed) return;
  window.studioPlayed = true;
  const elsewhere = ![undefined, "watch"].includes(document.documentElement.dataset.view);
  if (elsewhere || window.matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  show(0);
  start();
}

element.querySelectorAll(".ks-track button").forEach((button, k) => button.addEventListener("click", () => compare(k)));
wipe.addEventListener("input", paintMain);
more.addEventListener("toggle", drawCurve);
document.addEventListener("studio:seek", (event) => { stop(); if (run) show(Math.round(event.detail * (run.sigma.length - 1))); });
slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
play.addEventListener("click", () => (clock ? stop() : start()));
find(".ks-back").addEventListener("click", () => step(-1));
find(".ks-forward").addEventListener("click", () => step(1));
load();
watch("value", load);
