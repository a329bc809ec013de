// All heads on one text as squares, and the chosen ones large: where each token looks, and the
// pattern. The address says which: #heads=adhd:L3H5,adhd:L1H1.
(() => {
  const models = headswap.read("look_models");
  const panels = document.getElementById("look-heads");
  const squares = [...document.querySelectorAll(".square")];
  const { make } = headswap;

  const unpacked = models.map(async ({ weights }) => {
    const packed = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new DataView(await new Response(stream).arrayBuffer());
    const length = bytes.byteLength / 2;
    return Uint16Array.from({ length }, (_, at) => bytes.getUint16(2 * at, true));
  });

  // MODEL:L3H5 as numbers; null where the page has no such head.
  function parsed(name) {
    const [, model, layer, head] = name.match(/^(.*):L(\d+)H(\d+)$/) ?? [];
    const m = models.findIndex((known) => known.name === model);
    const isKnown = m >= 0 && layer < models[m].shape[0] && head < models[m].shape[1];
    return isKnown ? { m, layer: Number(layer), head: Number(head), name } : null;
  }

  // A head's weights, query by query; a causal row ends at its query.
  async function rowsOf({ m, layer, head }) {
    const { shape, tokens, unit, missing } = models[m];
    const [all, n] = [await unpacked[m], tokens.length];
    const begin = (layer * shape[1] + head) * n * n;
    return Array.from({ length: n }, (_, query) => {
      const row = all.subarray(begin + query * n, begin + (query + 1) * n);
      return Array.from(row.filter((value) => value !== missing), (value) => value * unit);
    });
  }

  async function drawSquares() {
    for (const square of squares) {
      square.replaceChildren(await pictures.draw(await rowsOf(parsed(square.dataset.head))));
    }
  }

  function tokenStrip(place, rows) {
    const { tokens } = models[place.m];
    const looks = make("p", { className: "looks" });
    looks.setAttribute("role", "status");
    const buttons = tokens.map(([text, , isStructural], query) => {
      const className = `token${isStructural ? " structural" : ""}`;
      const button = make("button", { type: "button", className }, text);
      for (const event of ["mouseenter", "focus"]) button.addEventListener(event, () => look(query));
      return button;
    });
    function look(query) {
      buttons.forEach((button, key) => {
        button.style.setProperty("--share", rows[query][key] ?? 0);
        button.classList.toggle("query", key === query);
      });
      const most = rows[query]
        .map((weight, key) => ({ weight, key }))
        .sort((a, b) => b.weight - a.weight)
        .slice(0, 3)
        .map(({ weight, key }) => `“${tokens[key][0]}” (position ${key}): ${weight.toFixed(3)}`);
      looks.textContent = `“${tokens[query][0]}” (position ${query}) looks most at ${most.join(", ")}`;
    }
    look(tokens.length - 1);
    const strip = make("ol", { className: "tokens" }, ...buttons.map((b) => make("li", {}, b)));
    return [strip, looks];
  }

  function specOf(place, rows, title) {
    const spec = headswap.read(`look_pattern_${place.m}`);
    const values = rows.map((weight, query) => ({ query, key: [...weight.keys()], weight }));
    const datasets = Object.fromEntries(Object.keys(spec.datasets).map((name) => [name, values]));
    const n = rows.length;
    const description = `Heat map of ${n} by ${n} tokens. ${title}.`;
    return { ...spec, datasets, description, name: `${models[place.m].name}-L${place.layer}H${place.head}` };
  }

  // The heads that the address names, else those that the page was made for.
  function chosen() {
    const named = new URLSearchParams(location.hash.slice(1)).get("heads")?.split(",") ?? [];
    const known = named.map(parsed).filter((place) => place !== null);
    return known.length ? known : headswap.read("look_named").map(parsed);
  }

  let turn = 0;
  async function showHeads() {
    const [mine, places] = [++turn, chosen()];
    for (const square of squares) {
      const isChosen = places.some((place) => place.name === square.dataset.head);
      square.setAttribute("aria-pressed", isChosen);
    }
    const charts = [];
    const sections = [];
    for (const [number, place] of places.entries()) {
      const rows = await rowsOf(place);
      const title = place.name.replace(/:(?=L\d+H\d+$)/, " ");
      const chart = make("div", { className: "chart", id: `look_chart_${number}` });
      charts.push([chart, specOf(place, rows, title)]);
      const heading = make("h2", { className: "small", id: `look_title_${number}` }, title);
      const section = make(
        "section", {}, heading, ...tokenStrip(place, rows),
        // For the picture that is saved; on the page the heading says it.
        make("figure", {}, make("figcaption", { hidden: true }, title), chart),
      );
      section.setAttribute("aria-labelledby", heading.id);
      sections.push(section);
    }
    if (mine !== turn) return; // the reader has chosen anew
    panels.replaceChildren(...sections);
    for (const [chart, spec] of charts) {
      await headswap.embed(chart, spec, "canvas");
      if (mine !== turn) return;
    }
    document.documentElement.dataset.heads = places.map((place) => place.name).join(",");
  }

  for (const square of squares) {
    square.addEventListener("click", (event) => {
      const name = square.dataset.head;
      const others = chosen().map((place) => place.name).filter((other) => other !== name);
      const isAdded = event.ctrlKey || event.metaKey;
      const wasThere = isAdded && square.getAttribute("aria-pressed") === "true" && others.length;
      const heads = wasThere ? others : [...(isAdded ? others : []), name];
      location.hash = new URLSearchParams({ heads: heads.join(",") }).toString();
    });
  }
  addEventListener("hashchange", showHeads);
  headswap.onDraw(async () => {
    await drawSquares();
    await showHeads();
  });
})();
