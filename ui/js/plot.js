// A Plotly figure that keeps its zoom and answers clicks. props.value = JSON of the figure.

const div = element.querySelector(".ks-plot");
const config = { displaylogo: false, responsive: false, modeBarButtonsToRemove: ["autoScale2d"] };
if (props.modebar) config.displayModeBar = true;

// customdata[0] is the flat index of a mode; each mode is drawn twice (+ beta, - beta)
const chosen = (event) =>
  [...new Set(event.points.filter((p) => p.customdata).map((p) => Number(p.customdata[0])))];

function wire() {
  if (div.wired) return;
  div.wired = true;
  keepDrawn(div, draw);
  if (!props.clickable) return;
  div.on("plotly_click", (event) => {
    const points = chosen(event).slice(0, 1);
    if (points.length) trigger("select", { points });
  });
  div.on("plotly_selected", (event) => { if (event) trigger("apply", { points: chosen(event) }); });
}

function draw() {
  if (!div || !window.Plotly || !props.value) return;
  const figure = themed(JSON.parse(props.value));
  div.style.minHeight = `${figure.layout.height}px`;
  Plotly.react(div, figure.data, figure.layout, config).then(wire);
}

draw();
watch("value", draw);
