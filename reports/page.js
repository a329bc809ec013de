// Draws every chart of the page, one after another, and says on the root element when all stand.
(async () => {
  const options = {
    // Expressions are interpreted: the page's policy forbids to compile text into code.
    ast: true,
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: "headswap",
  };
  for (const chart of document.querySelectorAll("[data-spec]")) {
    const spec = JSON.parse(document.getElementById(chart.dataset.spec).textContent);
    const renderer = chart.dataset.renderer;
    await vegaEmbed(chart, spec, { ...options, renderer, downloadFileName: spec.name });
  }
  document.documentElement.dataset.charts = "drawn";
})();
