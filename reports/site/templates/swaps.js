// One choice for the whole page: the head that is chosen in a chart or in the table is the chosen
// one in all of them, of every pair of models. What is pointed at is shown until it is left.
(() => {
  const sections = [...document.querySelectorAll(".linked")];
  const captions = headswap.read("swap_captions");
  const pair = document.getElementById("swaps-pair");
  const heads = new Map(
    [...sections[0].querySelectorAll("tr[data-row]")]
      .map((tr) => [tr.querySelector("th").textContent.trim().split(/\s/)[0], Number(tr.dataset.row)]),
  );
  const names = new Map([...heads].map(([name, row]) => [row, name]));
  const reference = Number(sections[0].querySelector("tr.reference").dataset.row);
  // Pointed at: its row, or null.
  let pointed = null;

  function kept() {
    const named = address.get("swap");
    address.warn("swap", named === null || heads.has(named) ? null : named);
    return heads.get(named) ?? reference;
  }
  const choose = (row) => address.set({ swap: row === reference ? null : names.get(row) });

  async function show() {
    const row = pointed ?? kept();
    for (const section of sections.filter((shown) => !shown.hidden)) {
      for (const tr of section.querySelectorAll("tr[data-row]")) {
        const isChosen = Number(tr.dataset.row) === row;
        tr.classList.toggle("is-chosen", isChosen);
        tr.querySelector(".choose").setAttribute("aria-pressed", isChosen);
        if (!isChosen) continue;
        for (const named of section.querySelectorAll(".chosen")) {
          named.replaceChildren(tr.querySelector("th a").cloneNode(true));
        }
      }
      section.dataset.row = row;
      for (const { id } of section.querySelectorAll(".chart")) {
        const [view, caption] = [headswap.views.get(id), document.getElementById(`${id}-caption`)];
        // Written by the report, in which names are text and heads are links.
        if (captions[id]) caption.innerHTML = captions[id][row];
        questions.follow(document.getElementById(`${id}-sql`), questions.head(names.get(row)));
        if (view && signals(view).has("chosen_row")) await view.signal("chosen_row", row).runAsync();
      }
      section.dataset.shown = row;
    }
  }
  const signals = (view) =>
    new Set(Object.keys(view.getState({ signals: (name) => name === "chosen_row" }).signals));

  const point = (row) => {
    if (row === pointed) return;
    pointed = row;
    show();
  };
  // The row of a cell or a line; the columns at the sides have none.
  const rowOf = (item) => item?.datum?.row ?? null;

  const linked = new WeakSet();
  headswap.onDraw(async () => {
    for (const { id } of document.querySelectorAll(".linked:not([hidden]) .chart")) {
      const view = headswap.views.get(id);
      if (!view || linked.has(view)) continue;
      linked.add(view);
      if (/^(matrix|migration)_/.test(id)) {
        view.addEventListener("mousemove", (_, item) => point(rowOf(item)));
        view.addEventListener("mouseout", () => point(null));
        view.addEventListener("click", (_, item) => rowOf(item) !== null && choose(rowOf(item)));
      }
    }
    await show();
  });
  address.on(["swap"], show);

  // One pair of models at a time.
  const part = () => {
    sections.forEach((section, at) => (section.hidden = at !== (pair?.selectedIndex ?? 0)));
  };
  if (pair) {
    address.bind("pair", pair);
    address.on(["pair"], () => {
      part();
      headswap.draw();
    });
  }
  part();

  for (const section of sections) {
    const rows = [...section.querySelectorAll("tr[data-row]")];
    for (const tr of rows) {
      tr.querySelector(".choose").addEventListener("click", () => choose(Number(tr.dataset.row)));
      tr.addEventListener("mouseenter", () => point(Number(tr.dataset.row)));
      tr.addEventListener("mouseleave", () => point(null));
    }
    const [filter, search] = [section.querySelector(".filter"), section.querySelector(".search")];
    const count = section.querySelector(".count-shown");
    const narrow = () => {
      const kinds = filter.value.split(" ").filter(Boolean);
      let shown = 0;
      for (const tr of rows) {
        const links = [...tr.querySelectorAll("a")].map((link) => link.textContent);
        const has = kinds.every((kind) => tr.dataset.kinds.split(" ").includes(kind));
        tr.hidden = !(has && links.some((head) => headswap.finds(search.value, head)));
        shown += !tr.hidden;
      }
      count.textContent = `${shown} of ${rows.length} heads`;
    };
    address.bind("kind", filter);
    address.bind("find", search);
    address.on(["kind", "find"], narrow);
    narrow();
  }
})();
