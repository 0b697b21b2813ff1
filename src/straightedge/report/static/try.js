"use strict";
/* The model in the page: scores = x · weight + bias in double precision, as `straightedge predict` has them but for
   float32's last digits. Nothing is sent anywhere. */
(() => {
  const data = JSON.parse(document.getElementById("page-data").textContent).trying;
  if (!data) return;
  const byId = (id) => document.getElementById(id);
  const floats = (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 4 }, (_, place) => view.getFloat32(4 * place, true));
  };
  const weight = floats(data.weight);
  const bias = floats(data.bias);
  const n = bias.length;
  const scoresOf = (row) => {
    const scores = Float64Array.from(bias);
    row.forEach((value, feature) => {
      if (value) for (let k = 0; k < n; k += 1) scores[k] += value * weight[feature * n + k];
    });
    return scores;
  };
  const probabilitiesOf = (scores) => {
    const top = Math.max(...scores);
    if (data.several) return [...scores].map((score) => 1 / (1 + Math.exp(-score)));
    const powers = [...scores].map((score) => Math.exp((score - top) / data.temperature));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  };

  /* Fields of a table: a number that is missing is the mean of the training rows, with its mark; a category is its
     place in the list, and a place beyond the list is "other". */
  const rowOfTable = (texts) => data.columns.flatMap((column, place) => {
    const text = texts[place];
    if (column.kind === "number") {
      const missing = text.trim() === "";
      const value = missing ? column.mean : Number(text.trim());
      if (!Number.isFinite(value)) throw new Error(`${column.name}: ${text} is no number`);
      return column.indicator ? [value, missing ? 1 : 0] : [value];
    }
    const slots = column.categories.map((_, slot) => (slot === Number(text) ? 1 : 0));
    return column.other ? [...slots, slots.includes(1) ? 0 : 1] : slots;
  });
  const rowOfNumbers = (text) => {
    const parts = text.trim().split(/[\s,;]+/).filter(Boolean);
    const row = parts.map(Number);
    if (row.length !== data.n) throw new Error(`${row.length} numbers, and the model takes ${data.n}`);
    const bad = row.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new Error(`${parts[bad]} is no number`);
    return row;
  };
  /* Pixels as the model saw them: channels first, over white, grey by the weights of Pillow's "L". */
  const rowOfPixels = (pixels, [channels, height, width]) => {
    const row = new Float64Array(channels * height * width);
    for (let at = 0; at < height * width; at += 1) {
      const [r, g, b] = [0, 1, 2].map((channel) => pixels[4 * at + channel]);
      if (channels === 1) row[at] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
      else [r, g, b].forEach((value, channel) => { row[channel * height * width + at] = value; });
    }
    return row;
  };
  const rowOfImage = (image) => {
    const [, height, width] = data.shape;
    const canvas = byId("try-image");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#ffffff";
    context.fillRect(0, 0, width, height);
    context.drawImage(image, 0, 0, width, height);
    canvas.hidden = false;
    return rowOfPixels(context.getImageData(0, 0, width, height).data, data.shape);
  };

  const texts = data.kind === "text" ? readerOfTexts(data, floats) : null;
  /* What terms add to the score of a class above the mean score of all classes, the largest first. */
  const deciding = (row, label) => [...row].map(([feature, value]) => {
    const own = weight.subarray(feature * n, (feature + 1) * n);
    return [texts.names[feature], value * (own[label] - own.reduce((sum, one) => sum + one, 0) / n)];
  }).filter(([, added]) => added).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 8);
  const wordsOf = (row) => {
    const found = deciding(row, answerOf(row).order[0]);
    const shown = found.map(([term, added]) => `${term} ${added < 0 ? "−" : "+"}${Math.abs(added).toFixed(2)}`);
    return shown.length ? `What decided: ${shown.join(", ")}` : "No term of this text is known to the model";
  };

  const answerOf = (row) => {
    const scores = scoresOf(row);
    const shares = data.temperature ? probabilitiesOf(scores) : null;
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
    if (data.threshold !== null && (scores[1] - scores[0] >= data.threshold) !== (order[0] === 1)) order.reverse();
    return { scores: [...scores], shares, order };
  };
  const show = ({ scores, shares, order }, note) => {
    const text = (k) => (shares ? `${(100 * shares[k]).toFixed(1)} %` : `score ${scores[k].toFixed(3)}`);
    const line = (labels) => labels.map((k) => `${data.classes[k]}: ${text(k)}`).join(", ");
    const given = data.several ? order.filter((k) => scores[k] >= 0) : order.slice(0, 1);
    const others = order.filter((k) => !given.includes(k)).slice(0, 3);
    byId("try-answer").textContent = line(given) || "None of the labels";
    byId("try-others").textContent = [line(others), note].filter(Boolean).join(". ");
  };
  const refuse = (error) => {
    byId("try-answer").textContent = "";
    byId("try-others").textContent = error.message;
  };
  const attempt = (make, note) => {
    try { show(answerOf(make()), note); } catch (error) { refuse(error); }
  };
  window.straightedge = { answer: (texts) => answerOf(rowOfTable(texts)), answerOfRow: (text) => answerOf(rowOfNumbers(text)),
    answerOfText: (text) => answerOf(texts.read(text)), answerOfPixels: (pixels) => answerOf(rowOfPixels(pixels, data.shape)) };

  const form = byId("try-form");
  form.hidden = false;
  if (data.kind === "table") {
    const fields = () => [...form.querySelectorAll("[data-field]")].map((field) => field.value);
    const update = () => attempt(() => rowOfTable(fields()));
    form.addEventListener("input", update);
    update();
  } else if (data.kind === "text") {
    form.addEventListener("input", () => {
      const row = texts.read(byId("try-text").value);
      attempt(() => row, wordsOf(row));
    });
  } else if (data.kind === "row") {
    form.addEventListener("input", () => attempt(() => rowOfNumbers(byId("try-row").value)));
  } else {
    const read = (file) => {
      const reader = new FileReader();
      reader.addEventListener("load", async () => {
        const image = new Image();
        image.src = reader.result;
        try { await image.decode(); } catch { refuse(new Error("this is no image that the browser can show")); return; }
        const [, height, width] = data.shape;
        const same = image.naturalWidth === width && image.naturalHeight === height;
        const note = `The image was scaled to ${width} × ${height} by the browser, and predict may scale it otherwise.`;
        attempt(() => rowOfImage(image), same ? "" : note);
      });
      reader.readAsDataURL(file);
    };
    byId("try-file").addEventListener("change", (event) => { if (event.target.files[0]) read(event.target.files[0]); });
    form.addEventListener("dragover", (event) => event.preventDefault());
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
})();
