/* Draws the plane, the curve of the objective and the weights. It reads the state and changes nothing in it. */
(function (root) {
  "use strict";
  const S = root.Straightedge;
  const { extent, region, lines, chord, drawable, ticks } = S.geometry;
  const names = ["circle", "square", "triangle"];
  const unit = 100; // SVG units to one unit of the plane

  /** An SVG element with its attributes. */
  function make(tag, attributes = {}, text = "") {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, entry] of Object.entries(attributes)) node.setAttribute(name, entry);
    if (text) node.textContent = text;
    return node;
  }

  const byId = (id) => document.getElementById(id);
  const toSvg = ([x, y]) => [x * unit, -y * unit];
  const path = (corners) => "M" + corners.map((corner) => toSvg(corner).map((entry) => entry.toFixed(2)).join(" ")).join("L");

  /** Numbers for people: four digits, powers of ten only where they are needed. */
  function format(number) {
    if (!Number.isFinite(number)) return "not finite";
    const size = Math.abs(number);
    if (size === 0) return "0";
    if (size < 1e-15) return "< 1e-15";
    const text = size >= 1e5 || size < 1e-3 ? number.toExponential(2) : String(Number(number.toPrecision(4)));
    return text.replace("-", "−").replace("e−", "e−").replace("e-", "e−").replace("e+", "e");
  }

  /** Grid and axes, once. */
  function drawAxes() {
    const group = byId("axes");
    for (let tick = -extent; tick <= extent; tick++) {
      const side = extent * unit;
      const kind = tick === 0 ? "axis" : "grid";
      group.append(make("path", { class: kind, d: `M${tick * unit} ${-side}V${side}M${-side} ${tick * unit}H${side}` }));
      if (tick !== 0 && Math.abs(tick) < extent) {
        group.append(make("text", { x: tick * unit, y: 14, "text-anchor": "middle" }, String(tick).replace("-", "−")));
        group.append(make("text", { x: -6, y: -tick * unit + 4, "text-anchor": "end" }, String(tick).replace("-", "−")));
      }
    }
    group.append(make("text", { class: "name", x: extent * unit - 8, y: -7, "text-anchor": "end" }, "x₁"));
    group.append(make("text", { class: "name", x: 8, y: -extent * unit + 16 }, "x₂"));
  }

  /** Softmax: every place has the colours of the classes, mixed by their probabilities. */
  function shadeProbabilities(W, visible) {
    const canvas = byId("shade");
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!visible) return;
    const style = getComputedStyle(document.documentElement);
    const colours = names.map((_, j) => style.getPropertyValue(`--rgb-${j}`).split(" ").map(Number));
    const image = context.createImageData(canvas.width, canvas.height);
    for (let cell = 0; cell < canvas.width * canvas.height; cell++) {
      const x = ((cell % canvas.width) + 0.5) / canvas.width;
      const y = (Math.floor(cell / canvas.width) + 0.5) / canvas.height;
      const p = S.probabilities(S.scoresOf([(2 * x - 1) * extent, (1 - 2 * y) * extent, 1], W));
      for (let channel = 0; channel < 3; channel++) {
        image.data[4 * cell + channel] = p.reduce((sum, share, j) => sum + share * colours[j][channel], 0);
      }
      image.data[4 * cell + 3] = 62;
    }
    context.putImageData(image, 0, 0);
  }

  /** The line where class j scores 0, and an arrow to where it scores more; empty where it misses the plane. */
  function zeroLine(W, j) {
    const group = make("g", { class: `class-${j}` });
    const segment = chord([W[0][j], W[1][j], W[2][j]]);
    if (segment.length !== 2) return group;
    const middle = [0, 1].map((axis) => (segment[0][axis] + segment[1][axis]) / 2);
    const norm = Math.hypot(W[0][j], W[1][j]);
    const tip = [middle[0] + (0.4 * W[0][j]) / norm, middle[1] + (0.4 * W[1][j]) / norm];
    const [x, y] = toSvg(tip);
    const angle = (Math.atan2(-W[1][j], W[0][j]) * 180) / Math.PI;
    group.append(make("path", { class: "zero", d: path(segment) }), make("path", { class: "zero", d: path([middle, tip]) }));
    group.append(make("path", { class: "tip", d: "M6 0-5-5v10z", transform: `translate(${x} ${y}) rotate(${angle})` }));
    return group;
  }

  /** Regions, decision lines, margins. */
  function drawLines(state) {
    const { W, loss, best } = state;
    const seen = drawable(W);
    shadeProbabilities(W, seen && loss === "softmax");
    const flatRegions = seen && loss !== "softmax" ? names.map((_, j) => [j, region(W, j)]) : [];
    byId("regions").replaceChildren(
      ...flatRegions.filter(([, corners]) => corners.length > 2).map(([j, corners]) => make("path", { class: `region class-${j}`, d: path(corners) + "Z" })),
    );
    const put = (id, kind, found) => byId(id).replaceChildren(...found.map(({ segment }) => make("path", { class: kind, d: path(segment) })));
    put("lines", "line", seen ? lines(W) : []);
    put("margins", "line margin", seen && S.losses[loss].kind?.words.includes("−") ? [...lines(W, 1), ...lines(W, -1)] : []);
    byId("zeros").replaceChildren(...(state.zero && seen ? names.map((_, j) => zeroLine(W, j)) : []));
    put("best-lines", "line best", best && drawable(best.W) ? lines(best.W) : []);
  }

  /** One node a point, kept while the point lives, so that focus and drag survive a redraw. */
  const nodes = new Map();

  function nodeOf(point) {
    if (!nodes.has(point.id)) {
      const node = make("g", { class: "point", role: "button", "data-id": point.id });
      node.append(make("circle", { class: "reach", r: 20 }), make("circle", { class: "selection", r: 15 }), make("use", {}));
      nodes.set(point.id, { node, halo: make("circle", { class: "halo" }) });
    }
    return nodes.get(point.id);
  }

  function forget(alive) {
    for (const [id, { node, halo }] of nodes) {
      if (alive.has(id)) continue;
      node.remove();
      halo.remove();
      nodes.delete(id);
    }
  }

  function drawPoints(state) {
    byId("empty").style.display = state.points.length ? "none" : "";
    forget(new Set(state.points.map((point) => point.id)));
    state.points.forEach((point, i) => {
      const { node, halo } = nodeOf(point);
      const [x, y] = toSvg([point.x, point.y]);
      const loss = state.now.values[i];
      const chosen = point.id === state.selected;
      node.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
      node.setAttribute("class", `point class-${point.label}${chosen ? " selected" : ""}${i === state.walk.at ? " walking" : ""}`);
      node.setAttribute("tabindex", chosen ? 0 : -1);
      node.setAttribute("aria-label", `Point ${i + 1}, ${names[point.label]}, at ${point.x.toFixed(2)}, ${point.y.toFixed(2)}, loss ${format(loss)}`);
      node.lastChild.setAttribute("href", `#mark-${point.label}`);
      halo.setAttribute("class", `halo class-${point.label}`);
      halo.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
      halo.setAttribute("r", Math.min(90, 24 * Math.sqrt(Math.max(0, Number.isFinite(loss) ? loss : 0))).toFixed(1)); // area in proportion to the loss
      if (!node.parentNode) {
        byId("points").append(node);
        byId("halos").append(halo);
      }
    });
  }

  /** The objective of every step so far, and the line no step can cross. */
  function drawChart(state) {
    const [width, height, left, bottom] = [420, 220, 46, 26];
    if (!state.points.length) {
      byId("chart").replaceChildren(make("text", { x: 210, y: 110, "text-anchor": "middle" }, "Nothing to minimise yet: the plane is empty"));
      return byId("chart").setAttribute("aria-label", "No objective without points");
    }
    const trace = state.trace.filter((entry) => Number.isFinite(entry.objective));
    const values = trace.map((entry) => entry.objective);
    const floor = state.best ? state.best.objective : 0;
    const high = Math.min(Math.max(...values, floor * 1.05, 1e-3), 8 * Math.max(values[0] || 1, floor));
    const last = Math.max(10, trace.length ? trace[trace.length - 1].step : 0);
    const first = trace.length ? trace[0].step : 0;
    const X = (step) => left + ((width - left - 12) * (step - first)) / Math.max(10, last - first);
    const Y = (value) => 12 + (height - bottom - 12) * (1 - Math.min(value, high * 1.02) / (high * 1.02));
    const parts = [];
    for (const tick of ticks(0, high, 4)) {
      parts.push(make("path", { class: "grid", d: `M${left} ${Y(tick)}H${width - 12}` }));
      parts.push(make("text", { x: left - 7, y: Y(tick) + 4, "text-anchor": "end" }, format(tick)));
    }
    for (const tick of ticks(first, Math.max(last, first + 10), 5)) {
      parts.push(make("text", { x: X(tick), y: height - 8, "text-anchor": "middle" }, String(tick)));
    }
    if (state.best) {
      parts.push(make("path", { class: "line best", d: `M${left} ${Y(floor)}H${width - 12}` }));
      const below = Y(floor) + 18 < height - bottom; // under the line, where the curve never comes, if there is room
      parts.push(make("text", { class: "label", x: width - 14, y: Y(floor) + (below ? 15 : -8), "text-anchor": "end" }, `optimum ${format(floor)}`));
    }
    const curve = trace.map((entry) => `${X(entry.step).toFixed(1)} ${Y(entry.objective).toFixed(1)}`);
    if (curve.length) {
      parts.push(make("path", { class: "curve", d: "M" + curve.join("L") }));
      const [x, y] = curve[curve.length - 1].split(" ");
      parts.push(make("circle", { class: "curve-end", cx: x, cy: y, r: 4 }));
    }
    byId("chart").replaceChildren(...parts);
    byId("chart").setAttribute("aria-label", `Objective after each step: ${format(values[values.length - 1] ?? 0)} now, optimum ${format(floor)}`);
  }

  /** The columns of W as arrows, their way, their next step and where the optimum has them. */
  function drawWeights(state) {
    const column = (W, j) => [W[0][j], W[1][j]];
    const next = state.W.map((row, k) => row.map((entry, j) => entry - state.rate * state.now.dW[k][j]));
    const every = [state.W, state.best ? state.best.W : state.W].flatMap((W) => names.map((_, j) => Math.hypot(...column(W, j))));
    const scale = state.heldScale || 118 / Math.max(0.25, ...every.filter(Number.isFinite));
    const place = (W, j) => column(W, j).map((entry, axis) => (axis ? -1 : 1) * Math.max(-3, Math.min(3, (entry * scale) / 118)) * 118).map((entry) => entry.toFixed(1)).join(" ");
    const parts = [make("path", { class: "axis", d: "M-150 0H150M0-150V150" })];
    names.forEach((_, j) => {
      const group = make("g", { class: `class-${j}` });
      const trail = state.trace.slice(-400).filter((entry) => drawable(entry.W)).map((entry) => place(entry.W, j));
      if (trail.length > 1) group.append(make("path", { class: "trail", d: "M" + trail.join("L") }));
      if (state.best) {
        const [x, y] = place(state.best.W, j).split(" ");
        group.append(make("circle", { class: "goal", cx: x, cy: y, r: 7 }));
      }
      if (state.W.every((row) => row.every(Number.isFinite))) {
        group.append(make("path", { class: "next", d: `M${place(state.W, j)}L${place(next, j)}` }));
        group.append(make("path", { class: "arrow", d: `M0 0L${place(state.W, j)}` }));
        const [x, y] = place(state.W, j).split(" ");
        group.append(make("use", { href: `#mark-${j}`, x, y, class: "tip", "data-column": j }));
      }
      parts.push(group);
    });
    state.weightScale = scale;
    byId("weights").replaceChildren(...parts);
  }

  root.Straightedge = Object.assign(S, { view: { names, unit, format, drawAxes, drawLines, drawPoints, drawChart, drawWeights } });
})(globalThis);
