// The head finder: a square for each head that the controls let through, in their order.
(() => {
  const form = document.getElementById("heads-controls");
  const grid = document.getElementById("heads-grid");
  const count = document.getElementById("heads-count");
  const layerOf = (index) => Number(index.match(/^L(\d+)/)[1]);
  const layers = new Set(atlas.models.flatMap((model) => model.heads.map(layerOf)));
  for (const layer of [...layers].sort((a, b) => a - b)) {
    form.layer.append(new Option(`L${layer}`, layer));
  }
  const controls = [...form.elements].filter((control) => control.name);
  for (const control of controls) address.bind(control.name, control);
  form.addEventListener("submit", (event) => event.preventDefault());
  address.on(controls.map((control) => control.name), () => show());
  headswap.onDraw(show);

  function chosen() {
    const score = atlas.scores.indexOf(form.score.value);
    const least = form.least.value === "" ? -Infinity : Number(form.least.value);
    const found = [];
    atlas.models.forEach((model, m) => {
      if (form.model.value !== "" && form.model.value !== model.name) return;
      model.heads.forEach((index, head) => {
        const value = model.values[head][score];
        if (form.layer.value !== "" && layerOf(index) !== Number(form.layer.value)) return;
        if (!headswap.finds(form.find.value, atlas.name(m, head))) return;
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

  // The query whose rows are the heads that are shown, in their order.
  function question() {
    const { score, model, layer, find, least, order } = form;
    const isLateMass = score.value === "late_mass";
    const value = isLateMass ? "late_mass" : "value";
    const where = [];
    if (!isLateMass) where.push(`score = ${questions.literal(score.value)}`);
    if (model.value !== "") where.push(`model = ${questions.literal(model.value)}`);
    if (layer.value !== "") where.push(`layer = ${layer.value}`);
    if (least.value !== "") where.push(`round(${value}, 6) >= ${Number(least.value)}`);
    for (const word of find.value.trim().toLowerCase().split(/\s+/).filter(Boolean)) {
      const [isPlace, inLayer, inHead] = word.match(/^(?:l(\d+))?(?:h(\d+))?$/) ?? [];
      if (inLayer) where.push(`layer = ${Number(inLayer)}`);
      if (inHead) where.push(`head = ${Number(inHead)}`);
      const name = "lower(model || ' L' || layer || 'H' || head)";
      if (isPlace === undefined) where.push(`contains(${name}, ${questions.literal(word)})`);
    }
    const direction = { down: " desc", up: "" }[order.value];
    const first = direction === undefined ? "" : `round(${value}, 6)${direction} nulls last, `;
    return [
      `select model, layer, head, ${value}`,
      `from ${isLateMass ? "late_mass" : "head_scores"}`,
      ...where.map((condition, at) => (at ? `    and ${condition}` : `where ${condition}`)),
      `order by ${first}model, layer, head`,
    ].join("\n");
  }

  let turn = 0;
  async function show() {
    const mine = ++turn;
    const [heads, p] = [chosen(), atlas.prompt()];
    const total = atlas.models.reduce((sum, model) => sum + model.heads.length, 0);
    const cards = [];
    for (const { m, head, value } of heads) {
      const canvas = await atlas.picture(m, head, p);
      if (mine !== turn) return; // the reader has chosen anew
      const shown = value === null ? "–" : value.toFixed(3);
      const data = headswap.make("data", { value: value ?? "" }, shown);
      const name = headswap.make("span", { className: "name" }, atlas.name(m, head));
      const card = Object.assign(atlas.link(m, head, ""), { title: atlas.name(m, head) });
      card.append(canvas, name, " ", data);
      cards.push(headswap.make("li", {}, card));
    }
    grid.replaceChildren(...cards);
    questions.ask(document.getElementById("heads-sql"), question());
    const meanings = new Map(atlas.groups.flatMap(([, scores]) => scores));
    count.textContent =
      `${heads.length} of ${total} heads; the number is ${form.score.value}: ` +
      `${meanings.get(form.score.value)}; patterns on ${atlas.prompts[p].name}`;
  }
})();
