// Gradio 6.31's page wraps all that its configuration holds in proxies that watch for changes: the list of events, which
// never changes here and is asked about every component, and the components, whose every property is read once. Plain
// arrays and plain objects alone are wrapped, so lists of a class of their own are left as they are. `of`: events by
// component, for the script that asks (ui/server/gradio_internals.py).
(() => {
  const config = window.gradio_config;
  if (!Array.isArray(config?.dependencies)) return;
  class Plain extends Array {}
  config.dependencies = Plain.from(config.dependencies);
  config.components = Plain.from(config.components);
  config.dependencies.of = new Map();
  for (const event of config.dependencies) {
    for (const id of new Set(event.targets.map(([component]) => component))) {
      if (!config.dependencies.of.has(id)) config.dependencies.of.set(id, []);
      config.dependencies.of.get(id).push(event);
    }
  }
})();

// Gradio 6.31's lists stay open when they are left by Tab, over what comes next; Escape closes them.
document.addEventListener("focusout", (event) => {
  if (!event.target.matches?.("input[role=combobox]")) return;
  event.target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
});
