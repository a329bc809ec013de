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

  const picture = async (m, head, p) => pictures.draw(await pattern(m, head, p));

  return { models, prompts, ...rest, pattern, tokens, name, place, find, link, prompt, picture };
})();
