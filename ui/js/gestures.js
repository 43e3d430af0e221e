// A move is asked once, and by keyboard, too. A slider of Gradio's tells "release" whenever a pointer goes up on it, even
// one that went down on a list that lay above it, and whenever its number is left, changed or not; moved by the arrow
// keys it tells none.

(() => {
  if (window.studioGestures) return; // the page's head may be put in twice
  window.studioGestures = true;
  const SLIDER = ".slider_input_container input[type=range], .head input[data-testid=number-input]";
  const REST_MS = 250; // after the last key
  const released = new WeakMap(); // input: its value when it was last taken up or told
  const timers = new WeakMap();
  let down = null;
  const slider = (part) => part instanceof Element && part.matches(SLIDER);

  window.addEventListener("pointerdown", ({ target }) => {
    down = target;
    if (slider(target)) released.set(target, target.value);
  }, true);

  // a pointer that went astray holds nothing any more
  for (const end of ["pointercancel", "keydown"]) window.addEventListener(end, () => { down = null; }, true);

  window.addEventListener("focusin", ({ target }) => {
    if (slider(target)) released.set(target, target.value);
  }, true);

  // also what `change` below sends
  window.addEventListener("pointerup", (event) => {
    const { target } = event;
    if (slider(target)) {
      if ((down && down !== target) || released.get(target) === target.value) event.stopPropagation();
      released.set(target, target.value);
    }
    down = null;
  }, true);

  window.addEventListener("blur", (event) => {
    if (slider(event.target) && released.get(event.target) === event.target.value) event.stopPropagation();
  }, true);

  // the browser's own word that a value stands: after a drag, which has been told by then, and after each key
  window.addEventListener("change", ({ target }) => {
    if (!slider(target) || target.type !== "range" || down || released.get(target) === target.value) return;
    clearTimeout(timers.get(target));
    const tell = () => target.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    timers.set(target, setTimeout(tell, REST_MS));
  }, true);
})();
