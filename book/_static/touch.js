/* Two things to touch (replication/book/touch.py), and the ledger on a phone. No library; colours come from the page. */
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = { relu: "#0173b2", tanh: "#de8f05", logistic: "#029e73" };
const DASHES = { relu: "", tanh: "6 4", logistic: "2 3" };

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function control(label, low, high, step, value, format, changed) {
  const line = document.createElement("label");
  line.className = "touch-control";
  const shown = document.createElement("output");
  const input = Object.assign(document.createElement("input"), { type: "range", min: low, max: high, step, value });
  const update = () => {
    shown.textContent = format(Number(input.value));
    changed(Number(input.value));
  };
  input.addEventListener("input", update);
  line.append(label, input, shown);
  return { line, update };
}

/* Epochs until the error first meets the target, on the line between two epochs; null: never. */
function crossing(errors, target) {
  for (let epoch = 1; epoch < errors.length; epoch += 1) {
    const [before, here] = [errors[epoch - 1], errors[epoch]];
    if (here <= target) return epoch - 1 + (before > target ? (before - target) / (before - here) : 0);
  }
  return null;
}

function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

function figure1(box, data) {
  const panels = document.createElement("div");
  panels.className = "touch-panels";
  const [width, height, left, bottom, top] = [360, 230, 42, 34, 12];
  const drawn = Object.entries(data.regimes).map(([regime, runs]) => {
    const longest = Math.max(...Object.values(runs).flat().map((errors) => errors.length - 1));
    const x = (epoch) => left + ((width - left - 8) * epoch) / longest;
    const y = (error) => top + ((height - top - bottom) * (0.7 - Math.min(error, 0.7))) / 0.7;
    const picture = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Training error against epochs, ${regime}` });
    for (const error of [0, 0.2, 0.4, 0.6]) {
      picture.append(element("line", { x1: left, x2: width - 8, y1: y(error), y2: y(error), class: "touch-grid" }));
      picture.append(element("text", { x: left - 6, y: y(error) + 4, "text-anchor": "end" }, `${Math.round(100 * error)}%`));
    }
    for (let epoch = 0; epoch <= longest; epoch += longest > 30 ? 10 : 4)
      picture.append(element("text", { x: x(epoch), y: height - bottom + 15, "text-anchor": "middle" }, epoch));
    picture.append(element("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "epochs"));
    for (const [activation, curves] of Object.entries(runs))
      for (const errors of curves)
        picture.append(element("polyline", {
          points: errors.map((error, epoch) => `${x(epoch)},${y(error)}`).join(" "),
          fill: "none", stroke: COLOURS[activation], "stroke-width": 1.4, "stroke-dasharray": DASHES[activation],
        }));
    const line = element("line", { x1: left, x2: width - 8, class: "touch-target" });
    const dots = element("g", {});
    picture.append(line, dots);
    const answer = document.createElement("p");
    const part = document.createElement("figure");
    const title = document.createElement("figcaption");
    title.textContent = regime;
    part.append(title, picture, answer);
    panels.append(part);
    return (target) => {
      line.setAttribute("y1", y(target));
      line.setAttribute("y2", y(target));
      dots.replaceChildren();
      const means = {};
      for (const [activation, curves] of Object.entries(runs)) {
        const reached = curves.map((errors) => crossing(errors, target));
        reached.filter((epoch) => epoch !== null).forEach((epoch) =>
          dots.append(element("circle", { cx: x(epoch), cy: y(target), r: 3.5, fill: COLOURS[activation] })));
        means[activation] = reached.includes(null) ? null : geometricMean(reached);
      }
      const words = Object.entries(means).map(([activation, mean]) =>
        `${data.labels[activation]} ${mean === null ? "not in all runs" : `${mean.toFixed(1)} epochs`}`);
      const both = means.relu && means.tanh;
      answer.textContent = `${words.join(", ")}${both ? `: ${(means.tanh / means.relu).toFixed(2)} times` : ""}`;
    };
  });
  const { line, update } = control("Target error", 0.21, 0.6, 0.01, 0.25, (value) => `${Math.round(100 * value)}%`,
    (target) => drawn.forEach((draw) => draw(target)));
  const note = document.createElement("p");
  note.className = "small";
  note.textContent = `One line per run. ReLU solid, tanh dashed; ${data.scale}.`;
  box.append(line, panels, note);
  update();
}

function normalisation(box, data) {
  const others = [40, 90, 60, 120, null, 110, 70, 30, 80];
  const middle = others.indexOf(null);
  const [width, height, bottom] = [360, 190, 30];
  const panels = document.createElement("div");
  panels.className = "touch-panels";
  const pictures = ["before: the responses", "after: divided"].map((title) => {
    const part = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = title;
    const picture = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
    part.append(caption, picture);
    panels.append(part);
    return picture;
  });
  const draw = (picture, values, top) => {
    picture.replaceChildren();
    values.forEach((value, place) => {
      const tall = ((height - bottom - 16) * value) / top;
      const near = Math.abs(place - middle) <= Math.floor(data.n / 2);
      const x = 12 + (place * (width - 24)) / values.length;
      const colour = place === middle ? "#d55e00" : near ? "#de8f05" : "#0173b2";
      picture.append(element("rect", { x, y: height - bottom - tall, width: 28, height: Math.max(tall, 0.5), fill: colour }));
      picture.append(element("text", { x: x + 14, y: height - bottom - tall - 4, "text-anchor": "middle" }, value < 100 ? value.toFixed(1) : value.toFixed(0)));
      picture.append(element("text", { x: x + 14, y: height - bottom + 14, "text-anchor": "middle" }, place));
    });
    picture.append(element("text", { x: width / 2, y: height - 2, "text-anchor": "middle" }, "kernel"));
  };
  const { line, update } = control(`Response of kernel ${middle}`, 0, 800, 10, 120, (value) => `${value}`, (response) => {
    const values = others.map((value) => (value === null ? response : value));
    const half = Math.floor(data.n / 2);
    const after = values.map((value, place) => {
      const window = values.slice(Math.max(0, place - half), place + half + 1);
      const sum = window.reduce((total, one) => total + one * one, 0);
      return value / (data.k + data.alpha * sum) ** data.beta;
    });
    draw(pictures[0], values, 800);
    draw(pictures[1], after, 60);
  });
  box.append(line, panels);
  update();
}

document.addEventListener("DOMContentLoaded", () => {
  // the ledger's sections begin folded on a phone, where all rows together are a very long page;
  // that of the row to which a link has led is open
  if (window.matchMedia("(max-width: 45rem)").matches) {
    const row = document.getElementById(location.hash.slice(1));
    document.querySelectorAll("details.ledger-group").forEach((group) => { group.open = group.contains(row); });
    if (row) row.scrollIntoView();
  }
  const kinds = { figure1, normalisation };
  document.querySelectorAll(".touch").forEach((box) =>
    kinds[box.dataset.touch](box, JSON.parse(box.querySelector("script[type='application/json']").textContent)));
});
