// The head finder: a square for each head that the controls let through, in their order.
(() => {
  const form = document.getElementById("heads-controls");
  const grid = document.getElementById("heads-grid");
  const count = document.getElementById("heads-count");
  const labels = headswap.read("scores");
  const layerOf = (index) => Number(index.match(/^L(\d+)/)[1]);
  const layers = new Set(atlas.models.flatMap((model) => model.heads.map(layerOf)));
  for (const layer of [...layers].sort((a, b) => a - b)) {
    form.layer.append(new Option(`L${layer}`, layer));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => show());
  headswap.onDraw(show);

  // The colours of the patterns elsewhere, from a chart of nothing with the same scale.
  async function palette() {
    const scale = { scheme: "yellowgreenblue", type: "sqrt", domain: [0, 1] };
    const color = { field: "weight", type: "quantitative", scale };
    const spec = { data: { values: [] }, mark: "rect", encoding: { color } };
    const view = await headswap.embed(document.createElement("div"), spec, "none");
    const colour = view.scale("color");
    return Array.from({ length: 256 }, (_, step) => colour(step / 255).match(/\d+/g).map(Number));
  }

  function chosen() {
    const score = Number(form.score.value);
    const least = form.least.value === "" ? -Infinity : Number(form.least.value);
    const found = [];
    atlas.models.forEach((model, m) => {
      if (form.model.value !== "" && Number(form.model.value) !== m) return;
      model.heads.forEach((index, head) => {
        const value = model.values[head][score];
        if (form.layer.value !== "" && layerOf(index) !== Number(form.layer.value)) return;
        // A head without a value is below any bound.
        if (least !== -Infinity && (value === null || value < least)) return;
        found.push({ m, head, value });
      });
    });
    const sign = { down: -1, up: 1, place: 0 }[form.order.value];
    return found.sort((a, b) => {
      if (!sign || a.value === b.value) return 0;
      if (a.value === null || b.value === null) return a.value === null ? 1 : -1;
      return sign * (a.value - b.value);
    });
  }

  let turn = 0;
  async function show() {
    const mine = ++turn;
    const [heads, colours, p] = [chosen(), await palette(), Number(form.prompt.value)];
    const score = atlas.scores[Number(form.score.value)];
    const total = atlas.models.reduce((sum, model) => sum + model.heads.length, 0);
    const cards = [];
    for (const { m, head, value } of heads) {
      const canvas = await drawn(m, head, p, colours);
      if (mine !== turn) return; // the reader has chosen anew
      const shown = value === null ? "–" : value.toFixed(3);
      const data = atlas.make("data", { value: value ?? "" }, shown);
      const name = atlas.make("span", { className: "name" }, atlas.name(m, head));
      const properties = { href: atlas.link(m, head, p), title: atlas.name(m, head) };
      cards.push(atlas.make("li", {}, atlas.make("a", properties, canvas, name, " ", data)));
    }
    grid.replaceChildren(...cards);
    count.textContent =
      `${heads.length} of ${total} heads; the number is: ${labels[score] ?? score}; ` +
      `patterns on ${atlas.prompts[p].name}`;
  }

  async function drawn(m, head, p, colours) {
    const rows = await atlas.pattern(m, head, p);
    const n = rows.length;
    const canvas = atlas.make("canvas", { width: n, height: n });
    canvas.setAttribute("aria-hidden", "true");
    const context = canvas.getContext("2d");
    const image = context.createImageData(n, n);
    rows.forEach((row, query) => {
      for (let key = 0; key < n; key++) {
        const colour = colours[Math.round(Math.min(row[key] ?? 0, 1) * 255)];
        image.data.set([...colour, key < row.length ? 255 : 0], (query * n + key) * 4);
      }
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }
})();
