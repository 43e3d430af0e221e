// Explore: one picture, its way from noise, the model as a diagram, its bands and modes, a second picture, a walk.

import type { App } from "./app";
import { calm, h, paint } from "./dom";
import { bands } from "./explore/bands";
import { mixture } from "./explore/mixture";
import { pipeline } from "./explore/pipeline";
import { Room } from "./explore/room";
import { another, moments, seeds } from "./explore/seeds";
import { spectrum, type Spectrum } from "./explore/spectrum";
import { walk } from "./explore/walk";
import { emptyScene } from "./scene";
import { unpacked } from "./site";
import { Stage } from "./stage";

export class Explore {
  readonly root = h("div", { class: "explore" });
  private readonly stage: Stage;
  private readonly room: Room;
  private fresh = true;

  constructor(private readonly app: App) {
    this.room = new Room(app, this.root, () => void this.stage.draw());
    this.stage = new Stage(app, () => app.state.scene, () => {
      strip.mark();
      app.changed();
      this.room.rest();
    });
    const strip = moments(this.room, () => this.stage);
    const diagram = pipeline(this.room, () => another(this.room), (level) => modes.open(level));
    const modes: Spectrum = spectrum(this.room, (level) => diagram.mark(level));
    this.poster();
    this.root.append(
      h("div", { class: "left" }, this.stage.root, strip.root, seeds(this.room)),
      h("div", { class: "right" }, this.intro(), diagram.root,
        h("div", { class: "column" }, bands(this.room), mixture(this.room)), h("div", { class: "column" }, modes.root, walk(this.room))),
    );
  }

  private intro(): HTMLElement {
    const modes = this.app.site.entries.reduce((n, { shape: [c, hh, w] }) => n + (c * hh * w) / 2, 0);
    return h("div", { class: "intro" },
      h("h2", {}, "One network call turns noise into this picture. What lies between is a formula."),
      h("p", {}, `The encoder reads the noise once. Then ${modes.toLocaleString("en")} modes grow, fade and turn, each by an eigenvalue of its own, and the decoder draws any moment you ask for.`));
  }

  /** Whether the page shows what it opens with. */
  private untouched(): boolean {
    const { seed, label } = this.app.site.start;
    const { scene } = this.app.state;
    return JSON.stringify(scene) === JSON.stringify(emptyScene(seed, label, scene.edges));
  }

  /** The picture that came with the page, while the model loads. */
  private poster(): void {
    if (!this.untouched()) return;
    const rgb = unpacked(this.app.site.start.picture);
    const rgba = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
    for (let i = 0; i < rgb.length; i++) rgba[4 * Math.floor(i / 3) + (i % 3)] = rgb[i];
    paint(this.stage.screen.canvas, rgba, this.app.site.picture[2]);
  }

  show(): void {
    this.stage.stop();
    this.room.update();
    if (!this.app.ready || !this.fresh) return;
    this.fresh = false;
    if (this.untouched() && !calm()) this.stage.start(); // once, from noise to picture
  }

  hide(): void {
    this.stage.stop();
  }

  get picture(): Uint8ClampedArray<ArrayBuffer> | null {
    return this.stage.screen.shown;
  }
}
