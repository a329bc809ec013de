// On every page: the theme that the reader's system has or the button chose, and the charts in it,
// one after another; `data-charts` on the root element says when all stand.
const headswap = (() => {
  // Expressions are interpreted: the page's policy forbids to compile text into code.
  const options = { ast: true, actions: false };
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const palettes = read("palettes");
  const dark = new Map(
    Object.entries(palettes.light).map(([role, colour]) => [colour, palettes.dark[role]]),
  );
  // Where a specification holds the reader's texts, which are no colours whatever they look like.
  const TEXTS = new Set(["data", "datasets", "params", "name", "description", "field", "domain"]);
  // What draws on a page beside the charts that stand in it, in the theme of the time.
  const drawers = [];
  const views = new Map();

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  function darkened(part) {
    if (typeof part === "string") return dark.get(part) ?? part;
    if (Array.isArray(part)) return part.map(darkened);
    if (part === null || typeof part !== "object") return part;
    const made = {};
    for (const [key, value] of Object.entries(part)) {
      const isTitle = key === "title" && (typeof value === "string" || Array.isArray(value));
      made[key] = TEXTS.has(key) || isTitle ? value : darkened(value);
    }
    // Little is as dark as the ground.
    if ("scheme" in made) made.reverse = true;
    return made;
  }

  const isDark = () => root.dataset.theme === "dark";

  // A map of cells is as high as makes them squares in the width that there is; its labels stay
  // legible, where they do not fit every other one is left out.
  function sized(spec, element) {
    const cells = spec.usermeta?.cells;
    if (!cells || !element.clientWidth) return spec;
    const room = element.clientWidth - cells.beside;
    const step = Math.min(room / cells.x, cells.most);
    const made = { ...spec, height: Math.min(Math.round(step * cells.y), cells.tallest ?? Infinity) };
    if (step === cells.most) made.width = Math.round(step * cells.x) + cells.beside;
    if (cells.labels) {
      const labelFontSize = Math.min(11, Math.max(Math.round(step) - 1, 9));
      made.config = { ...spec.config, axis: { ...spec.config.axis, labelFontSize } };
    }
    return made;
  }

  // Draws a specification into an element, and gives its view.
  async function embed(element, spec, renderer) {
    const shown = sized(isDark() ? darkened(spec) : spec, element);
    const settings = { ...options, renderer, tooltip: { theme: root.dataset.theme } };
    const { view } = await vegaEmbed(element, shown, settings);
    views.set(element.id, view);
    // What stands for a head leads to its page.
    view.addEventListener("click", (_, item) => {
      if (item?.datum?.place) address.go("head", { head: item.datum.place });
    });
    element.closest("figure")?.append(saving(element, shown, view));
    return view;
  }

  // The menu that saves a chart as it stands, with its caption as title.
  function saving(element, shown, view) {
    const figure = element.closest("figure");
    figure.querySelector(".save")?.remove();
    const caption = figure.querySelector(".caption") ?? figure.querySelector("figcaption");
    const title = () => caption?.textContent.trim() ?? "";
    const save = async (format) => {
      const width = element.clientWidth;
      const lines = title().match(new RegExp(`.{1,${Math.round(width / 9)}}(?:\\s|$)`, "g")) ?? [];
      const titled = { ...shown, title: lines.map((line) => line.trim()), width };
      const whole = await vegaEmbed(make("div", {}), titled, { ...options, renderer: "none" });
      for (const { name } of shown.params ?? []) whole.view.signal(name, view.signal(name));
      const href = await whole.view.toImageURL(format, format === "png" ? 2 : 1);
      make("a", { href, download: `${shown.name}.${format}` }).click();
    };
    const buttons = ["svg", "png"].map((format) => {
      const textContent = `Save as ${format.toUpperCase()}`;
      return make("button", { type: "button", textContent, onclick: () => save(format) });
    });
    const summary = make("summary", { textContent: "⋯" });
    summary.setAttribute("aria-label", `Save ${shown.name} as a picture`);
    return make("details", { className: "save" }, summary, ...buttons);
  }

  async function draw() {
    delete root.dataset.charts;
    const theme = root.dataset.theme;
    for (const chart of document.querySelectorAll("[data-spec]")) {
      if (chart.closest("[hidden]")) continue; // it has no width yet
      await embed(chart, read(chart.dataset.spec), chart.dataset.renderer);
      if (root.dataset.theme !== theme) return; // another drawing has begun
    }
    for (const drawer of drawers) {
      await drawer();
      if (root.dataset.theme !== theme) return;
    }
    root.dataset.charts = "drawn";
  }

  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const KEPT = "headswap.theme";

  // A browser may be told to keep nothing; then every page follows the system.
  function kept(theme) {
    try {
      if (theme) localStorage.setItem(KEPT, theme);
      return localStorage.getItem(KEPT);
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
      return null;
    }
  }
  const wanted = () => kept() ?? (system.matches ? "dark" : "light");

  async function show(theme) {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.title = `Show these pages in ${button.textContent.toLowerCase()} colours`;
    await draw();
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    kept(theme);
    show(theme);
  });
  system.addEventListener("change", () => show(wanted()));
  // Another window of these pages.
  addEventListener("storage", ({ key }) => key === KEPT && show(wanted()));
  // Charts fit the width that they found.
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // only the height: a phone's bars come and go
    width = innerWidth;
    show(root.dataset.theme);
  });
  root.dataset.theme = wanted();
  // After the scripts of the page have said what they draw.
  addEventListener("DOMContentLoaded", () => show(root.dataset.theme));

  // Whether a head, "standard L3H7", is what was searched: each word a layer, a head or both, "L3",
  // "h7", "L3H7", numbers whole, or a part of the model's name.
  function finds(search, name) {
    const index = name.match(/L\d+H\d+$/)[0].toLowerCase();
    const matches = (word) => {
      const [whole, layer, head] = word.match(/^(l\d+)?(h\d+)?$/) ?? [];
      if (whole === undefined) return name.toLowerCase().includes(word) || index.startsWith(word);
      return index === `${layer ?? index.match(/l\d+/)}${head ?? index.match(/h\d+/)}`;
    };
    return search.trim().toLowerCase().split(/\s+/).filter(Boolean).every(matches);
  }

  return { read, embed, make, finds, isDark, views, draw, onDraw: (drawer) => drawers.push(drawer) };
})();
