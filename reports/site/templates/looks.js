// Where each token of a prompt looks, for one head or for two beside each other: the tokens as a
// strip, the pattern as a chart, and each shows what is pointed at in the other.
const looks = (() => {
  const slots = ["head", "beside"].map((id) => ({
    id,
    view: document.getElementById(`${id}-view`),
    name: document.getElementById(`${id}-name`),
    strip: document.getElementById(`${id}-tokens`),
    said: document.getElementById(`${id}-looks`),
    chart: document.getElementById(`${id}_pattern`),
  }));
  const shown = () => slots.filter((slot) => slot.head);
  const buttons = (slot) => [...slot.strip.querySelectorAll("button")];
  let p = 0;

  // heads: one or two, as their model's and their own number.
  async function fill(heads, prompt) {
    p = prompt;
    const patterns = await Promise.all(heads.map(([m, head]) => atlas.pattern(m, head, p)));
    slots.forEach((slot, at) => {
      Object.assign(slot, { head: heads[at] ?? null, pattern: patterns[at] });
      slot.view.hidden = !slot.head;
      if (!slot.head) return;
      slot.name.replaceChildren(atlas.link(...slot.head));
      const items = atlas.tokens(slot.head[0], p).map(([text, , isStructural], query) => {
        const className = `token${isStructural ? " structural" : ""}`;
        const button = headswap.make("button", { type: "button", className }, text);
        button.addEventListener("mouseenter", () => point(slot, query));
        button.addEventListener("focus", () => point(slot, query));
        button.addEventListener("click", () => keep(query));
        return headswap.make("li", {}, button);
      });
      slot.strip.replaceChildren(...items);
      slot.strip.onmouseleave = release;
    });
    release();
  }

  const kept = () => {
    const token = Number(address.get("token") ?? NaN);
    const last = atlas.tokens(shown()[0].head[0], p).length - 1;
    const isHere = Number.isInteger(token) && token >= 0 && token <= last;
    address.warn("token", address.get("token") === null || isHere ? null : address.get("token"));
    return isHere ? token : last;
  };
  const keep = (token) => address.set({ token });
  const release = () => point(shown()[0], kept());
  address.on(["token"], () => shown().length && release());

  // Shows where a query looks, in all strips and patterns of the same tokens. key: pointed at, too.
  function point(from, query, key = null) {
    const tokenizer = (slot) => atlas.models[slot.head[0]].tokenizer;
    for (const slot of shown()) {
      const own = Math.min(query, slot.pattern.length - 1);
      if (tokenizer(slot) === tokenizer(from)) look(slot, own, key);
      else look(slot, slot.pattern.length - 1, null);
    }
  }

  function look(slot, query, key) {
    const [row, tokens] = [slot.pattern[query], atlas.tokens(slot.head[0], p)];
    buttons(slot).forEach((button, at) => {
      button.style.setProperty("--share", row[at] ?? 0);
      button.classList.toggle("query", at === query);
      button.classList.toggle("key", at === key);
      button.setAttribute("aria-pressed", at === query);
    });
    const named = (at) => `${tokens[at][0]} (${at}) ${row[at].toFixed(4)}`;
    const most = [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 4);
    const least = key === null || most.includes(key) || row[key] === undefined ? [] : [key];
    slot.said.textContent =
      `${tokens[query][0]} (position ${query}) looks at ${[...most, ...least].map(named).join(", ")}`;
    slot.query = query;
    frame(slot);
  }

  // The row of the query that is shown, framed in the pattern.
  function frame(slot) {
    const view = headswap.views.get(slot.chart.id);
    const [mark, picture] = [slot.chart.querySelector(".row-frame"), slot.chart.querySelector("canvas")];
    if (!view || !mark || !picture) return;
    const [[left, top], padding] = [view.origin(), view.padding()];
    const [outer, inner] = [slot.chart.getBoundingClientRect(), picture.getBoundingClientRect()];
    const rows = view.scale(`${slot.chart.id}_y`);
    Object.assign(mark.style, {
      left: `${inner.left - outer.left + padding.left + left}px`,
      top: `${inner.top - outer.top + padding.top + top + rows(slot.query)}px`,
      width: `${view.width()}px`,
      height: `${rows.bandwidth()}px`,
    });
    mark.dataset.query = slot.query;
  }

  // After a slot's pattern is drawn: what is pointed at there is shown in the strips.
  function link(slot, view) {
    slot.chart.append(headswap.make("div", { className: "row-frame" }));
    view.addEventListener("mousemove", (_, item) => {
      if (item?.datum?.query !== undefined) point(slot, item.datum.query, item.datum.key ?? null);
    });
    view.addEventListener("mouseout", release);
    view.addEventListener("click", (_, item) => {
      if (item?.datum?.query !== undefined) keep(item.datum.query);
    });
    frame(slot);
  }

  return { shown, fill, link };
})();
