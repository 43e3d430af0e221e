// Copies and saves a recipe. Gradio hands in element, props and watch; props.value = JSON {recipe, png, name}.

const find = (selector) => element.querySelector(selector);
const bar = find(".ks-keep"), word = find(".ks-kept"), text = find(".ks-recipe-text");
const PATIENCE = 1500; // milliseconds that a result is looked at before it counts as one; a slider passes by many
let kept = null, clock = null, later = null;

function say(what) {
  clearTimeout(clock);
  word.textContent = what;
  clock = setTimeout(() => { word.textContent = ""; }, 4000);
}

function saved(parts, type, ending) {
  save(new Blob(parts, { type }), `${kept.name}${ending}`);
  say("saved");
}

// Only a page from this machine or over HTTPS may write the clipboard; elsewhere a selection is copied the old way,
// and where that is refused too, the text stays open to be copied by hand.
async function copy() {
  const back = document.activeElement;
  try {
    await navigator.clipboard.writeText(kept.recipe);
    text.hidden = true;
    return say("copied");
  } catch { /* no clipboard here */ }
  text.value = kept.recipe;
  text.hidden = false;
  text.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch { /* refused */ }
  if (!done) return say("copy the marked text");
  text.hidden = true;
  if (back) back.focus();
  say("copied");
}

function load() {
  kept = props.value ? JSON.parse(props.value) : null;
  bar.hidden = kept === null;
  text.hidden = true;
  word.textContent = "";
  clearTimeout(later);
  const shown = kept; // in a tab that is not looked at it counts for nothing
  if (shown) later = setTimeout(() => { if (bar.offsetParent) window.ksVisit.add(shown); }, PATIENCE);
}

find(".ks-copy-recipe").addEventListener("click", copy);
find(".ks-save-recipe").addEventListener("click", () => saved([kept.recipe], "application/json", ".recipe.json"));
find(".ks-save-picture").addEventListener("click", () => saved([unpacked(kept.png)], "image/png", ".png"));
load();
watch("value", load);
