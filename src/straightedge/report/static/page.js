"use strict";
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);

  /* Theme: the system's, until the reader chooses. */
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const toggle = byId("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  const nameToggle = () => {
    toggle.textContent = isDark() ? "Light" : "Dark";
    toggle.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };

  /* Figures: colours come from the style sheet, so a change of theme draws them again. */
  const tooltip = byId("tooltip");
  const views = [];
  const showTooltip = (handler, event, item, value) => {
    tooltip.hidden = !value;
    if (!value) return;
    const lines = Object.entries(value).map(([name, text]) => `${name}: ${text}`);
    tooltip.textContent = lines.join("\n");
    const box = tooltip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const above = event.clientY + 18 + box.height > innerHeight;
    tooltip.style.left = `${Math.max(8, left)}px`;
    tooltip.style.top = `${above ? event.clientY - box.height - 12 : event.clientY + 18}px`;
  };
  const coloured = (spec) => {
    const style = getComputedStyle(root);
    const value = (_, name) => style.getPropertyValue(name).trim();
    return JSON.parse(JSON.stringify(spec).replace(/var\((--[a-z-]+)\)/g, value));
  };
  const draw = async (holder) => {
    const spec = coloured(data.figures[holder.dataset.figure]);
    const parsed = vega.parse(vegaLite.compile(spec).spec, null, { ast: true });
    const view = new vega.View(parsed, {
      renderer: "svg", container: holder, hover: false, expr: vega.expressionInterpreter, tooltip: showTooltip,
    });
    views.push(view);
    await view.runAsync();
  };
  const drawAll = async () => {
    views.splice(0).forEach((view) => view.finalize());
    await Promise.all([...document.querySelectorAll("[data-figure]")].map(draw));
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  };
  const repaint = () => { nameToggle(); return drawAll(); };
  toggle.hidden = false;
  toggle.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; repaint(); });
  systemDark.addEventListener("change", () => { if (!root.dataset.theme) repaint(); });

  /* Templates: one picture a reg, cut into tiles. */
  const templates = data.templates;
  const cut = (picture, stop) => {
    const { columns, width, height } = templates;
    [...document.querySelectorAll("#tiles canvas")].forEach((canvas, place) => {
      const left = (place % columns) * width;
      const top = Math.floor(place / columns) * height;
      canvas.getContext("2d").drawImage(picture, left, top, width, height, 0, 0, width, height);
    });
    byId("reg-text").textContent = templates.stops[stop].text;
    byId("tiles").dataset.shown = String(stop);
  };
  const pictures = [];
  let wanted = 0;
  const showStop = async (stop) => {
    wanted = stop;
    if (!pictures[stop]) {
      pictures[stop] = new Image();
      pictures[stop].src = templates.stops[stop].src;
    }
    await pictures[stop].decode();
    if (wanted === stop) cut(pictures[stop], stop);
  };
  if (templates) {
    const slider = byId("reg-slider");
    if (slider) {
      slider.disabled = false;
      slider.addEventListener("input", () => {
        slider.setAttribute("aria-valuetext", templates.stops[slider.valueAsNumber].text);
        showStop(slider.valueAsNumber);
      });
      slider.value = String(templates.start); /* a reload keeps the old place in some browsers */
      slider.setAttribute("aria-valuetext", templates.stops[templates.start].text);
    }
    showStop(templates.start);
  }

  /* Confusions: a cell opens the images behind it; arrow keys move in the matrix. */
  const dialog = byId("cell");
  const made = (name, text, className) => {
    const element = document.createElement(name);
    element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const card = (picture) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = picture.src;
    image.alt = picture.name;
    item.append(image, made("span", picture.text, "num"), made("span", picture.name, "name"));
    return item;
  };
  const openCell = (button) => {
    if (button.getAttribute("aria-disabled") === "true") return;
    const images = data.confusion.cells[button.dataset.cell] || [];
    byId("cell-title").textContent = button.dataset.label;
    byId("cell-text").textContent = images.length
      ? `${images.length === 1 ? "One image" : `${images.length} images`} of this cell, the surest answers first.`
      : "No pictures of this cell are in the report.";
    byId("cell-images").replaceChildren(...images.map(card));
    dialog.showModal();
  };
  document.querySelectorAll("button[data-cell]").forEach((button) => {
    button.addEventListener("click", () => openCell(button));
  });
  byId("cell-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  const matrix = document.querySelector("table.matrix");
  if (matrix) {
    const grid = [...matrix.tBodies[0].rows].map((row) => [...row.querySelectorAll("button")]);
    const last = grid.length - 1;
    const moves = {
      ArrowUp: (r, c) => [r - 1, c], ArrowDown: (r, c) => [r + 1, c],
      ArrowLeft: (r, c) => [r, c - 1], ArrowRight: (r, c) => [r, c + 1],
      Home: (r) => [r, 0], End: (r) => [r, last],
    };
    const within = (place) => Math.min(last, Math.max(0, place));
    matrix.addEventListener("focusin", (event) => {
      matrix.querySelector('button[tabindex="0"]').tabIndex = -1;
      event.target.tabIndex = 0;
    });
    matrix.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move) return;
      event.preventDefault();
      const row = grid.findIndex((buttons) => buttons.includes(event.target));
      const [r, c] = move(row, grid[row].indexOf(event.target));
      grid[within(r)][within(c)].focus();
    });
  }

  /* Print: light colours; what is folded stays folded. */
  let screenTheme;
  addEventListener("beforeprint", () => {
    screenTheme = root.dataset.theme;
    if (isDark()) { root.dataset.theme = "light"; drawAll(); }
  });
  addEventListener("afterprint", () => {
    if (screenTheme) root.dataset.theme = screenTheme; else delete root.dataset.theme;
    repaint();
  });
  repaint();
})();
