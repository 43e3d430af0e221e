// Greys what was made with another model, class or seed than are chosen now, or with other settings of its own tab
// (ui/components/made.py). All change by hand and by the program, and results come late, so it is looked after all the time.

(() => {
  if (window.studioMade) return; // the page's head may be put in twice
  window.studioMade = true;
  const field = (name) => document.querySelector(`#${name} input`)?.value;

  function chosen(at) {
    const known = { model: field(`model${at}`), label: field(`label${at}`) || "no class", seed: field(`seed${at}`) };
    return known.model && known.seed ? known : null; // a seed is being typed
  }

  // a control that is not seen, or is being typed, says nothing
  function differs(id, text) {
    const now = window.studio?.value(id);
    return now !== undefined && now !== "" && now !== text && Number(now) !== Number(text);
  }

  function check() {
    const grey = new Map();
    for (const part of document.querySelectorAll("[data-made]")) {
      const made = JSON.parse(part.dataset.made), names = ["model", "label", "seed"].filter((name) => made[name] !== null);
      const now = names.length ? chosen(made.at) : {};
      if (!now) continue;
      const older = names.some((name) => String(made[name]) !== now[name])
        || Object.entries(made.controls).some(([id, text]) => differs(id, text));
      part.toggleAttribute("data-older", older);
      const over = made.over ? document.querySelectorAll(made.over) : [part.closest(".ks-result") ?? part];
      for (const result of over) grey.set(result, older || grey.get(result) === true);
    }
    for (const [result, older] of grey) result.toggleAttribute("data-older", older);
  }

  setInterval(check, 300);
})();
