// Pictures of flows under one time slider. props.value = JSON [{title, note, numbers, times, steps, tracks} or null];
// a track is {src, width, height}: the moments of `times` below each other. Between two of them the earlier one is shown.

const now = element.querySelector(".ks-now"), boxes = [...element.querySelectorAll(".ks-flow")];
const bar = timeBar(show, { playing: "Play from noise to picture", marks: element.querySelector(".ks-image-player") });
let panels = null;

function paint(track, canvas, k) {
  const { width, height } = track;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.style.aspectRatio = `${width} / ${height}`;
  if (track.ready) canvas.getContext("2d").drawImage(track.sprite, 0, k * height, width, height, 0, 0, width, height);
}

function show(t) {
  now.textContent = `t = ${t.toFixed(3)}`;
  (panels || []).forEach((panel, i) => {
    if (!panel || !panel.tracks) return;
    let k = 0;
    while (k < panel.times.length - 1 && panel.times[k + 1] <= t + 1e-6) k += 1;
    const canvases = boxes[i].querySelectorAll("canvas"), last = panel.steps[panel.steps.length - 1];
    panel.tracks.forEach((track, j) => paint(track, canvases[j], k));
    const start = `start of step ${panel.steps[k] + 1} of ${last}, t = ${panel.times[k].toFixed(2)}`;
    boxes[i].querySelector(".ks-image-at").textContent = panel.steps[k] === last ? `after ${last} step${last > 1 ? "s" : ""}` : start;
  });
}

function load() {
  if (!props.value) return;
  bar.stop();
  const first = panels === null;
  panels = JSON.parse(props.value);
  const times = panels.filter((p) => p && p.tracks).flatMap((p) => p.times);
  bar.stops = [...new Set(times.map((t) => Number(t.toFixed(9))))].sort((a, b) => a - b);
  boxes.forEach((box, i) => {
    const panel = panels[i];
    box.hidden = !panel;
    if (!panel) return;
    box.querySelector("b").textContent = panel.title;
    box.querySelector("figcaption span").textContent = panel.note;
    box.querySelector(".ks-flow-numbers").innerHTML = panel.numbers;
    box.querySelector(".ks-image-tracks").hidden = box.querySelector(".ks-image-at").hidden = !panel.tracks;
    (panel.tracks || []).forEach((track, j) => {
      const what = j ? "the state" : "the picture it expects";
      box.querySelectorAll("canvas")[j].setAttribute("aria-label", `${panel.title}: ${what}`);
      track.sprite = new Image();
      track.sprite.onload = () => { track.ready = true; if (panels[i] === panel) show(bar.at); };
      track.sprite.src = track.src;
    });
  });
  bar.set(first ? 1 : bar.at); // the moment that is looked at stays, whatever is changed
}

bar.stop();
load();
watch("value", load);
