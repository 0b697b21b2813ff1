/* The pictures behind the numbers: where each class wins, where two classes tie, in the square [-extent, extent]^2.
 *
 * Every function takes W (3 x C: x, y and the bias row) and answers in plane coordinates.
 */
(function (root) {
  "use strict";
  const extent = 3;
  const square = [[-extent, -extent], [extent, -extent], [extent, extent], [-extent, extent]];

  /** s_j - s_k + shift as a function of the plane: [a, b, c] with a x + b y + c. */
  function difference(W, j, k, shift = 0) {
    return [W[0][j] - W[0][k], W[1][j] - W[1][k], W[2][j] - W[2][k] + shift];
  }

  const at = ([a, b, c], [x, y]) => a * x + b * y + c;

  /** The part of a convex polygon (or of a segment) where the function is not negative (Sutherland and Hodgman). */
  function clip(polygon, line, closed = true) {
    const kept = [];
    const last = closed ? polygon.length : polygon.length - 1;
    polygon.forEach((corner, i) => {
      const here = at(line, corner);
      if (here >= 0) kept.push(corner);
      if (i >= last) return;
      const next = polygon[(i + 1) % polygon.length];
      const there = at(line, next);
      if (here >= 0 === there >= 0) return;
      const share = here / (here - there);
      kept.push([corner[0] + share * (next[0] - corner[0]), corner[1] + share * (next[1] - corner[1])]);
    });
    return kept;
  }

  /** Whether W can be drawn at all: all its numbers finite and not all scores the same everywhere. */
  function drawable(W) {
    const finite = W.every((row) => row.every(Number.isFinite));
    return finite && W.some((row) => row.some((entry) => entry !== row[0]));
  }

  /** The polygon where class j has the largest score; empty where it never wins. */
  function region(W, j) {
    let polygon = square;
    for (let k = 0; k < W[0].length; k++) {
      if (k !== j && polygon.length) polygon = clip(polygon, difference(W, j, k));
    }
    return polygon;
  }

  /** The segment of the line a x + b y + c = 0 inside the square; empty if it misses. */
  function chord([a, b, c]) {
    const norm = Math.hypot(a, b);
    if (norm < 1e-12) return [];
    const [nx, ny, foot] = [a / norm, b / norm, -c / norm];
    const reach = 4 * extent;
    if (Math.abs(foot) > reach) return [];
    let segment = [
      [foot * nx - reach * ny, foot * ny + reach * nx],
      [foot * nx + reach * ny, foot * ny - reach * nx],
    ];
    for (const side of [[1, 0, extent], [-1, 0, extent], [0, 1, extent], [0, -1, extent]]) {
      segment = segment.length === 2 ? clip(segment, side, false) : [];
    }
    return segment.length === 2 ? segment : [];
  }

  /**
   * The segments where s_j - s_k = level and no other class scores more than these two: level 0 gives the
   * decision lines, levels 1 and -1 the edges of the margin.
   */
  function lines(W, level = 0) {
    const C = W[0].length;
    const found = [];
    for (let j = 0; j < C; j++) {
      for (let k = j + 1; k < C; k++) {
        let segment = chord(difference(W, j, k, -level));
        for (let other = 0; other < C; other++) {
          if (other === j || other === k) continue;
          for (const winner of [j, k]) {
            segment = segment.length === 2 ? clip(segment, difference(W, winner, other), false) : [];
          }
        }
        if (segment.length === 2) found.push({ j, k, segment });
      }
    }
    return found;
  }

  /** A smooth scale for charts: round steps that divide [low, high] into about `count` parts. */
  function ticks(low, high, count) {
    const rough = (high - low) / count || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const first = Math.ceil(low / step);
    const found = [];
    for (let i = first; i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
    return found;
  }

  const api = { extent, region, lines, chord, drawable, ticks };
  root.Straightedge = Object.assign(root.Straightedge || {}, { geometry: api });
  if (typeof module !== "undefined" && module.exports) module.exports = api;
})(typeof globalThis !== "undefined" ? globalThis : this);
