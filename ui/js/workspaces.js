// Goes from view to view, opens drawers, and keeps the page's own switches. Nothing here waits for the server: a view's
// tab is one of Gradio's, whose own button is pressed; that the visitor opened it is told by a button that is not seen.

(() => {
  if (window.studio) return; // the page's head may be put in twice
  const root = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const last = {}; // the view that was open in each workspace
  root.dataset.view = root.dataset.space = "watch";

  function mark(buttons, chosen) {
    for (const button of buttons) {
      button.setAttribute("aria-selected", button === chosen);
      button.tabIndex = button === chosen ? 0 : -1;
    }
  }

  // quiet: the program opens it, and makes its result itself
  function open(view, { quiet = false } = {}) {
    const button = one(`.ks-view[data-view="${view}"]`);
    if (!button) return false;
    const { of: space, tab } = button.dataset, same = root.dataset.view === view;
    root.dataset.view = view;
    root.dataset.space = space;
    last[space] = view;
    mark(all(".ks-space"), one(`.ks-space[data-space="${space}"]`));
    mark(all(`.ks-view[data-of="${space}"]`), button);
    all(".ks-views").forEach((list) => { list.hidden = list.dataset.of !== space; });
    one(`#workspaces > .tab-wrapper [data-tab-id="${tab}"]`)?.click();
    sheet(null);
    document.dispatchEvent(new CustomEvent("studio:view", { detail: { view, space } }));
    if (!quiet && !same) one(`#opened-${view}`)?.click();
    return true;
  }

  const first = (space) => one(`.ks-view[data-of="${space}"]`)?.dataset.view;

  // a value of the opener: the view and a count
  function opening(value) {
    const [view] = String(value || "").split(" ");
    if (!view) return;
    if (innerWidth < 760) drawer(null);
    open(view, { quiet: true });
  }

  function drawer(name) {
    const was = root.dataset.drawer;
    if (name && name !== was) root.dataset.drawer = name;
    else delete root.dataset.drawer;
    all("[data-drawer]:not(html)").forEach((b) => b.setAttribute("aria-expanded", root.dataset.drawer === b.dataset.drawer));
    if (root.dataset.drawer) one(`#drawer-${name} h2`)?.focus();
    else if (was) one(`.ks-acts [data-drawer="${was}"]`)?.focus();
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
    setTimeout(() => { if (place.textContent === words) place.textContent = ""; }, 2500);
  }

  const stored = (key, value) => {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch { return null; } // a browser that keeps nothing
  };

  const acts = {
    async link() {
      try {
        await navigator.clipboard.writeText(location.href);
        say("Link copied");
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
    if (button.matches(".ks-space")) open(last[data.space] || first(data.space));
    else if (button.matches(".ks-view")) open(data.view);
    else if (data.open) open(data.open);
    else if (data.drawer) { one(".ks-help")?.close(); drawer(data.drawer); }
    else if (data.sheet) sheet(data.sheet);
    else if (data.act) acts[data.act]?.();
    if (data.act !== "menu" && !button.closest(".ks-acts")) root.removeAttribute("data-menu");
  });

  // arrows go from tab to tab, as in any list of tabs; Escape closes what lies over the page
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (root.dataset.sheet) sheet(null);
      else if (root.dataset.drawer) drawer(null);
      return;
    }
    const tab = event.target.closest?.(".ks-space, .ks-view");
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!tab || !by) return;
    const tabs = [...tab.parentElement.querySelectorAll("[role=tab]")];
    const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];
    event.preventDefault();
    next.focus();
    next.click();
  });

  window.studio = { open, opening, say };

  // Gradio sets its own theme when it mounts
  const ready = new MutationObserver(() => {
    if (!one(".ks-spaces") || !one("#workspaces")) return;
    ready.disconnect();
    const theme = stored("studio-theme");
    if (theme) document.body.classList.toggle("dark", theme === "dark");
    document.dispatchEvent(new CustomEvent("studio:ready"));
  });
  ready.observe(root, { childList: true, subtree: true });
})();
