// One head, and another beside it: profiles, scores, matches, and where each token of a prompt
// looks. The address says which: #head=MODEL:L3H1&beside=MODEL:L0H2&prompt=3.
(() => {
  const form = document.getElementById("head-controls");
  const title = document.getElementById("head-title");
  const grid = document.getElementById("head-grid");
  const part = (id) => document.getElementById(id);
  const sentences = headswap.read("head_effects");
  const hasProfiles = atlas.scores.includes("structural");
  // The head that is pointed at, shown until the pointer leaves it; null: the one in the address.
  let preview = null;

  for (const [m, model] of atlas.models.entries()) {
    const options = model.heads.map((index, head) => new Option(index, atlas.place(m, head)));
    form.beside.append(headswap.make("optgroup", { label: model.name }, ...options));
  }

  const chosen = () => {
    const named = address.get("head") ?? headswap.read("reference_head");
    const found = atlas.find(named);
    address.warn("head", found ? null : named);
    return found ?? atlas.find(headswap.read("reference_head")) ?? [0, 0];
  };
  // The head beside another: the one in the address, else its best match, or none.
  const beside = ([m, head]) => {
    if (form.beside.value === "none") return null;
    return form.beside.value ? atlas.find(form.beside.value) : best(m, head);
  };
  const best = (m, head) => atlas.models[m].matches[head][0]?.slice(0, 2) ?? null;
  const cosine = ([m, head], [n, other]) =>
    atlas.models[m].matches[head].find(([model, index]) => model === n && index === other)?.[2];

  let turn = 0;
  let last = Promise.resolve();
  // One after another: what the reader has left behind by then is not drawn.
  function show() {
    const mine = ++turn;
    const done = last.then(() => (mine === turn ? render(mine) : null));
    last = done.catch(() => null); // its own caller hears of it
    return done;
  }

  async function render(mine) {
    const [m, head] = preview ?? chosen();
    const heads = [[m, head], beside([m, head])].filter(Boolean);
    const p = atlas.prompt();
    const name = atlas.name(m, head);
    title.textContent = name;
    if (document.documentElement.dataset.form === "folder") document.title = `${name} – headswap`;
    part("head-preview").textContent = preview ? `${name} is shown while you point at it.` : "";
    if (!preview) fillControls(m, head);
    fillScores(heads);
    fillMatches(m, head, heads[1]);
    tables.fitAll();
    part("head-effects").textContent = (sentences[atlas.place(m, head)] ?? []).join(" ");
    const [tokens, total] = [
      atlas.tokens(m, p).length,
      atlas.prompts[p].total[atlas.models[m].tokenizer],
    ];
    part("head-cut").textContent =
      total > tokens ? `The first ${tokens} of ${total} tokens are shown.` : "";
    fillQuestions(heads, p);
    await looks.fill(heads, p);
    if (mine !== turn) return; // the reader has chosen anew
    part("head-profile-part").hidden = !hasProfiles;
    if (hasProfiles) await draw("head_profile", profileSpec(heads), "svg", "Line chart.");
    for (const slot of looks.shown()) {
      if (mine !== turn) return;
      const view = await draw(slot.chart.id, patternSpec(slot, p), "canvas", "Heat map.");
      looks.link(slot, view);
    }
    if (mine === turn) document.documentElement.dataset.head = name;
  }

  // The queries behind what is shown lead to the same heads and prompt.
  function fillQuestions(heads, p) {
    const [a, b = a] = heads;
    const model = ([m]) => atlas.models[m].name;
    const place = ([m, head], suffix) => questions.head(atlas.models[m].heads[head], suffix);
    const both = { model_a: model(a), ...place(a, "_a"), model_b: model(b), ...place(b, "_b") };
    for (const id of ["head_profile-sql", "head-scores-sql"]) questions.follow(part(id), both);
    for (const id of ["head-matches-sql", "head-effects-sql"]) {
      questions.follow(part(id), { model: model(a), ...place(a) });
    }
    for (const [id, head] of [["head_pattern-sql", a], ["beside_pattern-sql", b]]) {
      const chosen = { model: model(head), ...place(head), prompt_id: atlas.prompts[p].id };
      questions.follow(part(id), chosen);
    }
  }

  function draw(id, spec, renderer, kind) {
    const { title: words, ...untitled } = spec;
    const caption = part(`${id}-caption`);
    caption.replaceChildren(...words);
    const described = { ...untitled, name: id, description: `${kind} ${caption.textContent}.` };
    return headswap.embed(part(id), described, renderer);
  }

  function fillControls(m, head) {
    form.model.value = atlas.models[m].name;
    form.head.replaceChildren(...atlas.models[m].heads.map((index, at) => new Option(index, at)));
    form.head.value = head;
  }

  // All heads of the model: pointed at, one is shown; clicked, it is kept.
  async function fillGrid() {
    const [[m, head], p] = [chosen(), atlas.prompt()];
    const model = atlas.models[m];
    const layers = new Map();
    for (const [at, index] of model.heads.entries()) {
      const link = Object.assign(atlas.link(m, at, ""), { title: atlas.name(m, at) });
      link.setAttribute("aria-label", atlas.name(m, at));
      if (at === head) link.setAttribute("aria-current", "true");
      link.append(await atlas.picture(m, at, p));
      for (const event of ["mouseenter", "focus"]) link.addEventListener(event, () => peek([m, at]));
      for (const event of ["mouseleave", "blur"]) link.addEventListener(event, () => peek(null));
      const layer = index.split("H")[0];
      layers.set(layer, [...(layers.get(layer) ?? []), link]);
    }
    part("head-model").textContent = model.name;
    const rows = [...layers].map(([layer, links]) =>
      headswap.make("li", {}, headswap.make("span", {}, layer), ...links));
    grid.replaceChildren(...rows);
  }

  // After a moment, so that a pointer that only crosses heads draws none of them.
  let timer;
  function peek(head) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const isSame = JSON.stringify(head ?? chosen()) === JSON.stringify(preview ?? chosen());
      preview = head;
      if (!isSame) show();
      else part("head-preview").textContent = "";
    }, 80);
  }

  const cell = (tag, content, className = "") => headswap.make(tag, { className }, content);
  const heading = (content, className = "") => {
    const made = cell("th", content, className);
    made.scope = "col";
    return made;
  };

  function fillScores(heads) {
    const table = part("head-scores");
    const names = heads.flatMap(([m, head]) =>
      [
        heading(atlas.link(m, head), "count"),
        heading(`rank of ${atlas.models[m].heads.length}`, "count"),
      ]);
    table.tHead.replaceChildren(headswap.make("tr", {}, heading("score"), ...names));
    const bodies = atlas.groups.map(([group, scores]) => {
      const first = cell("th", group);
      Object.assign(first, { colSpan: 1 + names.length, scope: "rowgroup" });
      const rows = scores.map(([score, meaning]) => {
        const name = cell("th", headswap.make("code", { title: meaning }, score));
        name.scope = "row";
        name.append(headswap.make("span", { className: "meaning" }, meaning));
        const cells = heads.flatMap(([m, head]) => valueCells(m, head, atlas.scores.indexOf(score)));
        return headswap.make("tr", {}, name, ...cells);
      });
      return headswap.make("tbody", {}, headswap.make("tr", { className: "group" }, first), ...rows);
    });
    for (const body of [...table.tBodies]) body.remove();
    table.append(...bodies);
  }

  function valueCells(m, head, at) {
    const model = atlas.models[m];
    const value = model.values[head][at];
    if (value === null) return [cell("td", "–", "count"), cell("td", "", "count")];
    const rank = 1 + model.values.filter((values) => values[at] > value).length;
    const shown = headswap.make("data", { value }, value.toFixed(4));
    return [cell("td", shown, "count"), cell("td", String(rank), "count")];
  }

  function fillMatches(m, head, other) {
    const rows = atlas.models[m].matches[head].map(([n, match, value, isMutual]) => {
      const name = cell("th", atlas.link(n, match));
      name.scope = "row";
      const isShown = other && other[0] === n && other[1] === match;
      const show = headswap.make("button", { type: "button", className: "choose" }, "beside");
      show.setAttribute("aria-pressed", Boolean(isShown));
      show.setAttribute("aria-label", `Show ${atlas.name(n, match)} beside`);
      show.addEventListener("click", () => address.set({ beside: atlas.place(n, match) }));
      const data = headswap.make("data", { value }, value.toFixed(4));
      return headswap.make(
        "tr", {}, name, cell("td", data, "count"), cell("td", isMutual ? "yes" : "no"), cell("td", show),
      );
    });
    const none = headswap.make("td", { colSpan: 4 }, atlas.models.length > 1
      ? `–. ${part("head-matches").dataset.unmatched}`
      : "This dataset holds no other model.");
    const body = document.querySelector("#head-matches tbody");
    body.replaceChildren(...(rows.length ? rows : [headswap.make("tr", {}, none)]));
  }

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // A specification in which every list that equals the old one is the new one.
  function replaced(spec, before, after) {
    if (same(spec, before)) return after;
    if (Array.isArray(spec)) return spec.map((item) => replaced(item, before, after));
    if (spec === null || typeof spec !== "object") return spec;
    const entries = Object.entries(spec);
    return Object.fromEntries(entries.map(([key, item]) => [key, replaced(item, before, after)]));
  }

  function withRows(spec, rows) {
    const names = Object.keys(spec.datasets);
    return { ...spec, datasets: Object.fromEntries(names.map((name) => [name, rows])) };
  }

  function profileSpec(heads) {
    const spec = headswap.read("profile_template");
    const before = [...new Set(Object.values(spec.datasets)[0].map((row) => row.head))];
    const rows = heads.flatMap(([m, at]) => {
      const [masses, { queries }] = [atlas.models[m].profiles[at], atlas.models[m]];
      return masses.map((mass, bin) => ({
        head: atlas.name(m, at), mass, share: (bin + 0.5) / masses.length, queries: queries[bin],
      }));
    });
    const names = [...new Set(heads.map((head) => atlas.name(...head)))];
    const top = Math.max(...rows.map((row) => row.mass));
    const limit = Math.min(1, Math.max(0.05, Math.ceil(top * 108 + 0.5) / 100));
    const made = withRows(replaced(replaced(spec, before, names), [0, 1.0], [0, 1]), rows);
    for (const layer of made.layer) layer.encoding.y.scale.domain = [0, limit];
    const value = heads.length > 1 ? cosine(...heads) : undefined;
    const links = heads.flatMap((head) => [" and ", atlas.link(...head)]).slice(1);
    made.title = [...links, value === undefined ? "" : `: cosine of two ${atlas.compared} ${value.toFixed(4)}`];
    return made;
  }

  function patternSpec(slot, p) {
    const [m, head] = slot.head;
    const tokens = atlas.tokens(m, p);
    const spec = headswap.read("pattern_template");
    const before = spec.encoding.x.scale.domain;
    const rows = slot.pattern.map((weight, query) => ({
      query, key: [...weight.keys()], weight: weight.map((value) => Number(value.toFixed(4))),
    }));
    const made = withRows(replaced(spec, before, [...tokens.keys()]), rows);
    const values = {
      tokens: tokens.map((token) => token[0]),
      token_labels: tokens.map((token) => token[1]),
      structural: tokens.map((token) => token[2]),
    };
    for (const parameter of made.params) {
      if (parameter.name in values) parameter.value = values[parameter.name];
    }
    Object.assign(made.usermeta.cells, { x: tokens.length, y: tokens.length });
    made.title = [atlas.link(m, head), ` on ${atlas.prompts[p].name}`];
    return made;
  }

  const choose = (m, head) => address.set({ head: atlas.place(m, head) });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.model.addEventListener("change", () => {
    const m = form.model.selectedIndex;
    choose(m, Math.min(chosen()[1], atlas.models[m].heads.length - 1));
  });
  form.head.addEventListener("change", () => choose(chosen()[0], Number(form.head.value)));
  for (const [id, by] of [["head-before", -1], ["head-after", 1]]) {
    part(id).addEventListener("click", () => {
      const [m, head] = chosen();
      const n = atlas.models[m].heads.length;
      choose(m, (head + by + n) % n);
    });
  }
  address.bind("beside", form.beside);
  address.bind("prompt", form.prompt);
  const all = async () => {
    preview = null;
    await Promise.all([show(), fillGrid()]);
  };
  address.on(["head", "beside", "prompt"], all);
  headswap.onDraw(all);
})();
