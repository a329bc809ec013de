// All heads of all models, their scores, and their attention on the prompts that the page holds.
const atlas = (() => {
  const { models, prompts, patterns, ...rest } = headswap.read("atlas");
  const weights = (model, tokens) => (model.causal ? (tokens * (tokens + 1)) / 2 : tokens * tokens);

  // Where the weights of each model begin, and those of each prompt among those of a head.
  let begin = 0;
  for (const model of models) {
    model.begin = begin;
    model.starts = [];
    let start = 0;
    for (const prompt of prompts) {
      model.starts.push(start);
      start += weights(model, prompt.tokens[model.tokenizer].length);
    }
    model.stride = start;
    begin += start * model.heads.length;
  }

  // Stored as all low bytes, then all high ones, deflated and in base 64.
  const units = (async () => {
    const packed = Uint8Array.from(atob(patterns), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const n = planes.length / 2;
    return Uint16Array.from({ length: n }, (_, at) => planes[at] + 256 * planes[n + at]);
  })();

  // A head's weights on a prompt, query by query; a causal row ends at its query.
  async function pattern(m, head, p) {
    const [model, all] = [models[m], await units];
    const n = prompts[p].tokens[model.tokenizer].length;
    let at = model.begin + head * model.stride + model.starts[p];
    return Array.from({ length: n }, (_, query) => {
      const length = model.causal ? query + 1 : n;
      const row = Array.from(all.subarray(at, at + length), (unit) => unit * rest.unit);
      at += length;
      return row;
    });
  }

  const tokens = (m, p) => prompts[p].tokens[models[m].tokenizer];
  const name = (m, head) => `${models[m].name} ${models[m].heads[head]}`;
  // "standard:L3H0", as the address names a head, and its numbers; null where there is none.
  const place = (m, head) => `${models[m].name}:${models[m].heads[head]}`;
  function find(named) {
    const at = named.lastIndexOf(":");
    const m = models.findIndex((model) => model.name === named.slice(0, at));
    const head = models[m]?.heads.indexOf(named.slice(at + 1)) ?? -1;
    return head < 0 ? null : [m, head];
  }
  const link = (m, head, text = name(m, head)) => {
    const href = address.link("head", { head: place(m, head), prompt: address.get("prompt") });
    return headswap.make("a", { href }, text);
  };
  // The number of the prompt that the address names, the first where it names none that is here.
  const prompt = () =>
    Math.max(0, prompts.findIndex(({ id }) => String(id) === address.get("prompt")));

  // The colours of the patterns elsewhere, from a chart of nothing with the same scale.
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

  // A head's pattern on a prompt as a small picture, a pixel a weight.
  async function picture(m, head, p) {
    const [rows, colours] = [await pattern(m, head, p), await palette()];
    const n = rows.length;
    const canvas = headswap.make("canvas", { width: n, height: n });
    canvas.setAttribute("aria-hidden", "true");
    const context = canvas.getContext("2d");
    const image = context.createImageData(n, n);
    rows.forEach((row, query) => {
      for (let key = 0; key < n; key++) {
        const colour = colours[Math.round(Math.min(row[key] ?? 0, 1) * 255)];
        image.data.set([...colour, key < row.length ? 255 : 0], (query * n + key) * 4);
      }
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  return { models, prompts, ...rest, pattern, tokens, name, place, find, link, prompt, picture };
})();
