// What the page hands to the browser: recipes and pictures of results, files that the server makes, figures; and the
// results of this visit. Gradio hands in element, props, trigger and watch; each part of the page does what it has
// elements for.

const find = (selector) => element.querySelector(selector);
const word = find(".ks-saved");
const unpacked = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

// What this visit has shown, newest first, in this page's memory only.
window.ksVisit ??= {
  MOST: 24,
  results: [],
  changed: null,
  add(result) {
    const there = this.results.findIndex((one) => one.recipe === result.recipe);
    if (there === 0) return;
    if (there > 0) this.results.splice(there, 1);
    this.results = [result, ...this.results].slice(0, this.MOST);
    if (this.changed) this.changed();
  },
};

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.appendChild(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Copies and saves a recipe. props.value = JSON {recipe, python, png, name}.
function saveBar(bar, text) {
  const LOOKED_AT = 1500; // milliseconds until a result counts as one; a slider passes by many
  let result = null, clock = null, later = null;

  const say = (words) => {
    clearTimeout(clock);
    word.textContent = words;
    clock = setTimeout(() => { word.textContent = ""; }, 4000);
  };
  const save = (parts, type, ending) => {
    download(new Blob(parts, { type }), `${result.name}${ending}`);
    say("saved");
  };

  // Only a page from this machine or over HTTPS may write the clipboard; elsewhere a selection is copied the old way,
  // and where that is refused too, the text stays open to be copied by hand.
  const copy = async (words) => {
    const back = document.activeElement;
    try {
      await navigator.clipboard.writeText(words);
      text.hidden = true;
      return say("copied");
    } catch { /* no clipboard here */ }
    text.value = words;
    text.hidden = false;
    text.select();
    let done = false;
    try { done = document.execCommand("copy"); } catch { /* refused */ }
    if (!done) return say("copy the marked text");
    text.hidden = true;
    if (back) back.focus();
    say("copied");
  };

  const load = () => {
    result = props.value ? JSON.parse(props.value) : null;
    bar.hidden = result === null;
    find(".ks-copy-python").hidden = !result?.python;
    text.hidden = true;
    word.textContent = "";
    clearTimeout(later);
    const shown = result; // in a tab that is not looked at it counts for nothing
    if (shown) later = setTimeout(() => { if (bar.offsetParent) window.ksVisit.add(shown); }, LOOKED_AT);
  };

  find(".ks-copy-recipe").addEventListener("click", () => copy(result.recipe));
  find(".ks-copy-python").addEventListener("click", () => copy(result.python));
  find(".ks-save-recipe").addEventListener("click", () => save([result.recipe], "application/json", ".recipe.json"));
  find(".ks-save-picture").addEventListener("click", () => save([unpacked(result.png)], "image/png", ".png"));
  load();
  watch("value", load);
}

// Results of this visit as small pictures; a click hands a recipe back.
function visitStrip(place, empty) {
  const show = () => {
    empty.hidden = window.ksVisit.results.length > 0;
    place.replaceChildren(...window.ksVisit.results.map((result) => {
      const button = document.createElement("button"), picture = document.createElement("img");
      button.type = "button";
      button.title = result.name;
      button.setAttribute("aria-label", `Open ${result.name} again`);
      picture.src = `data:image/png;base64,${result.png}`;
      picture.alt = "";
      button.append(picture);
      button.addEventListener("click", () => trigger("select", { recipe: result.recipe }));
      return button;
    }));
  };
  window.ksVisit.changed = show;
  show();
}

// Saves each file that the server makes, once. props.value = JSON {name, stamp} and {type, data (base64)}, or
// {figure, format, width, height}: Plotly draws it here, as it is on the page.
function fileSaver() {
  const seen = (window.ksSavedStamps ??= new Set()); // a page part that is drawn anew must not save again
  const save = async () => {
    if (!props.value) return;
    const file = JSON.parse(props.value);
    if (seen.has(file.stamp)) return;
    seen.add(file.stamp);
    let blob = null;
    if (file.figure) {
      const { figure, format, width, height } = file, scale = format === "png" ? 3 : 1;
      const plotly = await window.studioPlotly();
      blob = await (await fetch(await plotly.toImage(figure, { format, width, height, scale }))).blob();
    } else {
      blob = new Blob([unpacked(file.data)], { type: file.type });
    }
    download(blob, file.name);
    word.textContent = `saved ${file.name}`;
  };
  watch("value", save);
}

if (find(".ks-save-bar")) saveBar(find(".ks-save-bar"), find(".ks-recipe-text"));
else if (find(".ks-history")) visitStrip(find(".ks-history"), find(".ks-line"));
else fileSaver();
