// What the panels of the room Explore share: the scene, who is told of a change, and which pictures wait for the hand to rest.

import type { App } from "../app";
import type { Scene } from "../scene";
import type { Screen } from "../stage";
import type { Question } from "../scene";

const REST = 150; // ms without a change after which small pictures are drawn

interface Small {
  screen: Screen;
  question: () => Question | null;
  drawn: number; // the version that it shows
}

export class Room {
  private readonly refreshers: (() => void)[] = [];
  private readonly smalls: Small[] = [];
  private version = 1;
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
    this.smalls.push({ screen, question, drawn: 0 });
    return screen;
  }

  /** After any change of the scene; `controls` where others than the one that was moved may show it. */
  update(controls = true): void {
    if (controls) this.refreshers.forEach((refresh) => refresh());
    this.app.changed();
    this.version++;
    if (!this.app.ready) return;
    this.redraw();
    this.rest();
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.draw(), REST);
  }

  private draw(): void {
    if (!this.app.ready || this.root.hidden) return;
    for (const small of this.smalls) {
      if (small.drawn === this.version || !onScreen(small.screen.canvas)) continue;
      small.drawn = this.version;
      const question = small.question();
      if (question) void small.screen.show(structuredClone(question));
    }
  }
}

function onScreen(element: HTMLElement): boolean {
  const { top, bottom, width } = element.getBoundingClientRect();
  return width > 0 && bottom > -200 && top < innerHeight + 200;
}
