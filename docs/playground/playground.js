/* The state of the page and what people do to it. Every change ends in `refresh`, which draws from the state. */
(function (root) {
  "use strict";
  const S = root.Straightedge;
  const { view, tables, hand } = S;
  const { extent } = S.geometry;
  const byId = (id) => document.getElementById(id);
  const [D, C, limit] = [3, 3, 200];

  const state = {
    points: [], selected: null, nextId: 1, newLabel: 0,
    loss: "svm", reg: 0.01, rate: 0.1,
    W: S.zeros(D, C), step: 0, trace: [], running: false,
    walk: { at: -1, done: false, sum: S.zeros(D, C) },
    now: null, best: null, zero: false, heldScale: null, lowest: null,
  };

  const samples = () => state.points.map(({ x, y }) => [x, y, 1]);
  const labels = () => state.points.map((point) => point.label);
  const finite = (W) => W.every((row) => row.every(Number.isFinite));

  /** Recompute P, dW and (where the problem itself changed) the optimum. */
  function compute(problemChanged) {
    const [X, y] = [samples(), labels()];
    state.now = S.objective(state.W, X, y, state.reg, S.losses[state.loss]);
    if (problemChanged) state.best = S.solve(state.loss, X, y, state.reg, C);
  }

  /** Draw everything from the state. */
  function refresh({ problem = false, keepWalk = false } = {}) {
    if (!keepWalk) state.walk = { at: -1, done: false, sum: S.zeros(D, C) };
    compute(problem);
    if (problem || !state.trace.length) state.trace = [{ step: state.step, objective: state.now.objective, W: state.W }];
    for (const formula of document.querySelectorAll(".formula")) formula.hidden = formula.dataset.for !== state.loss;
    document.documentElement.dataset.margins = String(Boolean(S.losses[state.loss].kind?.words.includes("−")));
    view.drawLines(state);
    view.drawPoints(state);
    view.drawChart(state);
    view.drawWeights(state);
    tables.fillReadout(state);
    tables.fillSample(state);
    tables.fillSum(state);
    tables.fillAll(state);
    hand.fill(state);
    byId("reg-value").textContent = view.format(Number(state.reg.toPrecision(3)));
    byId("rate-value").textContent = view.format(Number(state.rate.toPrecision(3)));
    byId("remove").disabled = state.selected === null;
    byId("add").disabled = state.points.length >= limit;
  }

  // ---- training

  function setW(W, { forget = false } = {}) {
    state.W = W;
    if (forget) [state.step, state.trace] = [0, []];
    refresh();
  }

  /** W - learning_rate dW; says so and stops when the numbers leave the range of float64. */
  function gradientStep() {
    const W = state.W.map((row, k) => row.map((entry, j) => entry - state.rate * state.now.dW[k][j]));
    if (!finite(W) || !(S.sumOfSquares(W) < 1e200)) {
      stop();
      say("The steps overshoot and the numbers have run away: lower the learning rate, then Reset.", true);
      return false;
    }
    state.W = W;
    state.step += 1;
    compute(false);
    state.trace.push({ step: state.step, objective: state.now.objective, W });
    if (state.trace.length > 600) state.trace = state.trace.filter((_, i) => i % 2 === 0 || i === state.trace.length - 1);
    return true;
  }

  function takeStep() {
    const taken = gradientStep();
    refresh();
    if (taken) say(`Step ${state.step}: objective ${view.format(state.now.objective)}`);
  }

  function frame() {
    if (!state.running) return;
    const taken = gradientStep();
    refresh();
    const reason = taken ? S.reasonToEnd(state) : "";
    if (!taken) stop();
    else if (reason) stop(`Ended after ${state.step} steps: ${reason}.`);
    else requestAnimationFrame(frame);
  }

  function run() {
    if (state.running) return stop();
    if (!state.points.length) return;
    state.running = true;
    state.lowest = { objective: Infinity, step: state.step, start: state.step };
    say("");
    paintRun();
    requestAnimationFrame(frame);
  }

  function stop(why = "") {
    if (state.running && byId("trouble").hidden) say(why || `Stopped after ${state.step} steps: objective ${view.format(state.now.objective)}`);
    state.running = false;
    paintRun();
  }

  function paintRun() {
    byId("run").textContent = state.running ? "Pause" : "Run";
    byId("run").setAttribute("aria-pressed", String(state.running));
  }

  /** News, and trouble in a box of its own. */
  function say(text, trouble = false) {
    byId("trouble").textContent = byId("status").textContent = "";
    byId(trouble ? "trouble" : "status").textContent = text;
    byId("trouble").hidden = !trouble;
  }

  // ---- the walk through the sum

  function walkOne() {
    const i = state.walk.at + 1;
    if (state.walk.done || i >= state.points.length) {
      state.walk = { at: -1, done: !state.walk.done, sum: S.zeros(D, C) };
    } else {
      state.walk.at = i;
      S.addOuter(state.walk.sum, samples()[i], state.now.A[i], 1);
      state.selected = state.points[i].id;
    }
    refresh({ keepWalk: true });
  }

  function walkRest() {
    state.walk = { at: -1, done: true, sum: S.zeros(D, C) };
    refresh({ keepWalk: true });
  }

  // ---- points

  const inside = (entry) => Math.max(-extent, Math.min(extent, Math.round(entry * 100) / 100));
  const selected = () => state.points.find((point) => point.id === state.selected);
  const focusPoint = () => document.querySelector(`[data-id="${state.selected}"]`)?.focus({ preventScroll: true });

  function setPoints(points) {
    state.points = points.slice(0, limit).map((point) => ({ ...point, x: inside(point.x), y: inside(point.y), id: state.nextId++ }));
    state.selected = state.points.length ? state.points[0].id : null;
    refresh({ problem: true });
  }

  function addPoint(x, y) {
    if (state.points.length >= limit) return;
    state.points.push({ x: inside(x), y: inside(y), label: state.newLabel, id: state.nextId });
    state.selected = state.nextId++;
    refresh({ problem: true });
    focusPoint();
  }

  /** A free spot near the middle, so that a point added by key never hides another. */
  function addFree() {
    for (let turn = 0; turn < 400; turn++) {
      const [radius, angle] = [0.12 * Math.sqrt(turn), turn * 2.39996]; // sunflower spiral
      const [x, y] = [radius * Math.cos(angle), radius * Math.sin(angle)];
      if (state.points.every((point) => Math.hypot(point.x - x, point.y - y) > 0.3)) return addPoint(x, y);
    }
    return addPoint(0, 0);
  }

  function removePoint() {
    const at = state.points.findIndex((point) => point.id === state.selected);
    if (at < 0) return;
    state.points.splice(at, 1);
    state.selected = state.points.length ? state.points[Math.min(at, state.points.length - 1)].id : null;
    refresh({ problem: true });
    focusPoint();
  }

  function changePoint(change) {
    const point = selected();
    if (!point) return;
    Object.assign(point, change);
    point.x = inside(point.x);
    point.y = inside(point.y);
    refresh({ problem: true });
  }

  function choose(offset) {
    const at = state.points.findIndex((point) => point.id === state.selected);
    if (!state.points.length) return;
    state.selected = state.points[(at + offset + state.points.length) % state.points.length].id;
    refresh({ keepWalk: true });
    focusPoint();
  }

  // ---- mouse and touch: one pointer at a time; a press on a point drags it, a tap on the plane adds

  const plane = byId("plane");
  let press = null;

  function inPlane(event) {
    const box = plane.getBoundingClientRect();
    return [(((event.clientX - box.left) / box.width) * 2 - 1) * extent, (1 - ((event.clientY - box.top) / box.height) * 2) * extent];
  }

  plane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || press) return;
    const node = event.target.closest?.(".point");
    press = { pointer: event.pointerId, from: [event.clientX, event.clientY], id: node ? Number(node.dataset.id) : null, moved: false };
    if (!node) return;
    plane.setPointerCapture(event.pointerId);
    state.selected = press.id;
    refresh({ keepWalk: true });
    focusPoint();
    event.preventDefault();
  });

  plane.addEventListener("pointermove", (event) => {
    if (!press || event.pointerId !== press.pointer) return;
    press.moved = press.moved || Math.hypot(event.clientX - press.from[0], event.clientY - press.from[1]) > 4;
    if (press.id === null || !press.moved) return;
    const [x, y] = inPlane(event);
    changePoint({ x, y });
  });

  plane.addEventListener("pointerup", (event) => {
    if (!press || event.pointerId !== press.pointer) return;
    if (press.id === null && !press.moved) addPoint(...inPlane(event));
    press = null;
  });
  plane.addEventListener("pointercancel", () => (press = null));
  plane.addEventListener("dblclick", (event) => {
    if (event.target.closest(".point") && !freshlyAdded(event)) removePoint();
  });

  /** A quick double click on the empty plane adds a point and then hits it: that must not remove it again. */
  let lastAdded = 0;
  plane.addEventListener("pointerup", (event) => {
    if (!event.target.closest?.(".point")) lastAdded = event.timeStamp;
  });
  const freshlyAdded = (event) => event.timeStamp - lastAdded < 600;

  // ---- keys, where a point has the focus

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  plane.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const point = selected();
    const size = event.shiftKey ? 0.5 : 0.1;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (moves[key] && point) changePoint({ x: point.x + size * moves[key][0], y: point.y + size * moves[key][1] });
    else if (["1", "2", "3"].includes(key)) changePoint({ label: Number(key) - 1 });
    else if (key === "Delete" || key === "Backspace") removePoint();
    else if (key === "a") addFree();
    else if (key === "n" || key === "p") choose(key === "n" ? 1 : -1);
    else return;
    event.preventDefault();
  });

  // ---- controls

  const on = (id, name, action) => byId(id).addEventListener(name, action);
  const loadPreset = (i) => setPoints(S.presets[i].points());

  function restart() {
    stop();
    say("");
    setW(S.zeros(D, C), { forget: true });
  }

  function setLoss(loss) {
    state.loss = loss;
    byId("loss").value = loss;
    stop();
    refresh({ problem: true });
  }

  function setScheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.scheme || (dark ? "dark" : "light");
    document.documentElement.dataset.scheme = now === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("straightedge-scheme", document.documentElement.dataset.scheme);
    } catch (error) { /* without storage the choice lasts as long as the page */ }
    refresh({ keepWalk: true });
  }

  async function share() {
    history.replaceState(null, "", S.toHash(state));
    let text = "The link is in the address bar";
    try {
      await navigator.clipboard.writeText(location.href);
      text = "Copied";
    } catch (error) { /* no clipboard here: the address bar has it */ }
    byId("share").textContent = text;
    setTimeout(() => (byId("share").textContent = "Copy link"), 1800);
  }

  function wire() {
    for (const [id, action] of Object.entries({ step: takeStep, run, reset: restart, walk: walkOne, "walk-all": walkRest, add: addFree, remove: removePoint, scheme: setScheme, share })) {
      on(id, "click", action);
    }
    on("random", "click", () => { restart(); setW(hand.random(), { forget: true }); });
    on("zero", "change", (event) => { state.zero = event.target.checked; refresh({ keepWalk: true }); });
    on("all", "click", (event) => {
      const row = event.target.closest("tbody tr");
      if (row) { state.selected = Number(row.dataset.id); refresh({ keepWalk: true }); }
    });
    hand.wire(state, (W) => { stop(); setW(W, { forget: true }); }, () => refresh({ keepWalk: true }));
    root.addEventListener("hashchange", open);
    on("jump", "click", () => state.best && setW(state.best.W.map((row) => row.slice()), { forget: true }));
    on("reg", "input", (event) => { state.reg = 10 ** event.target.value; refresh({ problem: true }); });
    on("rate", "input", (event) => { state.rate = 10 ** event.target.value; refresh({ keepWalk: true }); });
    on("loss", "change", (event) => setLoss(event.target.value));
    on("classes", "change", (event) => (state.newLabel = Number(event.target.value)));
    on("preset", "change", (event) => { restart(); loadPreset(Number(event.target.value)); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refresh({ keepWalk: true }));
  }

  /** Open what the link says: its loss, rates, weights and points; what it does not say stays as it is. */
  function open() {
    const shared = S.fromHash(location.hash, extent, limit);
    stop();
    Object.assign(state, { loss: shared.loss || state.loss, reg: shared.reg || state.reg, rate: shared.rate || state.rate });
    state.zero = Boolean(shared.zero);
    byId("zero").checked = state.zero;
    byId("reg").value = Math.log10(state.reg);
    byId("rate").value = Math.log10(state.rate);
    byId("loss").value = state.loss;
    Object.assign(state, { W: shared.W || S.zeros(D, C), step: 0, trace: [] });
    if (shared.points || !state.points.length) setPoints(shared.points || S.presets[0].points());
    else refresh({ problem: true });
  }

  function start() {
    byId("preset").append(...S.presets.map((preset, i) => new Option(preset.name, String(i))));
    byId("loss").append(...Object.values(S.losses).map((loss) => new Option(loss.title, loss.name)));
    view.drawAxes();
    hand.build();
    wire();
    open();
  }

  start();
  root.Straightedge.state = state; // for the page's own tests and for the curious, in the console
})(globalThis);
