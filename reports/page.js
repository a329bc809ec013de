// Draws every chart of the page, one after another, in the theme that the reader's system has or
// the button chooses, and says on the root element when all stand.
(async () => {
  const options = {
    // Expressions are interpreted: the page's policy forbids to compile text into code.
    ast: true,
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  const root = document.documentElement;
  const palettes = JSON.parse(document.getElementById("palettes").textContent);
  const dark = new Map(
    Object.entries(palettes.light).map(([role, colour]) => [colour, palettes.dark[role]]),
  );
  // Where a specification holds the reader's texts, which are no colours whatever they look like.
  const TEXTS = new Set(["data", "datasets", "params", "name", "description", "field", "domain"]);

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

  async function draw() {
    delete root.dataset.charts;
    const theme = root.dataset.theme;
    for (const chart of document.querySelectorAll("[data-spec]")) {
      const spec = JSON.parse(document.getElementById(chart.dataset.spec).textContent);
      const shown = theme === "dark" ? darkened(spec) : spec;
      const renderer = chart.dataset.renderer;
      await vegaEmbed(chart, shown, { ...options, renderer, downloadFileName: spec.name });
      if (root.dataset.theme !== theme) return; // another drawing has begun
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
  button.addEventListener("click", () => show(root.dataset.theme === "dark" ? "light" : "dark"));
  system.addEventListener("change", () => show(system.matches ? "dark" : "light"));
  await show(system.matches ? "dark" : "light");
})();
