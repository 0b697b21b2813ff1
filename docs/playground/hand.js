/* W by hand: numbers typed into a table, arrows dragged in the picture of the weights, a random start. */
(function (root) {
  "use strict";
  const S = root.Straightedge;
  const { names } = S.view;
  const byId = (id) => document.getElementById(id);
  const rows = ["x₁", "x₂", "1"];
  const reach = 1e6; // weights beyond this are typing mistakes

  function build() {
    const heads = names.map((name, j) => `<th scope="col"><svg class="mark class-${j}" viewBox="-10 -10 20 20" role="img" aria-label="${name}"><use href="#mark-${j}"/></svg></th>`).join("");
    const cell = (k) => names.map((name, j) => `<td><input id="w-${k}-${j}" inputmode="decimal" autocomplete="off" aria-label="W, row ${rows[k]}, ${name}"></td>`).join("");
    byId("hand").innerHTML = `<thead><tr><th scope="col"><i>W</i></th>${heads}</tr></thead><tbody>${rows.map((row, k) => `<tr><th scope="row">${row}</th>${cell(k)}</tr>`).join("")}</tbody>`;
  }

  /** Show W; the field that is being typed in is left alone. */
  function fill(state) {
    state.W.forEach((row, k) => row.forEach((entry, j) => {
      const field = byId(`w-${k}-${j}`);
      if (field !== document.activeElement) field.value = Number.isFinite(entry) ? String(Number(entry.toPrecision(3))) : "";
    }));
  }

  /** W with some entries replaced. */
  const replaced = (W, changes) => W.map((row, k) => row.map((entry, j) => changes[`${k},${j}`] ?? entry));

  /** Weights between -1 and 1, so that the first picture has lines to see. */
  const random = () => rows.map(() => names.map(() => Number((2 * Math.random() - 1).toFixed(3))));

  function typed(event, state, setW) {
    const [, k, j] = event.target.id.split("-").map(Number);
    const number = Number(event.target.value.trim().replace("−", "-").replace(",", "."));
    const usable = event.target.value.trim() !== "" && Math.abs(number) <= reach;
    event.target.setAttribute("aria-invalid", String(!usable));
    if (usable) setW(replaced(state.W, { [`${k},${j}`]: number }));
  }

  /** Drag the tip of an arrow; the scale of the picture stands still meanwhile. */
  function wireDrag(state, setW, redraw) {
    const picture = byId("weights");
    let column = null;
    picture.addEventListener("pointerdown", (event) => {
      const box = picture.getBoundingClientRect();
      const place = [((event.clientX - box.left) / box.width) * 300 - 150, 150 - ((event.clientY - box.top) / box.height) * 300];
      const far = (j) => Math.hypot(state.W[0][j] * state.weightScale - place[0], state.W[1][j] * state.weightScale - place[1]);
      const nearest = [0, 1, 2].sort((j, k) => far(j) - far(k))[0];
      if (event.target.dataset.column === undefined && !(far(nearest) < 24)) return;
      column = event.target.dataset.column === undefined ? nearest : Number(event.target.dataset.column);
      state.heldScale = state.weightScale;
      picture.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    picture.addEventListener("pointermove", (event) => {
      if (column === null) return;
      const box = picture.getBoundingClientRect();
      const x = (((event.clientX - box.left) / box.width) * 300 - 150) / state.heldScale;
      const y = (150 - ((event.clientY - box.top) / box.height) * 300) / state.heldScale;
      setW(replaced(state.W, { [`0,${column}`]: x, [`1,${column}`]: y }));
    });
    const end = () => {
      if (column === null) return;
      column = null;
      state.heldScale = null;
      redraw();
    };
    picture.addEventListener("pointerup", end);
    picture.addEventListener("pointercancel", end);
  }

  function wire(state, setW, redraw) {
    byId("hand").addEventListener("change", (event) => typed(event, state, setW));
    wireDrag(state, setW, redraw);
  }

  root.Straightedge = Object.assign(S, { hand: { build, fill, random, wire } });
})(globalThis);
