// The pipeline as boxes. A level's box opens "Look inside" and triggers "select" with {level}; the player tells its
// moment and its pictures by events of the document.

const growth = (alpha, tau) => Math.exp((tau - 1) * alpha);

function moved(event) {
  const { tau, first, last, side } = event.detail;
  element.querySelectorAll(".ks-level").forEach((box) => {
    const now = growth(Number(box.dataset.alpha), tau);
    box.querySelector("output").textContent = `× ${now.toFixed(2)}`;
    // the middle of the bar is "as at noise"
    box.querySelector("s").style.width = `${Math.max(2, Math.min(100, 50 + 25 * Math.log2(now)))}%`;
  });
  const [noise, picture] = element.querySelectorAll("canvas");
  for (const [canvas, source] of [[noise, first], [picture, last]]) {
    if (!canvas || !source) continue;
    canvas.width = canvas.height = side;
    source(canvas);
  }
}

element.addEventListener("click", (event) => {
  const box = event.target.closest("[data-level], [data-seek]");
  if (!box) return;
  if (box.dataset.seek) {
    document.dispatchEvent(new CustomEvent("studio:seek", { detail: Number(box.dataset.seek) }));
    return;
  }
  window.studio?.open("modes", { filled: true });
  trigger("select", { level: Number(box.dataset.level) });
});
document.addEventListener("studio:moment", moved);
