// A time slider from 0 to 1 with its play and step buttons, inside `element`. show(t) is called at every move.

function timeBar(show, { playing, marks }) {
  const WHOLE_RUN_MS = 4000, FRAME_MS = 60, TICKS = 1000, NEAR = 1e-6;
  const find = (selector) => element.querySelector(selector);
  const slider = find(".ks-time"), play = find(".ks-play");
  const bar = { at: 1, stops: [0, 1] };
  let clock = null;

  bar.set = (t) => {
    bar.at = Math.max(0, Math.min(1, t));
    slider.value = Math.round(bar.at * TICKS);
    slider.setAttribute("aria-valuetext", `time ${bar.at.toFixed(2)}`);
    marks.dataset.time = bar.at.toFixed(3);
    show(bar.at);
  };
  bar.stop = () => {
    clearInterval(clock);
    clock = null;
    play.textContent = "▶ Play";
    play.setAttribute("aria-label", playing);
  };
  const start = () => {
    if (bar.at >= 1) bar.set(0);
    play.textContent = "❚❚ Pause";
    play.setAttribute("aria-label", "Pause");
    const begun = performance.now(), from = bar.at;
    clock = setInterval(() => {
      bar.set(from + (performance.now() - begun) / WHOLE_RUN_MS);
      if (bar.at >= 1) bar.stop();
    }, FRAME_MS);
  };
  // to the next or the last of the moments at which something changes
  const step = (by) => {
    bar.stop();
    const next = by > 0 ? bar.stops.find((t) => t > bar.at + NEAR) : [...bar.stops].reverse().find((t) => t < bar.at - NEAR);
    bar.set(next === undefined ? (by > 0 ? 1 : 0) : next);
  };

  slider.addEventListener("input", () => { bar.stop(); bar.set(Number(slider.value) / TICKS); });
  play.addEventListener("click", () => (clock ? bar.stop() : start()));
  find(".ks-back").addEventListener("click", () => step(-1));
  find(".ks-forward").addEventListener("click", () => step(1));
  return bar;
}
