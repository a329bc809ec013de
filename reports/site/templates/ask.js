// The page Ask: a question out of the editor or the address, its result as a table and a chart.
(() => {
  const MOST_SHOWN = 1000;
  const element = (id) => document.getElementById(id);
  const [form, editor, status, failure] = ["ask-form", "ask-sql", "ask-status", "ask-error"].map(element);
  const [section, table, controls] = ["ask-result", "ask-table", "ask-chart-controls"].map(element);
  const [run, stop] = [element("ask-run"), element("ask-stop")];
  const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  let result = null;
  let chart = null;
  let asked = 0;

  function busy(isBusy) {
    run.disabled = isBusy;
    stop.disabled = !isBusy;
    form.ariaBusy = String(isBusy);
  }

  async function ask() {
    if (run.disabled) return;
    const sql = editor.value.trim();
    if (!sql) return;
    const mine = ++asked;
    busy(true);
    failure.hidden = true;
    failure.textContent = "";
    document.documentElement.dataset.ask = "asking";
    try {
      const found = await askEngine.ask(sql, (words) => { status.textContent = words; });
      result = found;
      showAnswer();
    } catch (error) {
      result = null;
      section.hidden = true;
      const isStopped = error.message === askEngine.STOPPED;
      status.textContent = isStopped ? "Stopped." : "The question was not answered:";
      failure.textContent = isStopped ? "" : error.message;
      failure.hidden = isStopped;
    }
    if (mine === asked) busy(false);
    if (result) await drawChart();
    document.documentElement.dataset.ask = "answered";
  }

  function showAnswer() {
    const { columns, rows, isCut, seconds } = result;
    const cut = isCut ? "the first " : "";
    status.textContent = `${cut}${counted(rows.length, "row")} in ${seconds.toFixed(seconds < 1 ? 3 : 1)} s`;
    section.hidden = false;
    showRows(rows);
    const options = () => [new Option("–", ""), ...columns.map(({ name }, at) => new Option(name, at))];
    for (const name of ["x", "y", "colour"]) controls.elements[name].replaceChildren(...options());
    chooseChart();
  }

  function chooseChart() {
    chart = fromAddress() ?? askChart.automatic(result);
    for (const name of ["mark", "x", "y", "colour"]) controls.elements[name].value = chart[name] ?? "";
  }

  const make = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  function showRows(rows, sorted = null) {
    const headings = result.columns.map(({ name, kind }, at) => {
      const heading = make("th", { scope: "col", className: kind === "number" ? "count" : "" });
      const sign = sorted?.at === at ? sorted.sign : 0;
      if (sign) heading.ariaSort = sign > 0 ? "ascending" : "descending";
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => sort(at, sign > 0 ? -1 : 1));
      heading.append(button);
      return heading;
    });
    table.tHead.replaceChildren(make("tr", {}, ...headings));
    table.tBodies[0].replaceChildren(...rows.slice(0, MOST_SHOWN).map((row) => make("tr", {}, ...row.map((value, at) => {
      const isNumber = typeof value === "number";
      const shown = askValues.shown(value);
      const content = isNumber ? make("data", { value }, shown) : shown;
      if (isNumber && shown !== String(value)) content.title = value;
      return make("td", { className: isNumber ? "count" : value === null ? "none" : "" , ...(result.columns[at].kind === "number" ? { className: value === null ? "count none" : "count" } : {}) }, content);
    }))));
    element("ask-shown").textContent = rows.length > MOST_SHOWN
      ? `The table shows ${MOST_SHOWN.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows; sorting and saving take all of them.`
      : "";
  }

  function sort(at, sign) {
    showRows([...result.rows].sort((a, b) => askValues.compared(a[at], b[at], sign)), { at, sign });
    table.tHead.rows[0].cells[at].querySelector("button").focus();
  }

  // Chosen by the reader, as in bar,0,1, for mark, across, up and colour; null: chosen by the page.
  function fromAddress() {
    const [mark, ...places] = (address.get("chart") ?? "").split(",");
    const [x, y, colour] = places.map((place) => (place === "" ? null : Number(place)));
    const isThere = (at) => at === null || at in result.columns;
    if (!mark || ![x, y, colour].every((at) => at !== undefined && isThere(at))) return null;
    return [...controls.elements.mark.options].some(({ value }) => value === mark) ? { mark, x, y, colour } : null;
  }

  async function drawChart() {
    const [target, note] = [element("ask-chart"), element("ask-chart-note")];
    const isDrawn = chart.mark !== "none" && chart.x !== null && chart.y !== null;
    element("ask-figure").hidden = !isDrawn;
    note.textContent = isDrawn
      ? askChart.note(result, chart)
      : chart.mark === "none" ? "" : "A chart needs a column across and one up.";
    if (!isDrawn) return;
    try {
      element("ask-caption").textContent = askChart.caption(result, chart);
      await headswap.embed(target, askChart.spec(result, chart), "svg");
    } catch (error) {
      element("ask-figure").hidden = true;
      note.textContent = `These columns make no chart: ${error.message}`;
    }
  }

  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("change", () => {
    const value = (name) => controls.elements[name].value;
    address.set({ chart: ["mark", "x", "y", "colour"].map(value).join(",") }, { replace: true });
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    askEditor.close();
    const sql = editor.value.trim();
    if (sql === address.get("sql")) ask();
    else address.set({ sql, chart: null });
  });
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  stop.addEventListener("click", () => askEngine.stop());
  for (const button of document.querySelectorAll("#ask-examples button")) {
    button.addEventListener("click", () => {
      editor.value = button.dataset.sql;
      editor.focus();
    });
  }
  element("ask-csv").addEventListener("click", () => {
    const file = new Blob([askValues.csv(result)], { type: "text/csv" });
    const link = make("a", { href: URL.createObjectURL(file), download: "result.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });

  // A question that the address carries, from a link or a reload, or by Back.
  function follow() {
    const sql = address.get("sql");
    if (sql === null) return;
    editor.value = sql;
    if (run.disabled) askEngine.stop();
    setTimeout(ask);
  }
  address.on(["sql", "chart"], (changed) => {
    if (changed.has("sql")) {
      // A link to another question chooses no chart.
      if (!changed.has("chart")) address.set({ chart: null }, { replace: true });
      return follow();
    }
    if (!result) return;
    chooseChart();
    drawChart();
  });
  addEventListener("DOMContentLoaded", follow);
  // A chart drawn in the colours of the other theme is drawn again.
  headswap.onDraw(async () => {
    if (result) await drawChart();
  });
})();
