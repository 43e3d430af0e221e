// Greys what was made with another model, class or seed than are chosen now (ui/components/made.py). Both change by hand
// and by the program, and results come late, so it is looked after all the time.

(() => {
  if (window.studioMade) return; // the page's head may be put in twice
  window.studioMade = true;
  const field = (name) => document.querySelector(`#${name} input`)?.value;

  function chosen(at) {
    const known = { model: field(`model${at}`), label: field(`label${at}`) || "no class", seed: field(`seed${at}`) };
    return known.model && known.seed ? known : null; // a seed is being typed
  }

  function check() {
    const grey = new Map();
    for (const part of document.querySelectorAll("[data-made]")) {
      const made = JSON.parse(part.dataset.made), now = chosen(made.at);
      if (!now) continue;
      const older = Object.keys(now).some((name) => made[name] !== null && String(made[name]) !== now[name]);
      part.toggleAttribute("data-older", older);
      const over = made.over ? document.querySelectorAll(made.over) : [part.closest(".ks-result") ?? part];
      for (const result of over) grey.set(result, older || grey.get(result) === true);
    }
    for (const [result, older] of grey) result.toggleAttribute("data-older", older);
  }

  setInterval(check, 300);
})();
