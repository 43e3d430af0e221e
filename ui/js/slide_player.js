// Pictures under one slider, the first track large. All frames come at once in props.value, so that moving needs no
// server. Played at its end, it goes back the way it came.

const main = element.querySelector(".ks-main"), words = element.querySelector(".ks-big-words");
const box = element.querySelector(".ks-tracks"), marks = element.querySelector(".ks-player");
let run = null, back = false;

function paint(canvas, track, at) {
  if (!track.ready) return;
  const side = run.side;
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage(track.sprite, at * side, 0, side, side, 0, 0, side, side);
}

const bar = timeBar((t) => {
  if (!run) return;
  const last = run.labels.length - 1, at = Math.round((back ? 1 - t : t) * last);
  run.tracks.forEach((track, k) => paint(k ? track.canvas : main, track, at));
  words.textContent = run.labels[at];
  main.setAttribute("aria-label", `${run.tracks[0].title}: ${run.labels[at]}`);
  marks.dataset.frame = at;
}, { playing: "Play", marks });

element.querySelector(".ks-play").addEventListener("click", () => { if (bar.at >= 1) back = !back; }, true);
element.querySelector(".ks-time").addEventListener("input", () => { back = false; }, true);

function load() {
  marks.hidden = !props.value;
  if (!props.value) return;
  bar.stop();
  back = false;
  const mine = (run = JSON.parse(props.value)), last = run.labels.length - 1;
  element.querySelectorAll(".ks-end").forEach((end, k) => { end.textContent = run.ends[k]; });
  bar.stops = run.labels.map((_, k) => k / last);
  const told = element.querySelector(".ks-made");
  told.textContent = run.made.words;
  told.dataset.made = run.made.data;
  box.replaceChildren();
  run.tracks.forEach((track, k) => {
    if (k) {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      figure.className = "ks-track";
      track.canvas = Object.assign(document.createElement("canvas"), { width: run.side, height: run.side });
      track.canvas.setAttribute("role", "img");
      track.canvas.setAttribute("aria-label", track.title);
      caption.textContent = track.title;
      figure.append(track.canvas, caption);
      box.append(figure);
    }
    track.sprite = new Image();
    track.sprite.onload = () => {
      track.ready = true;
      if (run === mine) bar.set(bar.at);
    };
    track.sprite.src = track.src;
  });
  bar.set(run.start / last);
}

load();
watch("value", load);
