// What the parts of the page share.

import type { Engine, FlowClient, Ready } from "./client";
import type { Site } from "./site";
import type { State } from "./state";

export interface App {
  site: Site;
  engine: Engine;
  flow: FlowClient;
  state: State;
  ready: Ready | null;
  /** What is shown has changed: the address follows. */
  changed(): void;
  /** Show another state, as a link would. */
  show(state: State): void;
  /** Tell a sentence, in the live region. */
  say(text: string): void;
}

export const BAND_COLOURS = ["var(--band-0)", "var(--band-1)", "var(--band-2)", "var(--band-3)", "var(--band-4)"];

export function bandName(site: Site, band: number, of: number): string {
  return of === site.bands.names.length ? site.bands.names[band] : `Band ${band + 1} of ${of}`;
}
