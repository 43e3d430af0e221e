// Panel "Spectrum": the eigenvalues of one level; a mode is taken out of the picture by a click.

import { button, choice, h, panel } from "../dom";
import { bandsOf } from "../koopman";
import { Plane } from "../plane";
import { Screen } from "../stage";
import { ranksOf } from "./pipeline";
import type { Room } from "./room";

export interface Spectrum {
  root: HTMLElement;
  /** Show the eigenvalues of a level. */
  open(level: number): void;
}

/** `opened` is told the level that is shown. */
export function spectrum(room: Room, opened: (level: number) => void): Spectrum {
  const { app } = room;
  let at = app.site.entries.length - 1;
  const effect = room.small(new Screen(app, "mode", "What the picture owes to this mode, magnified", 1), () => (room.scene.without ? { kind: "difference", scene: room.scene } : null));
  const facts = h("p", { class: "facts" });
  const about = h("div", { class: "mode", hidden: true }, effect.canvas, h("div", {}, facts, h("p", { class: "hint" }, "Left: what the picture owes to this mode, magnified; grey is nothing.")));
  const level = choice("Level", app.site.entries.map((e, i) => [String(i), `${e.name}, ${e.shape.join(" × ")}`]), String(at), (v) => open(Number(v)));
  const clear = button("Put it back", () => {
    room.scene.without = null;
    room.update();
  });
  const plane = new Plane((mode) => {
    room.scene.without = { entry: at, index: mode };
    room.update();
  });
  const open = (wanted: number) => {
    at = wanted;
    room.scene.without = null;
    room.update();
  };
  room.onRefresh(() => {
    const entries = app.ready?.entries;
    const { without, edges, order } = room.scene;
    if (without) at = without.entry;
    level.input.value = String(at);
    opened(at);
    about.hidden = clear.hidden = !without;
    if (!entries) return;
    plane.show(entries[at], bandsOf(ranksOf(entries[at], order), edges), without ? without.index : null);
    if (!without) return;
    const [, hh, w] = entries[at].shape;
    const [alpha, beta] = [entries[at].alpha[without.index], entries[at].beta[without.index]];
    const [pair, row, column] = [Math.floor(without.index / (hh * w)), Math.floor(without.index / w) % hh, without.index % w];
    facts.replaceChildren(
      h("b", {}, `α ${alpha.toFixed(2).replace("-", "−")}`), `, β ${Math.abs(beta).toFixed(2)}: on the way to the picture it ${alpha < 0 ? "grows" : alpha > 0 ? "fades" : "stays"} × ${Math.exp(-alpha).toPrecision(2)} and turns by ${Math.round((Math.abs(beta) * 180) / Math.PI)}°. Pair ${pair}, row ${row}, column ${column}.`,
    );
  });
  const root = panel("Take one mode out", h("p", { class: "hint" }, "Each point is an eigenvalue λ = α ± iβ. Click one to take its mode out of the picture."), h("div", { class: "row" }, level.root, clear), plane.canvas, about);
  return { root, open };
}
