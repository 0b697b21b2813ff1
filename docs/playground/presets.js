/* Points to start from, the same at every visit, and the state of the page as a link that can be shared. */
(function (root) {
  "use strict";

  /** A small generator with a seed (mulberry32): the pictures of the course must not change from visit to visit. */
  function generator(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  /** About normal: the sum of four uniform numbers, centred. */
  const spread = (random, width) => width * (random() + random() + random() + random() - 2);

  /** Three clouds on a circle. */
  function clouds(radius, width, each, seed) {
    const random = generator(seed);
    return [0, 1, 2].flatMap((label) => {
      const angle = Math.PI / 2 + (label * 2 * Math.PI) / 3;
      return Array.from({ length: each }, () => ({
        x: radius * Math.cos(angle) + spread(random, width),
        y: radius * Math.sin(angle) + spread(random, width),
        label,
      }));
    });
  }

  /** One class between two others: its score must win in the middle, which no plane of its own can do. */
  function sandwich(seed) {
    const random = generator(seed);
    return [1, 0, 2].flatMap((label, place) =>
      Array.from({ length: 7 }, () => ({ x: 1.7 * (place - 1) + spread(random, 0.45), y: spread(random, 0.9), label })),
    );
  }

  /** A class that surrounds another: no straight line can part them. */
  function ring(seed) {
    const random = generator(seed);
    return Array.from({ length: 24 }, (_, i) => {
      const [angle, inner] = [(i * 2 * Math.PI) / 12, i >= 12];
      const radius = inner ? 0.55 : 2;
      const label = inner ? 0 : Math.sin(angle) > 0 ? 1 : 2;
      return { x: radius * Math.cos(angle) + spread(random, 0.2), y: radius * Math.sin(angle) + spread(random, 0.2), label };
    });
  }

  const presets = [
    { name: "Three clouds", points: () => clouds(1.5, 0.85, 8, 4) },
    { name: "Overlapping clouds", points: () => clouds(0.9, 1.1, 10, 8) },
    { name: "One outlier", points: () => [...clouds(1.5, 0.6, 7, 12), { x: 2.3, y: -2.2, label: 0 }] },
    { name: "One class in between", points: () => sandwich(3) },
    { name: "One class around another", points: () => ring(5) },
    { name: "Three points", points: () => clouds(1.4, 0, 1, 1) },
    { name: "Empty plane", points: () => [] },
  ];

  /** The state as the part of a link after #, such as loss=svm&reg=0.01&rate=0.1&points=0,1.5,-0.2;... */
  function toHash(state) {
    const points = state.points.map(({ x, y, label }) => [label, Number(x.toFixed(2)), Number(y.toFixed(2))].join(","));
    const { loss, reg, rate } = state;
    const flat = [].concat(...state.W);
    const weights = flat.some((entry) => entry !== 0) ? `&w=${flat.map((entry) => Number(entry.toPrecision(5))).join(",")}` : "";
    const zero = state.zero ? "&zero=1" : "";
    return `#loss=${loss}&reg=${Number(reg.toPrecision(3))}&rate=${Number(rate.toPrecision(3))}${zero}${weights}&points=${points.join(";")}`;
  }

  /** What of a link can be used: bad parts are left out, so that a mangled link still opens the page. */
  function fromHash(hash, extent, limit) {
    const fields = new URLSearchParams(hash.replace(/^#/, ""));
    const found = {};
    if (Object.hasOwn(root.Straightedge.losses, fields.get("loss"))) found.loss = fields.get("loss");
    if (fields.get("zero") === "1") found.zero = true;
    const weights = (fields.get("w") || "").split(",").map(Number);
    if (weights.length === 9 && weights.every((entry) => Math.abs(entry) <= 1e6)) found.W = [0, 3, 6].map((at) => weights.slice(at, at + 3));
    for (const [name, low, high] of [["reg", 1e-4, 1], ["rate", 1e-3, 10]]) {
      const number = Number(fields.get(name));
      if (fields.has(name) && number >= low && number <= high) found[name] = number;
    }
    if (fields.has("points")) {
      const rows = fields.get("points").split(";").map((row) => row.split(",").map(Number));
      const usable = ([label, x, y]) => [0, 1, 2].includes(label) && Math.abs(x) <= extent && Math.abs(y) <= extent;
      found.points = rows.filter((row) => row.length === 3 && usable(row)).slice(0, limit).map(([label, x, y]) => ({ x, y, label }));
    }
    return found;
  }

  root.Straightedge = Object.assign(root.Straightedge || {}, { presets, toHash, fromHash });
  if (typeof module !== "undefined" && module.exports) module.exports = { presets, toHash, fromHash };
})(typeof globalThis !== "undefined" ? globalThis : this);
