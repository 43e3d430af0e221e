// Gradio 6.31's page, made quicker before its own scripts run (ui/server/gradio_internals.py).

// What Gradio's server configures the page with comes as JSON, which is read twice as fast as a script, and the scripts
// of components once each, though each component has its own copy of them. Left out is what no visitor sees: the inputs
// of the endpoints, a fifth of all components. The page wraps all that its configuration holds in proxies that watch for
// changes: the list of events, which never changes here, and the components, whose every property is read once. Plain
// arrays and plain objects alone are wrapped, so lists of a class of their own, and what Gradio filters out of them, are
// left as they are.
(() => {
  const sent = document.getElementById("ks-config");
  if (sent) {
    const { scripts, config } = JSON.parse(sent.textContent);
    sent.remove();
    for (const { props } of config.components) {
      if (typeof props.js_on_load === "number") props.js_on_load = scripts[props.js_on_load];
    }
    window.gradio_config = config;
  }
  const config = window.gradio_config;
  if (!Array.isArray(config?.dependencies)) return;
  if (!new URLSearchParams(location.search).has("view")) { // "api": Gradio's own page about the endpoints
    const api = new Set(config.components.filter((c) => c.type === "api").map((c) => c.id));
    const without = (node) => {
      if (!node?.children) return;
      node.children = node.children.filter((child) => !api.has(child.id));
      node.children.forEach(without);
    };
    config.components = config.components.filter((c) => !api.has(c.id));
    config.dependencies = config.dependencies.filter((d) => ![...d.inputs, ...d.outputs].some((id) => api.has(id)));
    without(config.layout);
    for (const page of Object.values(config.page ?? {})) without(page.layout);
  }
  class Plain extends Array {}
  config.dependencies = Plain.from(config.dependencies);
  config.components = Plain.from(config.components);
})();

// Events by component, for Gradio's script that asks about every component (ui/server/gradio_internals.py); kept for
// each list, since Gradio makes others from the one that it was sent.
window.ksEvents = (() => {
  const kept = new WeakMap();
  return (events, id) => {
    if (!kept.has(events)) {
      const by = new Map();
      for (const event of events) {
        for (const target of new Set(event.targets.map(([component]) => component))) {
          if (!by.has(target)) by.set(target, []);
          by.get(target).push(event);
        }
      }
      kept.set(events, by);
    }
    return kept.get(events).get(id) ?? [];
  };
})();

// Gradio 6.31's lists stay open when they are left by Tab, over what comes next; Escape closes them.
document.addEventListener("focusout", (event) => {
  if (!event.target.matches?.("input[role=combobox]")) return;
  event.target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
});
