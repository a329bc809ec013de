// Questions of the page Ask where a program serves it: that program answers them.
const askEngine = (() => {
  const { relations } = headswap.read("ask_relations");
  const STOPPED = "stopped";
  let stopping = null;

  // Whole numbers that JavaScript cannot hold, and what is no finite number, come as text.
  const finite = (value, kind) => (kind === "number" && /^(NaN|-?Infinity)$/.test(value) ? Number(value) : value);

  // The result of a question. tell: gets a word on what goes on.
  async function ask(sql, tell) {
    tell("Asking …");
    stopping = new AbortController();
    const { signal } = stopping;
    try {
      const response = await fetch("query", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ sql }),
        signal,
      });
      const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
      if (!isJson) throw new Error(await response.text());
      const found = await response.json();
      if (!response.ok) throw new Error([found.error, found.hint && `Hint: ${found.hint}`].filter(Boolean).join("\n"));
      const { columns, rows, is_cut: isCut, seconds } = found;
      return { columns, rows: rows.map((row) => row.map((value, at) => finite(value, columns[at].kind))), isCut, seconds };
    } catch (error) {
      if (signal.aborted) throw new Error(STOPPED);
      throw error instanceof TypeError ? new Error("The program that serves this page does not answer. Start headswap serve again.") : error;
    }
  }

  // That program ends the question of whoever no longer waits for its answer.
  const stop = () => stopping?.abort();

  return { ask, stop, STOPPED, relations };
})();
