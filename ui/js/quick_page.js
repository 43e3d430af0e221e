// Gradio 6.31's page wraps all that its configuration holds in proxies that watch for changes, the list of events too,
// which never changes here, and then asks that list about every component: a third of the time until the first picture.
// Plain arrays and plain objects alone are wrapped, so a list of a class of its own is left as it is.
(() => {
  const config = window.gradio_config;
  if (!Array.isArray(config?.dependencies)) return;
  class Events extends Array {}
  config.dependencies = Events.from(config.dependencies);
})();

// Gradio 6.31's lists stay open when they are left by Tab, over what comes next; Escape closes them.
document.addEventListener("focusout", (event) => {
  if (!event.target.matches?.("input[role=combobox]")) return;
  event.target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
});
