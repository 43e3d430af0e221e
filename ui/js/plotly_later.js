// Plotly is larger than all else of the page together: fetched when a figure is first drawn, or when the first picture
// has been seen, whichever comes first. A promise of it.
window.studioPlotly ??= () => (window.studioPlotlyComing ??= new Promise((done, fail) => {
  const part = document.createElement("script");
  part.src = PLOTLY_AT;
  part.onload = () => done(window.Plotly);
  part.onerror = () => {
    part.remove();
    window.studioPlotlyComing = null; // the next figure asks again
    fail(new Error("Plotly did not come."));
  };
  document.head.append(part);
}));
