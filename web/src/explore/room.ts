// What the panels of the room Explore share: the scene, who is told of a change, and which pictures wait for the hand to rest.

import type { App } from "../app";
import { digest } from "../koopman";
import type { Question, Scene } from "../scene";
import type { Screen } from "../stage";

const REST = 150; // ms without a change after which small pictures are drawn

interface Small {
  screen: Screen;
  question: () => Question | null;
  drawn: string; // the question that it shows, "" for none
}

export class Room {
  private readonly refreshers: (() => void)[] = [];
  private readonly smalls: Small[] = [];
  private timer = 0;

  /** `redraw` shows the picture itself. */
  constructor(readonly app: App, private readonly root: HTMLElement, private readonly redraw: () => void) {
    addEventListener("scroll", () => this.rest(), { passive: true });
    addEventListener("resize", () => this.rest());
  }

  get scene(): Scene {
    return this.app.state.scene;
  }

  /** Be told when controls have to show the scene as it is. */
  onRefresh(refresh: () => void): void {
    this.refreshers.push(refresh);
  }

  /** A picture that follows when the hand rests, where it is on the screen; without a question it stays. */
  small(screen: Screen, question: () => Question | null): Screen {
    this.smalls.push({ screen, question, drawn: "" });
    return screen;
  }

  /** After any change of the scene; `controls` where others than the one that was moved may show it. */
  update(controls = true): void {
    if (controls) this.refreshers.forEach((refresh) => refresh());
    this.app.changed();
    if (!this.app.ready) return;
    this.redraw();
    this.rest();
  }

  /** Small pictures follow once the hand rests. */
  rest(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.draw(), REST);
  }

  private draw(): void {
    if (!this.app.ready || this.root.hidden) return;
    for (const small of this.smalls) {
      const question = onScreen(small.screen.canvas) ? small.question() : null;
      if (!question) continue;
      const key = JSON.stringify(question, (_, v) => (v instanceof Uint8Array ? digest(v) : v));
      if (key === small.drawn) continue;
      small.drawn = key;
      // one that gave way to another question is asked again when the hand rests the next time
      void small.screen.show(structuredClone(question)).then((ms) => {
        if (ms === null && small.drawn === key) small.drawn = "";
      });
    }
  }
}

function onScreen(element: HTMLElement): boolean {
  const { top, bottom, width } = element.getBoundingClientRect();
  return width > 0 && bottom > -200 && top < innerHeight + 200;
}
