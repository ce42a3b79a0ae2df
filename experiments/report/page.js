"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const DASHES = ["", "7 4", "2 3", "10 3 2 3"];
const BANDS = {deviation: "Mean and sample deviation over seeds", range: "Mean and range over seeds", runs: "Every run"};

/** An element with attributes and children; texts become text nodes. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function written(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return String(+value.toPrecision(4));
}

const colour = row => `var(--c${row % 8})`;
const dash = row => DASHES[Math.floor(row / 8) % DASHES.length];

/* Tables: a button in each heading sorts. */

for (const table of document.querySelectorAll("table[data-sort]")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = make("button", {type: "button"}, heading.textContent);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((one, other) => compare(value(one), value(other), down)));
    });
  });
}

/** Numbers before texts; what is missing comes last either way. */
function compare(one, other, down) {
  if (one === "–" || other === "–") return (one === "–") - (other === "–");
  const numbers = [Number(one), Number(other)];
  const order = numbers.some(Number.isNaN) ? one.localeCompare(other, "en", {numeric: true}) : numbers[0] - numbers[1];
  return down ? -order : order;
}

/* Curves. */

/** The points {x, y, low, high, n} of a row at each step that one of its runs has; the band is what the choice says. */
function overSeeds(curves, band) {
  const at = new Map();
  for (const curve of curves) {
    curve.x.forEach((x, index) => {
      if (!at.has(x)) at.set(x, []);
      at.get(x).push([curve.mean[index], (curve.low ?? curve.mean)[index], (curve.high ?? curve.mean)[index]]);
    });
  }
  return [...at.keys()].sort((one, other) => one - other).map(x => {
    const own = at.get(x), n = own.length;
    const y = own.reduce((sum, [mean]) => sum + mean, 0) / n;
    const deviation = n > 1 ? Math.sqrt(own.reduce((sum, [mean]) => sum + (mean - y) ** 2, 0) / (n - 1)) : 0;
    const wide = band === "range" || n === 1;
    return {
      x, y, n, deviation,
      low: wide ? Math.min(...own.map(([, low]) => low)) : y - deviation,
      high: wide ? Math.max(...own.map(([, , high]) => high)) : y + deviation,
    };
  });
}

/** Round numbers from low to high; on a logarithmic axis 1, 2, 5 times powers of ten, or powers alone. */
function ticks(low, high, log, wanted) {
  if (log) {
    const found = [], decades = Math.log10(high / low);
    const factors = decades > 4 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
    const stride = Math.max(1, Math.ceil(decades / wanted));
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += stride)
      for (const factor of factors) if (factor * 10 ** power >= low && factor * 10 ** power <= high) found.push(factor * 10 ** power);
    if (found.length >= 2) return found;
  }
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough);
  const found = [];
  for (let index = Math.ceil(low / step); index * step <= high + step * 1e-9; index++) found.push(+(index * step).toPrecision(12));
  return found;
}

function chart(place) {
  const metrics = [...new Set(data.runs.flatMap(run => Object.keys(run.curves)))].sort();
  const first = ["generator/loss", ...metrics].find(name => metrics.includes(name));
  const metric = make("select", {id: "metric"}, ...metrics.map(name => make("option", name === first ? {selected: ""} : {}, name)));
  const band = make("select", {id: "band"}, ...Object.entries(BANDS).map(([value, text]) => make("option", {value}, text)));
  const log = make("input", {type: "checkbox", id: "log"});
  const boxes = data.rows.map(() => make("input", {type: "checkbox", checked: ""}));
  const rows = make("fieldset", {}, make("legend", {}, "Rows"), ...data.rows.map((name, row) => make("label", {}, boxes[row], swatch(row), name)));
  const all = make("button", {type: "button"}, "all or none");
  if (boxes.length > 3) rows.firstChild.append(" ", all);
  const plot = make("div", {class: "plot"});
  const step = make("input", {type: "range", id: "at", min: 0, step: 1});
  const said = make("span");
  const values = make("tbody");
  const note = make("p", {class: "faint"});
  place.append(
    make("div", {class: "controls"},
      make("label", {}, "Metric", metric), make("label", {}, "Line and band", band),
      make("label", {class: "check"}, log, "Logarithmic")),
    rows, plot, note,
    make("div", {class: "controls"}, make("label", {style: "flex: 1"}, make("span", {}, "Values at step ", said), step)),
    make("div", {class: "scroll", role: "region", "aria-label": "Values of the curves at one step", tabindex: 0},
      make("table", {}, make("thead", {}, make("tr", {}, ...["row", "mean", "deviation", "n"].map((name, column) => make("th", {scope: "col", class: column ? "number" : ""}, name)))), values)));
  place.hidden = false;
  let lines = [], scales = null;

  function gather() {
    const shown = data.runs.filter(run => boxes[run.row].checked && run.curves[metric.value]);
    const groups = band.value === "runs" ? shown.map(run => [run]) : data.rows.map((_, row) => shown.filter(run => run.row === row)).filter(own => own.length);
    lines = groups.map(own => ({
      row: own[0].row,
      name: band.value === "runs" ? own[0].name : data.rows[own[0].row],
      points: overSeeds(own.map(run => run.curves[metric.value]), band.value),
      ends: own.filter(run => run.status === "diverged" || run.status === "pruned").map(run => run.curves[metric.value]),
    }));
  }

  function redraw() {
    gather();
    const points = lines.flatMap(line => line.points);
    const positive = points.length > 0 && points.every(point => point.y > 0);
    log.disabled = !positive;
    const logarithmic = log.checked && positive;
    plot.replaceChildren();
    note.textContent = explain(positive);
    if (!points.length) {
      plot.append(make("p", {}, "No row that is shown has this metric."));
      values.replaceChildren();
      return;
    }
    const width = Math.max(plot.clientWidth, 240), height = Math.round(Math.min(420, Math.max(240, width * 0.5)));
    const lowest = Math.min(...points.map(point => point.y));
    const bottoms = points.map(point => logarithmic && point.low <= 0 ? lowest : point.low);
    scales = axes(points.map(point => point.x), bottoms, points.map(point => point.high), width, height, logarithmic);
    const svg = draw("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${metric.value} over steps, ${lines.length} lines; the values at any step stand in the table below`});
    svg.append(...frame(scales, width, height, logarithmic));
    for (const line of lines) svg.append(...curve(line, scales));
    svg.append(draw("line", {class: "cursor", y1: scales.top, y2: scales.bottom}));
    plot.append(svg);
    step.max = scales.last;
    step.min = Math.min(...points.map(point => point.x));
    read();
  }

  function explain(positive) {
    const found = [];
    if (lines.some(line => data.runs.some(run => run.curves[metric.value]?.low)))
      found.push("Points stand for several steps: the line is their mean; the band of a single run and that of the range keep their least and greatest value.");
    if (lines.some(line => line.ends.length)) found.push("× ends a run that diverged or was pruned; from there the mean is of the others.");
    if (!positive && lines.length) found.push("Not all values are above 0, so that there is no logarithmic axis.");
    return found.join(" ");
  }

  /** The table of values nearest to the chosen step, and the cursor there. */
  function read() {
    const at = Number(step.value);
    said.textContent = at.toLocaleString("en");
    step.setAttribute("aria-valuetext", `step ${at}`);
    const cursor = plot.querySelector(".cursor");
    cursor.setAttribute("x1", scales.x(at));
    cursor.setAttribute("x2", scales.x(at));
    values.replaceChildren(...lines.map(line => {
      const near = line.points.reduce((best, point) => Math.abs(point.x - at) < Math.abs(best.x - at) ? point : best);
      const cells = [written(near.y), near.n > 1 ? written(near.deviation) : "–", String(near.n)];
      const over = at > line.points[line.points.length - 1].x ? ` (ends at step ${near.x.toLocaleString("en")})` : "";
      return make("tr", {}, make("th", {scope: "row"}, line.name + over), ...cells.map(text => make("td", {class: "number"}, text)));
    }));
  }

  metric.addEventListener("change", redraw);
  band.addEventListener("change", redraw);
  log.addEventListener("change", redraw);
  boxes.forEach(box => box.addEventListener("change", redraw));
  all.addEventListener("click", () => {
    const on = !boxes.every(box => box.checked);
    boxes.forEach(box => { box.checked = on; });
    redraw();
  });
  step.addEventListener("input", read);
  let width = 0;
  new ResizeObserver(() => {
    if (plot.clientWidth !== width) { width = plot.clientWidth; redraw(); }
  }).observe(plot);
  redraw();
  step.value = step.max;
  read();
}

function swatch(row) {
  const line = draw("line", {x1: 0, y1: 6, x2: 26, y2: 6, "stroke-width": 3, "stroke-dasharray": dash(row), style: `stroke: ${colour(row)}`});
  return draw("svg", {class: "swatch", width: 26, height: 12, "aria-hidden": "true"}, line);
}

function axes(steps, lows, highs, width, height, log) {
  let low = Math.min(...lows), high = Math.max(...highs);
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - (Math.abs(low) / 2 || 1), high + (Math.abs(high) / 2 || 1)];
  if (!log) [low, high] = [low - (high - low) * 0.03, high + (high - low) * 0.03];
  const left = 64, right = width - 12, top = 10, bottom = height - 40;
  const last = Math.max(...steps), begin = Math.min(0, ...steps);
  const place = log ? Math.log10 : value => value;
  const span = place(high) - place(low);
  return {
    left, right, top, bottom, low, high, last, begin,
    x: step => left + (right - left) * (step - begin) / ((last - begin) || 1),
    y: value => bottom - (bottom - top) * (place(Math.min(Math.max(value, low), high)) - place(low)) / span,
  };
}

function frame(scales, width, height, log) {
  const parts = [];
  for (const value of ticks(scales.low, scales.high, log, 6)) {
    const y = scales.y(value);
    parts.push(draw("line", {class: "grid", x1: scales.left, x2: scales.right, y1: y, y2: y}));
    parts.push(draw("text", {x: scales.left - 8, y: y + 4, "text-anchor": "end"}, written(value)));
  }
  for (const value of ticks(scales.begin, scales.last, false, Math.max(2, Math.floor(width / 110)))) {
    const x = scales.x(value);
    parts.push(draw("line", {class: "axis", x1: x, x2: x, y1: scales.bottom, y2: scales.bottom + 5}));
    parts.push(draw("text", {x, y: scales.bottom + 18, "text-anchor": x > scales.right - 20 ? "end" : "middle"}, value.toLocaleString("en")));
  }
  parts.push(draw("line", {class: "axis", x1: scales.left, x2: scales.right, y1: scales.bottom, y2: scales.bottom}));
  parts.push(draw("text", {x: (scales.left + scales.right) / 2, y: height - 4, "text-anchor": "middle"}, "step"));
  return parts;
}

function curve(line, scales) {
  const path = (points, key) => points.map(point => `${scales.x(point.x).toFixed(1)} ${scales.y(point[key]).toFixed(1)}`).join("L");
  const parts = [];
  if (line.points.some(point => point.low < point.high))
    parts.push(draw("path", {class: "band", style: `fill: ${colour(line.row)}`, d: `M${path(line.points, "high")}L${path([...line.points].reverse(), "low")}Z`}));
  parts.push(draw("path", {class: "curve", style: `stroke: ${colour(line.row)}`, "stroke-dasharray": dash(line.row), d: `M${path(line.points, "y")}`}));
  for (const end of line.ends) {
    const x = scales.x(end.x[end.x.length - 1]), y = scales.y(end.mean[end.mean.length - 1]);
    parts.push(draw("path", {class: "curve", style: `stroke: ${colour(line.row)}`, d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`}));
  }
  return parts;
}

/* Samples: one slider for all runs; each shows its last picture up to that step. */

function time(place) {
  const steps = [...new Set(data.runs.flatMap(run => run.frames.map(([step]) => step)))].sort((one, other) => one - other);
  if (steps.length < 2) return;
  const figures = [...document.querySelectorAll("figure[data-run]")].map(figure => ({
    picture: figure.querySelector("img"),
    caption: figure.querySelector(".step"),
    run: data.runs[figure.dataset.run],
    last: figure.querySelector("img").src,
  }));
  const slider = make("input", {type: "range", id: "step", min: 0, max: steps.length - 1, step: 1, value: steps.length - 1});
  const said = make("span");
  place.append(make("label", {}, make("span", {}, "Samples at step ", said), slider));
  place.hidden = false;

  function show() {
    const now = steps[slider.value];
    said.textContent = now.toLocaleString("en");
    slider.setAttribute("aria-valuetext", `step ${now}`);
    for (const {picture, caption, run, last} of figures) {
      const [step, content] = run.frames.filter(([step]) => step <= now).pop() ?? run.frames[0];
      const source = content ? `data:image/png;base64,${content}` : last;
      if (picture.src !== source) picture.src = source;
      picture.alt = `Samples of ${run.name} at step ${step}`;
      caption.textContent = step.toLocaleString("en");
    }
  }
  slider.addEventListener("input", show);
  show();
}

if (document.getElementById("chart")) chart(document.getElementById("chart"));
if (document.getElementById("time")) time(document.getElementById("time"));
