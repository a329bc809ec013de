// On every page: the theme that the reader's system has or the button chooses, and the charts in it,
// one after another; `data-charts` on the root element says when all stand.
const headswap = (() => {
  const options = {
    // Expressions are interpreted: the page's policy forbids to compile text into code.
    ast: true,
    actions: { export: true, source: false, compiled: false, editor: false },
  };
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

  // Draws a specification into an element, and gives its view.
  async function embed(element, spec, renderer) {
    const shown = isDark() ? darkened(spec) : spec;
    const settings = { ...options, renderer, downloadFileName: spec.name };
    const { view } = await vegaEmbed(element, shown, settings);
    element.querySelector("summary")?.setAttribute("aria-label", `Save ${spec.name} as a picture`);
    views.set(element.id, view);
    return view;
  }

  async function draw() {
    delete root.dataset.charts;
    const theme = root.dataset.theme;
    for (const chart of document.querySelectorAll("[data-spec]")) {
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

  async function show(theme) {
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.title = `Show this page in ${button.textContent.toLowerCase()} colours`;
    await draw();
  }

  button.hidden = false;
  button.addEventListener("click", () => show(isDark() ? "light" : "dark"));
  system.addEventListener("change", () => show(system.matches ? "dark" : "light"));
  root.dataset.theme = system.matches ? "dark" : "light";
  // After the scripts of the page have said what they draw.
  addEventListener("DOMContentLoaded", () => show(root.dataset.theme));

  return { read, embed, isDark, views, onDraw: (drawer) => drawers.push(drawer) };
})();
