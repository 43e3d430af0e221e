// Panel "Walk": the noise of one seed turns into that of another, at constant norm.

import { button, calm, h, panel, slider, whole } from "../dom";
import { emptyScene } from "../scene";
import { Screen } from "../stage";
import type { Room } from "./room";

const STEPS = 7; // shown, from seed to seed

export function walk(room: Room): HTMLElement {
  const { app } = room;
  const after = (seed: number) => (seed + 1 > app.site.maxSeed ? 0 : seed + 1);
  let timer = 0;
  let to: number | null = null; // where it would go, while it does not
  const target = () => room.scene.walk?.seed ?? to ?? after(room.scene.seed);
  const go = (share: number, controls = true) => {
    room.scene.walk = { seed: target(), share };
    room.scene.mix = null;
    room.update(controls);
  };
  const strip = h("div", { class: "strip", role: "group", "aria-label": "Pictures between the two seeds" });
  const cells = Array.from({ length: STEPS }, (_, k) => {
    const share = k / (STEPS - 1);
    const screen = room.small(new Screen(app, `walk ${k}`, "", 6), () => {
      const { seed, label, edges } = room.scene;
      return { kind: "picture", scene: { ...emptyScene(seed, label, edges), walk: { seed: target(), share } } };
    });
    screen.canvas.setAttribute("aria-hidden", "true");
    const press = h("button", { type: "button", class: "thumb", "aria-label": `${Math.round(100 * share)} % of the way`, onclick: () => {
      stop();
      go(share);
    } }, screen.canvas);
    strip.append(press);
    return { share, press };
  });
  const seed = whole("To seed", 1, app.site.maxSeed, (v) => {
    to = v;
    if (room.scene.walk) room.scene.walk.seed = v;
    room.update();
  });
  const share = slider("Way", { min: 0, max: 1, step: 0.01 }, 0, (v) => `${Math.round(100 * v)} %`, (v) => {
    stop();
    go(v, false);
    mark();
  });
  share.root.dataset.of = "way";
  const press = button("Walk", () => (timer ? stop() : start()));
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    press.textContent = "Walk";
  };
  const start = () => {
    press.textContent = "Stop";
    const step = calm() ? 0.25 : 0.02;
    timer = window.setInterval(() => {
      if (room.app.state.page !== "explore") return stop();
      const at = Math.round(((room.scene.walk?.share ?? 0) + step) * 100) / 100;
      if (at <= 1) return go(at);
      // on to the next seed
      room.scene.seed = target();
      to = null;
      room.scene.walk = { seed: after(room.scene.seed), share: 0 };
      room.update();
    }, calm() ? 1200 : 90);
  };
  const home = button("Back to the seed", () => {
    stop();
    room.scene.walk = null;
    room.update();
  });
  const mark = () => {
    const at = room.scene.walk?.share;
    const near = at === undefined ? null : cells.reduce((a, b) => (Math.abs(b.share - at) < Math.abs(a.share - at) ? b : a));
    for (const cell of cells) cell.press.classList.toggle("here", cell === near);
  };
  room.onRefresh(() => {
    const { walk: on } = room.scene;
    seed.input.value = String(target());
    share.set(on?.share ?? 0);
    home.hidden = !on;
    mark();
  });
  return panel("Walk to another seed", h("p", { class: "hint" }, "The noise of one seed turns into that of another; each step is one call of the network."), strip, share.root, h("div", { class: "row" }, seed.root, press, home));
}
