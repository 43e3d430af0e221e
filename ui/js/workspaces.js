// Goes from view to view, opens drawers, and keeps the page's own switches. Nothing here waits for the server: a view's
// tab is one of Gradio's, whose own button is pressed; that the visitor opened it is told by a button that is not seen.

(() => {
  if (window.studio) return; // the page's head may be put in twice
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const last = {}; // the view that was open in each workspace
  const FRESH = ["watch"]; // the page comes with it
  const FIRST_SEEN_MS = 5000; // the first picture has come out of its noise by then
  let stale = null, soon = null; // stale: views that do not show the chosen picture yet
  root.dataset.view = root.dataset.space = "watch";

  function mark(buttons, chosen) {
    for (const button of buttons) {
      button.setAttribute("aria-selected", button === chosen);
      button.tabIndex = button === chosen ? 0 : -1;
    }
  }

  // filled: the program has set its controls, and makes its result; so does what is pressed with the opening
  function open(view, { filled = false, pressed = false } = {}) {
    const button = one(`.ks-view[data-view="${view}"]`);
    if (!button) return false;
    const { of: space, tab } = button.dataset, same = root.dataset.view === view;
    stale ??= new Set(all(".ks-view").map((b) => b.dataset.view).filter((name) => !FRESH.includes(name)));
    root.dataset.view = view;
    root.dataset.space = space;
    last[space] = view;
    mark(all(".ks-space"), one(`.ks-space[data-space="${space}"]`));
    mark(all(`.ks-view[data-of="${space}"]`), button);
    all(".ks-views").forEach((list) => { list.hidden = list.dataset.of !== space; });
    button.scrollIntoView({ block: "nearest", inline: "nearest" }); // of a narrow page's bar
    one(`#workspaces > .tab-wrapper [data-tab-id="${tab}"]`)?.click();
    sheet(null);
    document.dispatchEvent(new CustomEvent("studio:view", { detail: { view, space } }));
    if (filled) stale.delete(view);
    else if (stale.has(view) || !(same || FRESH.includes(view))) look();
    if (!(filled || pressed)) atOnce(view);
    return true;
  }

  // An empty stage whose result is a matter of a second or two makes it as soon as its view is laid out.
  function atOnce(view, tries = 40) {
    if (root.dataset.view !== view) return;
    const button = all(".ks-press[data-at-once]").find((b) => b.offsetParent && !b.disabled);
    if (button) press(button.dataset.atOnce);
    else if (tries) setTimeout(() => atOnce(view, tries - 1), 50);
  }

  // Tells that the open view is looked at: its tab then shows what is chosen now.
  function look() {
    const { view } = root.dataset;
    clearTimeout(soon);
    stale?.delete(view);
    one(`#opened-${view}`)?.click();
  }

  // Another picture was chosen; one that the program chose is followed by what opens a view, or says to stay.
  function moved(program = false) {
    const following = all(".ks-view[data-follows]").map((b) => b.dataset.view);
    stale = new Set([...(stale ?? all(".ks-view").map((b) => b.dataset.view)), ...following]);
    clearTimeout(soon);
    if (!program && following.includes(root.dataset.view)) soon = setTimeout(look, 150);
  }

  // past header and controls: to what plays in the open view, else to the first part of its stage that can be used
  function skip() {
    const stage = all(".ks-stage").find((part) => part.offsetParent);
    const parts = [...(stage?.querySelectorAll("button, input, select, summary, a[href], [tabindex='0']") ?? [])]
      .filter((part) => part.offsetParent && !part.disabled);
    const to = parts.find((part) => part.matches(".ks-play")) ?? parts[0] ?? stage;
    if (to === stage) stage?.setAttribute("tabindex", "-1");
    to?.focus();
  }

  const first = (space) => one(`.ks-view[data-of="${space}"]`)?.dataset.view;

  // a value of the opener, see `ui.workspaces.opening`; the controls get their values in the same moment
  function opening(value) {
    const [view, , filled] = String(value || "").split(" ");
    if (!view) return;
    if (view === "-") {
      if (stale?.has(root.dataset.view)) setTimeout(look, 50);
      return;
    }
    if (innerWidth < 760) drawer(null);
    setTimeout(() => open(view, { filled: filled === "filled" }), 50);
  }

  function drawer(name) {
    const was = root.dataset.drawer;
    if (name && name !== was) root.dataset.drawer = name;
    else delete root.dataset.drawer;
    all("[data-drawer]:not(html)").forEach((b) => b.setAttribute("aria-expanded", root.dataset.drawer === b.dataset.drawer));
    if (root.dataset.drawer) {
      one(`#opened-${name}`)?.click(); // what it says of the model
      one(`#drawer-${name} h2`)?.focus();
    }
    else if (was) one(`.ks-acts [data-drawer="${was}"]`)?.focus();
    window.dispatchEvent(new Event("resize")); // the columns have another width
  }

  function sheet(name) {
    if (name && name !== root.dataset.sheet) root.dataset.sheet = name;
    else delete root.dataset.sheet;
    all("button[data-sheet]").forEach((b) => b.setAttribute("aria-expanded", root.dataset.sheet === b.dataset.sheet));
  }

  function say(words) {
    const place = one(".ks-said");
    if (!place) return;
    place.textContent = words;
    setTimeout(() => { if (place.textContent === words) place.textContent = ""; }, 2000 + 50 * words.length);
  }

  const stored = (key, value) => {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch { return null; } // a browser that keeps nothing
  };

  // pictures of the visitor's own, the last first: too large for an address, which has their keys alone
  const MOST_PICTURES = 12;
  const pictures = () => {
    try { return JSON.parse(stored("studio-pictures") ?? "[]"); } catch { return []; }
  };
  function keep({ key, src }) {
    const others = pictures().filter(([known]) => known !== key);
    stored("studio-pictures", JSON.stringify([[key, src], ...others].slice(0, MOST_PICTURES)));
  }
  const named = (hash) => [...new URLSearchParams(hash.slice(1)).values()].filter((text) => text.startsWith("own."));

  const acts = {
    async link() {
      write();
      try {
        await navigator.clipboard.writeText(location.href);
        say(named(location.hash).length ? "Link copied, without your own picture: a recipe has it" : "Link copied");
      } catch { window.prompt("Copy this link", location.href); }
    },
    dark() {
      stored("studio-theme", document.body.classList.toggle("dark") ? "dark" : "light");
    },
    lecture() {
      const on = root.toggleAttribute("data-lecture");
      one('[data-act="lecture"]')?.setAttribute("aria-pressed", on);
      window.dispatchEvent(new Event("resize"));
    },
    help() {
      const box = one(".ks-help");
      if (box?.open) box.close(); else box?.showModal();
    },
    menu() { root.toggleAttribute("data-menu"); },
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (!button) return;
    const { dataset: data } = button;
    if (button.matches(".ks-skip")) skip();
    else if (button.matches(".ks-space")) open(last[data.space] || first(data.space));
    else if (button.matches(".ks-view")) open(data.view);
    else if (data.open || data.press) {
      if (data.open) open(data.open, { pressed: Boolean(data.press) });
      if (data.press) press(data.press);
    }
    else if (data.drawer) { one(".ks-help")?.close(); drawer(data.drawer); }
    else if (data.sheet) sheet(data.sheet);
    else if (data.act) acts[data.act]?.();
    if (data.act !== "menu" && !button.closest(".ks-acts")) root.removeAttribute("data-menu");
  });

  // one of a toolbar's buttons is reached by Tab: the last that was
  document.addEventListener("focusin", (event) => {
    const bar = event.target.closest?.("[role=toolbar]");
    bar?.querySelectorAll("button").forEach((button) => { button.tabIndex = button === event.target ? 0 : -1; });
  });

  // arrows go from tab to tab, as in any list of tabs, and within a toolbar; Escape closes what lies over the page
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (root.dataset.sheet) sheet(null);
      else if (root.dataset.drawer) drawer(null);
      return;
    }
    const from = event.target.closest?.(".ks-space, .ks-view, [role=toolbar] button");
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!from || !by) return;
    const group = [...from.parentElement.querySelectorAll("[role=tab], [role=toolbar] button")].filter((b) => b.offsetParent);
    const next = group[(group.indexOf(from) + by + group.length) % group.length];
    event.preventDefault();
    next.focus();
    if (next.matches("[role=tab]")) next.click();
  });

  // ---- the address: view, model, seed, class, and the controls of the view's tab that are not where they began; those of
  // its other views count, too: what is shown here may be made with them

  const value = (name) => {
    const part = document.getElementById(name);
    const paper = part?.querySelector("canvas[data-packed]"); // what is painted
    if (paper) return paper.dataset.packed;
    const number = part?.querySelector("input[type=number]"); // beside a slider, whose own value is rounded to its steps
    if (number) return number.value;
    const choices = part ? [...part.querySelectorAll("input[type=radio], input[type=checkbox]")] : [];
    if (choices.length === 1 && !part.querySelector("fieldset")) return String(Number(choices[0].checked)); // a tick of its own
    if (choices.length) return choices.filter((c) => c.checked).map((c) => (c.type === "radio" ? c.value : c.name)).join(",");
    const text = part?.querySelector("input:is([role=combobox], [role=listbox], [type=text]), textarea")?.value; // a list's words, or a text
    const own = text === "" && document.getElementById(`${name}-own`)?.querySelector("[data-key]")?.dataset.key;
    return own || text;
  };
  let begin = null, ask = null, waiting = false;
  const known = {}; // the last value of every control: those of a closed part are not in the page

  function written() {
    const out = new URLSearchParams({ v: root.dataset.view });
    if (one(`.ks-view[data-view="${root.dataset.view}"][data-follows]`)) {
      out.set("m", one("#model input")?.value ?? "");
      out.set("s", value("seed") ?? "");
      const label = one("#label input")?.value;
      if (label) out.set("c", label);
    }
    const { tab } = one(`.ks-view[data-view="${root.dataset.view}"]`).dataset;
    for (const [name, first] of Object.entries(begin[tab] ?? {})) {
      const now = (known[name] = value(name) ?? known[name]);
      if (now !== undefined && now !== first && Number(now) !== Number(first)) out.set(name, now);
    }
    return `#${out}`;
  }

  function write() {
    if (waiting || !begin || !one("#model input")) return;
    const now = written();
    if (now !== location.hash) history.replaceState(null, "", now);
  }

  function read() {
    const { hash } = location;
    if (!ask || hash.length < 2 || hash === written()) return;
    for (const [name, text] of new URLSearchParams(hash.slice(1))) known[name] = text;
    waiting = true; // until the controls have their values
    const view = new URLSearchParams(hash.slice(1)).get("v");
    if (!FRESH.includes(view)) (stale ??= new Set(all(".ks-view").map((b) => b.dataset.view))).add(view); // shown anew
    setTimeout(() => { waiting = false; }, 4000);
    const names = named(hash);
    ask(hash, Object.fromEntries(pictures().filter(([key]) => names.includes(key))));
  }

  // told by the page when it is complete; trigger: asks the server to set the controls
  function addressed(trigger) {
    ask = trigger;
    begin = JSON.parse(one("#address template").dataset.kept);
    if (location.hash.length > 1) setTimeout(read, 0);
    setInterval(write, 700); // values are also set by the program, which no event tells
    window.addEventListener("hashchange", read);
  }

  window.studio = { addressed, keep, open, opening, moved, say, value };

  // A view that was never open is laid out first, and its own opening asked, which the button's question follows.
  function press(name, tries = 40) {
    const button = document.getElementById(name);
    if (button) button.click();
    else if (tries) setTimeout(() => press(name, tries - 1), 50);
    running();
  }

  // a button of an empty stage rests while the one that it presses does
  function running() {
    all(".ks-press").forEach((button) => { button.disabled = document.getElementById(button.dataset.press)?.disabled ?? false; });
  }

  // Gradio sets its own theme when it mounts
  const ready = new MutationObserver(() => {
    if (!one(".ks-spaces") || !one("#workspaces")) return;
    ready.disconnect();
    const theme = stored("studio-theme");
    if (theme) document.body.classList.toggle("dark", theme === "dark");
    setInterval(running, 300);
    setTimeout(() => window.studioPlotly?.().catch(() => {}), FIRST_SEEN_MS); // most views draw with it
    document.dispatchEvent(new CustomEvent("studio:ready"));
  });
  ready.observe(root, { childList: true, subtree: true });
})();
