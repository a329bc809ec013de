// One head: its profile, scores and matches, and where each token of a prompt looks. The address
// says which: #head=MODEL:L3H0&prompt=3.
(() => {
  const form = document.getElementById("head-controls");
  const title = document.getElementById("head-title");
  const strip = document.getElementById("head-tokens");
  const looks = document.getElementById("head-looks");
  const labels = headswap.read("scores");
  const sentences = headswap.read("head_effects");
  const state = { m: 0, head: 0, p: 0, query: null };

  function go(m, head, p) {
    history.replaceState(null, "", atlas.link(m, head, p).replace(/^[^#]*/, ""));
    return open(m, head, p);
  }

  async function open(m, head, p) {
    Object.assign(state, { m, head, p, query: null });
    form.model.value = m;
    const options = atlas.models[m].heads.map((index, at) => new Option(index, at));
    form.head.replaceChildren(...options);
    form.head.value = head;
    form.prompt.value = p;
    title.textContent = atlas.name(m, head);
    if (document.documentElement.dataset.form === "folder") {
      document.title = `${atlas.name(m, head)} – headswap`;
    }
    fillScores();
    fillMatches();
    const effects = sentences[`${atlas.models[m].name}:${atlas.models[m].heads[head]}`] ?? [];
    document.getElementById("head-effects").textContent = effects.join(" ");
    await fillTokens();
    await drawCharts();
  }

  // What the address names; where it names nothing, or nothing that is here, the reference head.
  function fromAddress() {
    const named = new URLSearchParams(location.hash.slice(1));
    const [place, prompt] = [named.get("head") ?? headswap.read("reference_head"), named.get("prompt")];
    const at = place.lastIndexOf(":");
    const m = atlas.models.findIndex((model) => model.name === place.slice(0, at));
    const head = atlas.models[m]?.heads.indexOf(place.slice(at + 1)) ?? -1;
    const p = atlas.prompts.findIndex((known) => String(known.id) === prompt);
    if (m < 0 || head < 0) return null;
    return [m, head, Math.max(p, 0)];
  }

  const cell = (tag, text, className = "") => atlas.make(tag, { className }, text);

  function fillScores() {
    const model = atlas.models[state.m];
    const rows = atlas.scores.map((score, at) => {
      const value = model.values[state.head][at];
      const rank = 1 + model.values.filter((values) => values[at] > value).length;
      const shown = value === null ? "–" : atlas.make("data", { value }, value.toFixed(4));
      const place = value === null ? "" : `${rank} of ${model.heads.length}`;
      const name = cell("th", labels[score] ?? score);
      name.scope = "row";
      return atlas.make("tr", {}, name, cell("td", shown, "count"), cell("td", place, "count"));
    });
    document.querySelector("#head-scores tbody").replaceChildren(...rows);
  }

  function fillMatches() {
    const matches = atlas.models[state.m].matches[state.head];
    const rows = matches.map(([m, head, cosine, isMutual]) => {
      const link = atlas.make("a", { href: atlas.link(m, head, state.p) }, atlas.name(m, head));
      const value = atlas.make("data", { value: cosine }, cosine.toFixed(4));
      const name = cell("th", link);
      name.scope = "row";
      return atlas.make(
        "tr", {}, name, cell("td", value, "count"), cell("td", isMutual ? "yes" : "no"),
      );
    });
    const none = atlas.make("td", { colSpan: 3 }, atlas.models.length > 1
      ? "– (undefined: the profile is 0 in every bin)"
      : "This dataset holds no other model.");
    const body = document.querySelector("#head-matches tbody");
    body.replaceChildren(...(rows.length ? rows : [atlas.make("tr", {}, none)]));
  }

  async function fillTokens() {
    const tokens = atlas.tokens(state.m, state.p);
    state.pattern = await atlas.pattern(state.m, state.head, state.p);
    const items = tokens.map(([text, , isStructural], position) => {
      const className = `token${isStructural ? " structural" : ""}`;
      const button = atlas.make("button", { type: "button", className }, text);
      for (const event of ["mouseenter", "focus"]) {
        button.addEventListener(event, () => look(position));
      }
      return atlas.make("li", {}, button);
    });
    strip.replaceChildren(...items);
    const prompt = atlas.prompts[state.p];
    const total = prompt.total[atlas.models[state.m].tokenizer];
    document.getElementById("head-cut").textContent =
      total > tokens.length ? `The first ${tokens.length} of ${total} tokens are shown.` : "";
    look(tokens.length - 1);
  }

  function look(query) {
    const [row, tokens] = [state.pattern[query], atlas.tokens(state.m, state.p)];
    [...strip.querySelectorAll("button")].forEach((button, key) => {
      button.style.setProperty("--share", row[key] ?? 0);
      button.classList.toggle("query", key === query);
    });
    const most = row
      .map((weight, key) => ({ weight, key }))
      .sort((a, b) => b.weight - a.weight)
      .slice(0, 5)
      .map(({ weight, key }) => `${tokens[key][0]} (${key}) ${weight.toFixed(4)}`);
    looks.textContent = `${tokens[query][0]} (position ${query}) looks at ${most.join(", ")}`;
  }

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // A specification in which every list that equals the old one is the new one.
  function replaced(part, before, after) {
    if (same(part, before)) return after;
    if (Array.isArray(part)) return part.map((item) => replaced(item, before, after));
    if (part === null || typeof part !== "object") return part;
    const entries = Object.entries(part);
    return Object.fromEntries(entries.map(([key, item]) => [key, replaced(item, before, after)]));
  }

  function withRows(spec, rows) {
    const names = Object.keys(spec.datasets);
    return { ...spec, datasets: Object.fromEntries(names.map((name) => [name, rows])) };
  }

  function profileSpec() {
    const shown = [[state.m, state.head], ...(atlas.models[state.m].matches[state.head].slice(0, 1))];
    const profiles = shown.map(([m, head]) => [atlas.name(m, head), atlas.models[m].profiles[head]]);
    const spec = headswap.read("profile_template");
    const before = [...new Set(Object.values(spec.datasets)[0].map((row) => row.head))];
    const rows = profiles.flatMap(([head, masses]) =>
      masses.map((mass, bin) => ({
        head, mass, share: (bin + 0.5) / masses.length, queries: atlas.models[state.m].queries[bin],
      })),
    );
    const names = profiles.map(([head]) => head);
    const top = Math.max(...rows.map((row) => row.mass));
    const limit = Math.min(1, Math.max(0.05, Math.ceil(top * 108 + 0.5) / 100));
    const cosine = atlas.models[state.m].matches[state.head][0]?.[2];
    const made = withRows(replaced(replaced(spec, before, names), [0, 1.0], [0, 1]), rows);
    for (const layer of made.layer) layer.encoding.y.scale.domain = [0, limit];
    made.title = cosine === undefined
      ? names[0]
      : `${names[0]} and its best match: cosine ${cosine.toFixed(4)}`;
    return made;
  }

  function patternSpec() {
    const tokens = atlas.tokens(state.m, state.p);
    const spec = headswap.read("pattern_template");
    const before = spec.encoding.x.scale.domain;
    const rows = state.pattern.map((weight, query) => ({
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
    const step = Math.min(Math.max(Math.round(520 / tokens.length), 9), 28);
    for (const channel of ["x", "y"]) {
      made.encoding[channel].axis.labelFontSize = Math.min(11, Math.max(step - 1, 7));
    }
    made.height = step * tokens.length;
    made.title = `${atlas.name(state.m, state.head)} on ${atlas.prompts[state.p].name}`;
    return made;
  }

  let turn = 0;
  async function drawCharts() {
    const mine = ++turn;
    for (const [id, spec, renderer, kind] of [
      ["head_profile", profileSpec(), "svg", "Line chart."],
      ["head_pattern", patternSpec(), "canvas", "Heat map."],
    ]) {
      const described = { ...spec, description: `${kind} ${spec.title}.` };
      await headswap.embed(document.getElementById(id), described, renderer);
      if (mine !== turn) return; // the reader has chosen anew
    }
    document.documentElement.dataset.head = atlas.name(state.m, state.head);
  }

  const first = (m) => Math.min(state.head, atlas.models[m].heads.length - 1);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.model.addEventListener("change", () => {
    const m = Number(form.model.value);
    go(m, first(m), state.p);
  });
  for (const field of [form.head, form.prompt]) {
    field.addEventListener("change", () =>
      go(state.m, Number(form.head.value), Number(form.prompt.value)),
    );
  }
  for (const [id, by] of [["head-before", -1], ["head-after", 1]]) {
    document.getElementById(id).addEventListener("click", () => {
      const n = atlas.models[state.m].heads.length;
      go(state.m, (state.head + by + n) % n, state.p);
    });
  }
  addEventListener("hashchange", () => {
    const named = new URLSearchParams(location.hash.slice(1)).has("head") && fromAddress();
    if (!named) return;
    document.getElementById("head").scrollIntoView();
    open(...named);
  });
  headswap.onDraw(async () => {
    if (title.textContent !== atlas.name(state.m, state.head) || !state.pattern) {
      await open(...(fromAddress() ?? [0, 0, 0]));
    } else {
      await drawCharts();
    }
  });
})();
