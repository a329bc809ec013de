// Patterns as small pictures, in the colours of the large ones.
const pictures = (() => {
  // From a chart of nothing with the same scale.
  const palettes = {};
  async function palette() {
    const theme = document.documentElement.dataset.theme;
    if (palettes[theme]) return palettes[theme];
    const scale = { scheme: "yellowgreenblue", type: "sqrt", domain: [0, 1] };
    const color = { field: "weight", type: "quantitative", scale };
    const spec = { data: { values: [] }, mark: "rect", encoding: { color } };
    const view = await headswap.embed(document.createElement("div"), spec, "none");
    const colour = view.scale("color");
    const steps = Array.from({ length: 256 }, (_, step) => colour(step / 255).match(/\d+/g));
    return (palettes[theme] = steps.map((parts) => parts.map(Number)));
  }

  // A pattern's rows as a picture, a pixel a weight; nothing where a row has ended.
  async function draw(rows) {
    const [n, colours] = [rows.length, await palette()];
    const canvas = headswap.make("canvas", { width: n, height: n });
    canvas.setAttribute("aria-hidden", "true");
    const context = canvas.getContext("2d");
    const image = context.createImageData(n, n);
    rows.forEach((row, query) => row.forEach((weight, key) => {
      const colour = colours[Math.round(Math.min(weight, 1) * 255)];
      image.data.set([...colour, 255], (query * n + key) * 4);
    }));
    context.putImageData(image, 0, 0);
    return canvas;
  }

  return { draw };
})();
