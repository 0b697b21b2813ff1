/* The numbers beside the pictures: read-outs, the selected sample, the sum that makes dW. Changes no state. */
(function (root) {
  "use strict";
  const S = root.Straightedge;
  const { names, format } = S.view;
  const byId = (id) => document.getElementById(id);
  const mark = (j) => `<svg class="mark class-${j}" viewBox="-10 -10 20 20" role="img" aria-label="${names[j]}"><use href="#mark-${j}"/></svg>`;
  const short = (number) => (Number.isFinite(number) ? number.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−") : "–");
  const cells = (numbers, kind = "") => numbers.map((number) => `<td class="${kind}">${format(number)}</td>`).join("");

  /** The mean loss and the optimum in words and numbers. */
  function fillReadout(state) {
    const { now, best, points } = state;
    const right = now.S.filter((row, i) => row.every((score, j) => j === points[i].label || score < row[points[i].label])).length;
    const some = points.length > 0;
    const text = {
      objective: some ? format(now.objective) : "–",
      mean: some ? format(now.mean) : "–",
      penalty: format(now.penalty),
      gap: some ? format(now.gap) : "–",
      optimum: best ? format(best.objective) : "–",
      above: best ? format(Math.max(0, now.objective - best.dual)) : "–",
      "best-gap": best ? format(best.gap / best.objective) : "–",
      accuracy: `${right} of ${points.length}`,
    };
    for (const [id, entry] of Object.entries(text)) byId(id).textContent = entry;
  }

  /** Scores, loss and score gradient of the selected point, class by class. */
  function fillSample(state) {
    const i = state.points.findIndex((point) => point.id === state.selected);
    byId("sample-title").textContent = i < 0 ? "One sample" : `Sample ${i + 1} of ${state.points.length}`;
    if (i < 0) {
      byId("sample").innerHTML = '<p class="note">Select a point to see its scores, its loss and its gradient.</p>';
      return;
    }
    const { now, points, loss } = state;
    const [row, y] = [now.S[i], points[i].label];
    const { words, parts } = S.losses[loss];
    byId("sample").innerHTML = `<table>
      <thead><tr><th scope="col">class j</th>${names.map((_, j) => `<th scope="col">${mark(j)}${j === y ? "<span class='right'> y</span>" : ""}</th>`).join("")}</tr></thead>
      <tbody><tr><th scope="row">score <i>s</i><sub>j</sub> = <i>x</i> · <i>w</i><sub>j</sub></th>${cells(row)}</tr>
      <tr><th scope="row">${words}</th>${cells(parts(row, y))}</tr>
      <tr><th scope="row">gradient <i>a</i><sub>j</sub> = ∂<i>L</i>/∂<i>s</i><sub>j</sub></th>${cells(now.A[i])}</tr></tbody></table>
      <p class="note"><i>x</i> = (${format(points[i].x)}, ${format(points[i].y)}, 1), loss <b>${format(now.values[i])}</b></p>`;
  }

  /** One matrix of D x C as a table with a caption. */
  function matrix(caption, M, kind) {
    const rows = ["x₁", "x₂", "1"].map((name, k) => `<tr><th scope="row">${name}</th>${cells(M[k], kind)}</tr>`);
    return `<table class="matrix"><caption>${caption}</caption>
      <thead><tr><td></td>${names.map((_, j) => `<th scope="col">${mark(j)}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
  }

  /** What the walk through the samples says at each stop. */
  function walkNote(state) {
    const { walk, points } = state;
    if (!points.length) return "There is no sample yet.";
    if (walk.at < 0 && !walk.done) return `d<i>W</i> is a sum over the samples: column j gets <i>x</i>·<i>a</i><sub>j</sub> of each. Go through them one by one.`;
    if (walk.done) return "All samples are in: divide by N and add 2·reg·<i>W</i>. This is the d<i>W</i> that <b>Step</b> uses.";
    return `Sample ${walk.at + 1} (${names[points[walk.at].label]}) adds <i>x</i> ⊗ <i>a</i> with <i>a</i> = (${state.now.A[walk.at].map(format).join(", ")}).`;
  }

  /** W, the sum so far (the whole dW once the walk is over or before it began), and W after the step. */
  function fillSum(state) {
    const walking = state.walk.at >= 0;
    byId("walk-note").innerHTML = walkNote(state);
    const sum = walking ? matrix("sum of <i>x</i> ⊗ <i>a</i> so far", state.walk.sum, "changing") : matrix("d<i>W</i>", state.now.dW);
    const next = state.W.map((row, k) => row.map((entry, j) => entry - state.rate * state.now.dW[k][j]));
    const after = matrix("<i>W</i> − learning rate · d<i>W</i>, after the step", next);
    byId("sum").innerHTML = matrix("<i>W</i>", state.W) + sum + after;
    byId("walk").disabled = byId("walk-all").disabled = !state.points.length;
  }

  /** Every point with its scores, its loss and the sum of the losses down to it; the walk fills the sum. */
  function fillAll(state) {
    const { now, points, walk } = state;
    let total = 0;
    const rows = points.map((point, i) => {
      total += now.values[i];
      const sum = walk.at < 0 || i <= walk.at ? format(total) : "";
      const kind = `${point.id === state.selected ? "chosen" : ""} ${i === walk.at ? "changing" : ""}`;
      return `<tr class="${kind}" data-id="${point.id}"><th scope="row"><button type="button" class="plain">${i + 1} ${mark(point.label)}</button></th>${[point.x, point.y, ...now.S[i]].map((entry) => `<td>${short(entry)}</td>`).join("")}${cells([now.values[i]])}<td>${sum}</td></tr>`;
    });
    const heads = ["x₁", "x₂", ...names.map((_, j) => `s ${mark(j)}`), "loss", "sum"].map((head) => `<th scope="col">${head}</th>`).join("");
    const mean = points.length ? `<p class="note">Sum ${format(total)} divided by ${points.length} points: mean loss <b>${format(now.mean)}</b></p>` : "";
    byId("all").innerHTML = points.length ? `<table><thead><tr><th scope="col">point</th>${heads}</tr></thead><tbody>${rows.join("")}</tbody></table>${mean}` : '<p class="note">There is no point yet.</p>';
  }

  root.Straightedge = Object.assign(S, { tables: { fillReadout, fillSample, fillSum, fillAll } });
})(globalThis);
