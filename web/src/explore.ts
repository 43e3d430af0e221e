// Explore: one picture, its way from noise, its bands and modes, a second picture mixed in, a walk to another one.

import { BAND_COLOURS, bandName, type App } from "./app";
import { button, calm, choice, h, paint, panel, slider, tick, whole, type Slider } from "./dom";
import { bandsOf, ranks, REGIONS, type Region } from "./koopman";
import { Plane } from "./plane";
import { emptyScene, type Scene } from "./scene";
import { Screen, Stage } from "./stage";
import { enlarged, firstMix, MASK_SIDE, shrunk } from "./state";
import { unpacked } from "./site";

const FRAMES = 7;
const GALLERY = 8;
const REGION_WORDS: Record<Region, string> = {
  whole: "Whole picture",
  "lower-half": "Lower half",
  "lower-left-triangle": "Lower left triangle",
  "lower-left-quadrant": "Lower left quarter",
  painted: "What I paint",
};

export function classes(app: App): [string, string][] {
  return [["-1", "none"], ...app.site.classes.map((name, i) => [String(i), name] as [string, string])];
}

export class Explore {
  readonly root = h("div", { class: "explore" });
  private readonly stage: Stage;
  private readonly refreshers: (() => void)[] = [];
  private readonly frames: { tau: number; screen: Screen; button: HTMLElement }[] = [];
  private readonly gallery: { screen: Screen; button: HTMLButtonElement }[] = [];
  private quiet = 0;

  constructor(private readonly app: App) {
    this.stage = new Stage(app, () => this.scene, () => {
      this.mark();
      app.changed();
    });
    this.poster();
    this.root.append(
      h("div", { class: "left" }, this.stage.root, this.strip(), this.picks()),
      h("div", { class: "right" }, h("div", { class: "column" }, this.bands(), this.mixture(), this.walk()), h("div", { class: "column" }, this.spectrum())),
    );
  }

  private get scene(): Scene {
    return this.app.state.scene;
  }

  /** The picture that came with the page, while the model loads. */
  private poster(): void {
    const { seed, label, picture } = this.app.site.start;
    const { scene } = this;
    if (JSON.stringify(scene) !== JSON.stringify(emptyScene(seed, label, scene.edges))) return;
    const rgb = unpacked(picture);
    const rgba = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
    for (let i = 0; i < rgb.length; i++) rgba[4 * Math.floor(i / 3) + (i % 3)] = rgb[i];
    paint(this.stage.screen.canvas, rgba, this.app.site.picture[2]);
  }

  /** Redraw after any change of the scene; small pictures follow when the hand rests. */
  update(controls = true): void {
    if (controls) this.refreshers.forEach((refresh) => refresh());
    this.app.changed();
    if (!this.app.ready) return;
    void this.stage.draw();
    this.mark();
    clearTimeout(this.quiet);
    this.quiet = window.setTimeout(() => this.small(), 150);
  }

  private small(): void {
    for (const { tau, screen } of this.frames) void screen.show({ kind: "picture", scene: { ...structuredClone(this.scene), tau } });
    this.gallery.forEach(({ screen }, i) => {
      const { seed, label, edges } = this.scene;
      void screen.show({ kind: "picture", scene: emptyScene(this.pick(seed, i), label, edges) });
    });
    this.others.forEach((draw) => draw());
  }

  private readonly others: (() => void)[] = [];

  show(): void {
    this.update();
  }

  hide(): void {
    this.stage.stop();
  }

  get picture(): Uint8ClampedArray<ArrayBuffer> | null {
    return this.stage.screen.shown;
  }

  // --------------------------------------------------------------------------------------------------------------
  // Left: moments and seeds

  private strip(): HTMLElement {
    const row = h("div", { class: "strip", role: "group", "aria-label": "Moments on the way from noise to picture" });
    for (let k = 0; k < FRAMES; k++) {
      const tau = 1 - k / (FRAMES - 1);
      const screen = new Screen(this.app, `frame ${k}`, "", 2);
      screen.canvas.setAttribute("aria-hidden", "true");
      const press = h("button", { type: "button", class: "thumb", "aria-label": `Moment ${k + 1} of ${FRAMES}`, onclick: () => {
        this.stage.stop();
        this.scene.tau = Math.round(tau * 1000) / 1000;
        this.update(false);
      } }, screen.canvas);
      row.append(press);
      this.frames.push({ tau, screen, button: press });
    }
    return row;
  }

  private mark(): void {
    const near = this.frames.reduce((a, b) => (Math.abs(b.tau - this.scene.tau) < Math.abs(a.tau - this.scene.tau) ? b : a));
    for (const frame of this.frames) frame.button.classList.toggle("here", frame === near);
  }

  /** Seeds shown to choose from: a row of eight that holds the present one. */
  private pick(seed: number, i: number): number {
    return Math.min(Math.floor(seed / GALLERY) * GALLERY, this.app.site.maxSeed - GALLERY + 1) + i;
  }

  private picks(): HTMLElement {
    const { app } = this;
    const seed = whole("Seed", this.scene.seed, app.site.maxSeed, (v) => {
      this.scene.seed = v;
      this.update();
    });
    const dice = button("New seed", () => {
      this.scene.seed = Math.floor(Math.random() * 100000);
      this.update();
    });
    const label = choice("Class", classes(app), String(this.scene.label), (v) => {
      this.scene.label = Number(v);
      if (this.scene.mix) this.scene.mix.label = Number(v);
      this.update();
    });
    const row = h("div", { class: "gallery", role: "group", "aria-label": "Neighbouring seeds" });
    for (let i = 0; i < GALLERY; i++) {
      const screen = new Screen(app, `seed ${i}`, "", 3);
      screen.canvas.setAttribute("aria-hidden", "true");
      const press = h("button", { type: "button", class: "thumb", onclick: () => {
        this.scene.seed = this.pick(this.scene.seed, i);
        this.update();
      } }, screen.canvas);
      row.append(press);
      this.gallery.push({ screen, button: press });
    }
    this.refreshers.push(() => {
      seed.input.value = String(this.scene.seed);
      label.input.value = String(this.scene.label);
      this.gallery.forEach(({ button: b }, i) => {
        const of = this.pick(this.scene.seed, i);
        b.setAttribute("aria-label", `Seed ${of}`);
        b.title = `Seed ${of}`;
        b.classList.toggle("here", of === this.scene.seed);
      });
    });
    return panel("Which noise", h("div", { class: "row" }, seed.root, app.site.classes.length ? label.root : null, dice), row);
  }

  // --------------------------------------------------------------------------------------------------------------
  // Bands

  private bands(): HTMLElement {
    const { app } = this;
    const list = h("div", { class: "stack" });
    let sliders: Slider[] = [];
    const fill = () => {
      const { gains } = this.scene;
      sliders = gains.map((gain, b) =>
        slider(bandName(app.site, b, gains.length), { min: 0, max: 2, step: 0.01 }, gain, (v) => `${Math.round(100 * v)} %`, (v) => {
          this.scene.gains[b] = v;
          this.update(false);
        }, BAND_COLOURS[b % BAND_COLOURS.length]));
      list.replaceChildren(...sliders.map((s) => s.root));
    };
    const levels: [string, string][] = [["", "all levels"], ...app.site.entries.map((e, i) => [String(i), `${e.name}, ${e.shape[1]} × ${e.shape[2]}`] as [string, string])];
    const level = choice("Where", levels, "", (v) => {
      this.scene.entries = v === "" ? [] : [Number(v)];
      this.update(false);
    });
    const set = (gains: number[]) => () => {
      this.scene.gains = gains;
      this.update();
    };
    const n = app.site.bands.names.length;
    const first = (k: number) => Array.from({ length: n }, (_, b) => (b < k ? 1 : 0));
    const buttons = [
      ...Array.from({ length: n - 1 }, (_, k) => button(`${k ? "Without" : "Only"} ${app.site.bands.names[k && n - 1].toLowerCase()}`, () => {
        this.scene.edges = [...app.site.bands.edges];
        set(first(k + 1))();
      })),
      button("All", () => set(this.scene.gains.map(() => 1))()),
    ];
    this.refreshers.push(() => {
      if (sliders.length !== this.scene.gains.length) fill();
      sliders.forEach((s, b) => s.set(this.scene.gains[b]));
      level.input.value = this.scene.entries.length === 1 ? String(this.scene.entries[0]) : "";
    });
    const words = app.site.bands.nested
      ? "Modes in the order of α. This model was trained so that the first third draws the layout, the second the shapes, the last the detail."
      : "Modes of every level, ranked by α and cut into thirds. Keep less or more of each.";
    return panel("Bands", h("p", { class: "hint" }, words), list, h("div", { class: "row" }, ...buttons, level.root));
  }

  // --------------------------------------------------------------------------------------------------------------
  // Spectrum

  private spectrum(): HTMLElement {
    const { app } = this;
    let at = app.site.entries.length - 1;
    const effect = new Screen(app, "mode", "What the picture owes to this mode, magnified", 1);
    const facts = h("p", { class: "facts" });
    const found = h("div", { class: "mode", hidden: true }, effect.canvas, h("div", {}, facts, h("p", { class: "hint" }, "Left: what the picture owes to this mode, magnified; grey is nothing.")));
    const level = choice("Level", app.site.entries.map((e, i) => [String(i), `${e.name}, ${e.shape.join(" × ")}`]), String(at), (v) => {
      at = Number(v);
      this.scene.without = null;
      this.update();
    });
    const clear = button("Put it back", () => {
      this.scene.without = null;
      this.update();
    });
    const plane = new Plane((mode) => {
      this.scene.without = { entry: at, index: mode };
      this.update();
    });
    const rankOf = new Map<string, Uint32Array>();
    const refresh = () => {
      const entries = app.ready?.entries;
      const { without, edges, order } = this.scene;
      if (without) at = without.entry;
      level.input.value = String(at);
      found.hidden = clear.hidden = !without;
      if (!entries) return;
      const key = `${at} ${order}`;
      if (!rankOf.has(key)) rankOf.set(key, ranks(entries[at].alpha, order));
      plane.show(entries[at], bandsOf(rankOf.get(key)!, edges), without ? without.index : null);
      if (!without) return;
      const [, hh, w] = entries[at].shape;
      const [alpha, beta] = [entries[at].alpha[without.index], entries[at].beta[without.index]];
      const [pair, row, column] = [Math.floor(without.index / (hh * w)), Math.floor(without.index / w) % hh, without.index % w];
      facts.replaceChildren(
        h("b", {}, `α ${alpha.toFixed(2).replace("-", "−")}`), `, β ${Math.abs(beta).toFixed(2)}: on the way to the picture it ${alpha < 0 ? "grows" : alpha > 0 ? "fades" : "stays"} × ${Math.exp(-alpha).toPrecision(2)} and turns by ${Math.round((Math.abs(beta) * 180) / Math.PI)}°. Pair ${pair}, row ${row}, column ${column}.`,
      );
    };
    this.refreshers.push(refresh);
    this.others.push(() => {
      const { without } = this.scene;
      if (without) void effect.show({ kind: "difference", scene: structuredClone(this.scene) });
    });
    return panel(
      "Spectrum",
      h("p", { class: "hint" }, "Each point is an eigenvalue. Click one to take its mode out of the picture."),
      h("div", { class: "row" }, level.root, clear),
      plane.canvas,
      found,
    );
  }

  // --------------------------------------------------------------------------------------------------------------
  // Mixture

  private mixture(): HTMLElement {
    const { app } = this;
    const mix = () => this.scene.mix!;
    const other = new Screen(app, "reference", "The second picture", 1);
    const on = tick("Mix in a second picture", false, (v) => {
      this.scene.mix = v ? firstMix(this.scene) : null;
      if (v) this.scene.walk = null;
      this.update();
    });
    const seed = whole("Its seed", 1, app.site.maxSeed, (v) => {
      mix().seed = v;
      this.update();
    });
    const dice = button("Another", () => {
      mix().seed = Math.floor(Math.random() * 100000);
      this.update();
    });
    const label = choice("Its class", classes(app), "-1", (v) => {
      mix().label = Number(v);
      this.update();
    });
    const ticks = h("div", { class: "row", role: "group", "aria-label": "Which bands come from the second picture" });
    const ratio = slider("How much", { min: 0, max: 1, step: 0.01 }, 1, (v) => `${Math.round(100 * v)} %`, (v) => {
      mix().ratio = v;
      this.update(false);
    });
    const region = choice("Where", REGIONS.map((r) => [r, REGION_WORDS[r]]), "whole", (v) => {
      mix().region = v as Region;
      if (v === "painted" && !mix().mask) mix().mask = new Uint8Array(app.site.picture[1] * app.site.picture[2]);
      this.update();
    });
    const painter = new Painter(app.site.picture[1], (mask) => {
      mix().mask = mask;
      this.update(false);
    });
    const body = h("div", { class: "stack", hidden: true },
      h("div", { class: "beside" }, other.canvas, h("div", { class: "stack" }, h("div", { class: "row" }, seed.root, app.site.classes.length ? label.root : null, dice), ticks)),
      ratio.root, region.root, painter.root);
    this.refreshers.push(() => {
      const m = this.scene.mix;
      on.input.checked = m !== null;
      body.hidden = !m;
      if (!m) return;
      seed.input.value = String(m.seed);
      label.input.value = String(m.label);
      ratio.set(m.ratio);
      region.input.value = m.region;
      painter.root.hidden = m.region !== "painted";
      if (m.mask) painter.set(m.mask);
      ticks.replaceChildren(...this.scene.gains.map((_, b) =>
        tick(bandName(app.site, b, this.scene.gains.length), m.bands.includes(b), (v) => {
          const bands = v ? [...m.bands, b].sort() : m.bands.filter((x) => x !== b);
          m.bands = bands.length ? bands : [b];
          this.update();
        }).root));
    });
    this.others.push(() => {
      const m = this.scene.mix;
      if (m) void other.show({ kind: "picture", scene: { ...emptyScene(m.seed, m.label, this.scene.edges), tau: this.scene.tau } });
    });
    return panel("Mix and edit", on.root, body);
  }

  // --------------------------------------------------------------------------------------------------------------
  // Walk

  private walk(): HTMLElement {
    const { app } = this;
    let timer = 0;
    const on = tick("Walk to another seed", false, (v) => {
      stop();
      this.scene.walk = v ? { seed: this.scene.seed + 1 > app.site.maxSeed ? 0 : this.scene.seed + 1, share: 0.5 } : null;
      if (v) this.scene.mix = null;
      this.update();
    });
    const seed = whole("To seed", 1, app.site.maxSeed, (v) => {
      this.scene.walk!.seed = v;
      this.update();
    });
    const share = slider("Way", { min: 0, max: 1, step: 0.01 }, 0.5, (v) => `${Math.round(100 * v)} %`, (v) => {
      stop();
      this.scene.walk!.share = v;
      this.update(false);
    });
    const press = button("Walk", () => (timer ? stop() : go()), { class: "primary" });
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      press.textContent = "Walk";
    };
    const go = () => {
      press.textContent = "Stop";
      const step = calm() ? 0.25 : 0.02;
      timer = window.setInterval(() => {
        const { walk } = this.scene;
        if (!walk || this.root.hidden) return stop();
        walk.share = Math.round((walk.share + step) * 100) / 100;
        if (walk.share > 1) {
          // on to the next seed
          this.scene.seed = walk.seed;
          walk.seed = (walk.seed + 1) % app.site.maxSeed;
          walk.share = 0;
        }
        this.update();
      }, calm() ? 1200 : 90);
    };
    const body = h("div", { class: "stack", hidden: true }, h("div", { class: "row" }, seed.root, press), share.root);
    this.refreshers.push(() => {
      const { walk } = this.scene;
      on.input.checked = walk !== null;
      body.hidden = !walk;
      if (!walk) return stop();
      seed.input.value = String(walk.seed);
      share.set(walk.share);
    });
    return panel("Walk between seeds", h("p", { class: "hint" }, "The noise of one seed turns into that of another; every step is one call of the network."), on.root, body);
  }
}

/** A mask painted with pointer or keyboard. */
export class Painter {
  readonly root: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private cells = new Uint8Array(MASK_SIDE * MASK_SIDE);
  private at: [number, number] | null = null;
  private erase = false;

  constructor(private readonly side: number, private readonly changed: (mask: Uint8Array) => void) {
    this.canvas = h("canvas", {
      width: MASK_SIDE, height: MASK_SIDE, class: "pixels painter", tabindex: 0, role: "application",
      "aria-label": "Paint the region. Arrow keys move the brush, space paints, delete erases.",
    });
    const eraser = tick("Erase", false, (v) => (this.erase = v));
    const clear = button("Clear", () => {
      this.cells.fill(0);
      this.done();
    });
    this.root = h("div", { class: "beside", hidden: true }, this.canvas, h("div", { class: "stack" }, h("p", { class: "hint" }, "Paint where the second picture may come in."), h("div", { class: "row" }, eraser.root, clear)));
    this.canvas.addEventListener("pointerdown", (e) => {
      this.canvas.setPointerCapture(e.pointerId);
      this.stroke(e);
    });
    this.canvas.addEventListener("pointermove", (e) => {
      if (this.canvas.hasPointerCapture(e.pointerId)) this.stroke(e);
    });
    this.canvas.addEventListener("keydown", (e) => this.key(e));
  }

  set(mask: Uint8Array): void {
    this.cells = new Uint8Array(shrunk(mask, this.side));
    this.draw();
  }

  private stroke(e: PointerEvent): void {
    const box = this.canvas.getBoundingClientRect();
    this.dab(((e.clientX - box.left) / box.width) * MASK_SIDE, ((e.clientY - box.top) / box.height) * MASK_SIDE, !this.erase);
  }

  private dab(x: number, y: number, on: boolean): void {
    for (let i = 0; i < MASK_SIDE; i++) {
      for (let j = 0; j < MASK_SIDE; j++) if (Math.hypot(i + 0.5 - y, j + 0.5 - x) < 2.6) this.cells[i * MASK_SIDE + j] = Number(on);
    }
    this.done();
  }

  private key(e: KeyboardEvent): void {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    const [x, y] = this.at ?? [MASK_SIDE / 2, MASK_SIDE / 2];
    if (move) this.at = [Math.min(MASK_SIDE - 0.5, Math.max(0.5, x + move[0])), Math.min(MASK_SIDE - 0.5, Math.max(0.5, y + move[1]))];
    else if (e.key === " ") this.dab(x, y, true);
    else if (e.key === "Delete" || e.key === "Backspace") this.dab(x, y, false);
    else return;
    e.preventDefault();
    this.draw();
  }

  private done(): void {
    this.draw();
    this.changed(enlarged(this.cells, this.side));
  }

  private draw(): void {
    const rgba = new Uint8ClampedArray(4 * this.cells.length);
    const cursor = this.at ? Math.floor(this.at[1]) * MASK_SIDE + Math.floor(this.at[0]) : -1;
    this.cells.forEach((on, c) => rgba.set(c === cursor ? [230, 159, 0, 255] : on ? [0, 114, 178, 255] : [140, 145, 155, 60], 4 * c));
    paint(this.canvas, rgba, MASK_SIDE);
  }
}
