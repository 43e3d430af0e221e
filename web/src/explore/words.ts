// Words that several panels say.

import type { App } from "../app";

export function classes(app: App): [string, string][] {
  return [["-1", "none"], ...app.site.classes.map((name, i) => [String(i), name] as [string, string])];
}

/** A name inside a sentence. */
export function sentence(name: string): string {
  return name[0].toLowerCase() + name.slice(1);
}
