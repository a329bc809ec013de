// DuckDB, compiled to WebAssembly, in a worker of this page: unpacked and started at the first
// question, ended by a stop, and then started anew.
const askEngine = (() => {
  const MOST_ROWS = 100_000;
  const { schema, relations } = headswap.read("ask_relations");
  const known = new Map(relations.map((relation) => [relation.name, relation]));
  const STOPPED = "stopped";

  async function unpacked(id) {
    const letters = atob(document.getElementById(id).textContent);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  let parts = null;
  const unpack = () => (parts ??= Promise.all(["ask-worker", "ask-wasm", "ask-rows"].map(unpacked)));
  let library = null;

  // Runs in the worker, before the engine: it gets its code from the page and not from an address,
  // which a page that was opened as a file does not have.
  function handOver() {
    const code = new Promise((resolve) => {
      self.addEventListener("message", (event) => {
        event.stopImmediatePropagation();
        resolve(event.data);
      }, { once: true });
    });
    const headers = { "Content-Type": "application/wasm" };
    self.fetch = async () => new Response(await code, { headers });
  }

  // Of each start: its worker; a stop makes the next.
  let turn = 0;
  let worker = null;
  let running = null;
  let cancel = null;

  async function start(tell) {
    const mine = turn;
    tell("Starting DuckDB …");
    const [source, code, rows] = await unpack();
    if (mine !== turn) throw new Error(STOPPED);
    const url = URL.createObjectURL(new Blob([`(${handOver})();\n`, source], { type: "text/javascript" }));
    worker = new Worker(url);
    worker.postMessage(code);
    library ??= duckdbLibrary();
    const db = new library.AsyncDuckDB(new library.VoidLogger(), worker);
    await db.instantiate("https://engine.invalid/duckdb.wasm");
    URL.revokeObjectURL(url);
    await db.open({ query: { castBigIntToDouble: false, castDecimalToDouble: true, castTimestampToDate: true } });
    await db.registerFileBuffer("rows.duckdb", rows.slice());
    const connection = await db.connect();
    const run = (sql) => connection.query(sql);
    await run(`attach 'rows.duckdb' as ${schema} (read_only)`);
    for (const { name, definition, absent } of relations) {
      if (!absent) await run(`create view "${name}" as ${definition}`);
    }
    // What is not here would be asked of the network, which the page's policy forbids.
    for (const name of ["autoinstall_known_extensions", "autoload_known_extensions", "enable_external_access"]) {
      await run(`set ${name} = false`);
    }
    await run("set lock_configuration = true");
    await run("create schema made");
    return { db, run, made: new Set() };
  }

  // Evaluates once what is a table, and all such that it is made of, before a question reads it.
  async function make(engine, name, tell) {
    const relation = known.get(name);
    if (relation.absent || engine.made.has(name)) return;
    engine.made.add(name);
    for (const source of relation.reads) await make(engine, source, tell);
    if (!relation.table) return;
    tell(`Computing ${name} …`);
    await engine.run(`create table made."${name}" as ${relation.definition}`);
    await engine.run(`create or replace view "${name}" as select * from made."${name}"`);
  }

  // DuckDB's message, and why the page lacks the relation that it misses.
  function explained(error) {
    const [, name] = error.message.match(/Table with name (\w+) does not exist/) ?? [];
    const reason = known.get(name)?.absent;
    return reason ? new Error(`${error.message}\n${name} is not in this page: ${reason}.`) : error;
  }

  async function answer(sql, tell) {
    running ??= start(tell).catch((error) => {
      running = null;
      throw error;
    });
    const engine = await running;
    const words = new Set(sql.toLowerCase().match(/\w+/g) ?? []);
    for (const name of known.keys()) {
      if (words.has(name)) await make(engine, name, tell);
    }
    tell("Asking …");
    const began = performance.now();
    const connection = await engine.db.connect();
    try {
      const reader = await connection.send(sql, true);
      await reader.open();
      const rows = [];
      const columns = reader.schema.fields.map(({ name, type }) => ({ name, kind: kind(type) }));
      let isCut = false;
      for await (const batch of reader) {
        const vectors = columns.map((_, at) => batch.getChildAt(at));
        for (let row = 0; row < batch.numRows && rows.length < MOST_ROWS; row++) {
          rows.push(vectors.map((vector, at) => value(vector.get(row), columns[at])));
        }
        isCut = rows.length === MOST_ROWS;
        if (isCut) break;
      }
      const seconds = (performance.now() - began) / 1000;
      return { columns, rows, isCut, seconds };
    } finally {
      await connection.close();
    }
  }

  // By Arrow's numbers of its types.
  const KINDS = { 2: "number", 3: "number", 7: "number", 6: "truth", 8: "time", 10: "time" };
  const kind = (type) => KINDS[type.typeId] ?? "text";
  // Times come as milliseconds.
  const value = (found, column) =>
    askValues.plain(column.kind === "time" && typeof found === "number" ? new Date(found) : found);

  // The result of a question. tell: gets a word on what goes on.
  function ask(sql, tell) {
    const stopped = new Promise((_, reject) => {
      cancel = () => reject(new Error(STOPPED));
    });
    const answered = answer(sql, tell).catch((error) => {
      throw explained(error);
    });
    return Promise.race([answered, stopped]);
  }

  // Ends the question, and with it the engine: it has one thread, which listens to nothing else.
  function stop() {
    turn += 1;
    worker?.terminate();
    [worker, running] = [null, null];
    cancel?.();
  }

  return { ask, stop, STOPPED, relations };
})();
