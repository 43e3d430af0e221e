// Link, recipe, picture and embedding.

import type { App } from "./app";
import { button, h, save } from "./dom";
import { encode, recipeIn } from "./png";
import { fromRecipe, toRecipe } from "./recipe";
import { toHash } from "./state";

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed in this frame
  }
}

export function shareBar(app: App, picture: () => Uint8ClampedArray<ArrayBuffer> | null): HTMLElement {
  const tell = h("input", { type: "text", readonly: true, hidden: true, "aria-label": "Text to copy", class: "copy" });
  const offer = async (text: string, done: string) => {
    tell.hidden = await copied(text);
    if (tell.hidden) app.say(done);
    else {
      tell.value = text;
      tell.focus();
      tell.select();
    }
  };
  const attempt = (act: () => Promise<void>) => () => void act().catch((e: Error) => app.say(e.message));
  const name = () => `${app.site.name}-${app.state.scene.seed}`;
  const file = h("input", { type: "file", accept: ".json,.png,application/json,image/png", hidden: true });
  const open = async (chosen: File) => {
    const bytes = new Uint8Array(await chosen.arrayBuffer());
    const text = recipeIn(bytes) ?? new TextDecoder().decode(bytes);
    app.show(await fromRecipe(text, app.site));
    app.say("Recipe opened.");
  };
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    file.value = "";
    if (chosen) attempt(() => open(chosen))();
  });
  document.addEventListener("dragover", (e) => e.preventDefault());
  document.addEventListener("drop", (e) => {
    e.preventDefault();
    const [dropped] = e.dataTransfer?.files ?? [];
    if (dropped) attempt(() => open(dropped))();
  });
  const png = attempt(async () => {
    const rgba = picture();
    if (!rgba) throw new Error("Wait until the picture is there.");
    const recipe = await toRecipe(app.state, app.site).catch(() => undefined); // a picture may go without
    const rgb = Uint8Array.from({ length: (rgba.length / 4) * 3 }, (_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]);
    save(`${name()}.png`, new Blob([await encode(rgb, app.site.picture[2], 3, recipe)], { type: "image/png" }));
  });
  const json = attempt(async () => {
    const text = await toRecipe(app.state, app.site);
    save(app.state.page === "flow" ? "flow-recipe.json" : `${name()}-recipe.json`, new Blob([text], { type: "application/json" }));
  });
  const embed = () => {
    const url = new URL(location.href);
    url.search = "?embed=360";
    url.hash = toHash(app.state, app.site);
    void offer(`<iframe src="${url.href}" width="380" height="520" style="border:0" title="Koopman Studio"></iframe>`, "Code of the frame copied.");
  };
  return h(
    "div",
    { class: "share row" },
    button("Copy link", () => void offer(location.href, "Link copied.")),
    button("Embed", embed),
    button("Save picture", png, { class: "of-picture" }),
    button("Save recipe", json),
    button("Open recipe", () => file.click()),
    file,
    tell,
  );
}
