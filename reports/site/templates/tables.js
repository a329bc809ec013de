// Tables whose headings sort them, up and down.
for (const table of document.querySelectorAll("table.sortable")) {
  const [body, headings] = [table.tBodies[0], [...table.tHead.rows[0].cells]];
  const key = (row, column) => {
    const cell = row.cells[column];
    const data = cell.querySelector("data");
    const text = (data?.value ?? cell.textContent).trim();
    // L10H2 comes after L9H7.
    const head = text.match(/^L(\d+)H(\d+)/);
    if (head) return Number(head[1]) * 1e4 + Number(head[2]);
    return text === "" || isNaN(text) ? text : Number(text);
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const sign = heading.ariaSort === "ascending" ? -1 : 1;
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.ariaSort = sign > 0 ? "ascending" : "descending";
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      const order = ([a], [b]) => {
        // What has no number stands last, either way.
        if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
        return sign * (a < b ? -1 : a > b ? 1 : 0);
      };
      body.append(...rows.sort(order).map(([, row]) => row));
    });
  });
}

// A table that is wider than its place shows each row as a list of its cells with their headings:
// nothing of it is cut in a narrow window.
const tables = (() => {
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

  // The heading of each cell, by the column in which it stands: cells may span rows above it.
  function name(table) {
    const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    for (const body of table.tBodies) {
      const spans = new Map(); // columns that a cell above goes on to fill, and for how many rows
      for (const row of body.rows) {
        let column = 0;
        for (const cell of row.cells) {
          while (spans.get(column) > 0) spans.set(column, spans.get(column++) - 1);
          cell.dataset.heading = cell.colSpan > 1 ? "" : headings[column];
          for (let at = 0; at < cell.colSpan; at++) spans.set(column++, cell.rowSpan - 1);
        }
        while (spans.get(column) > 0) spans.set(column, spans.get(column++) - 1);
      }
    }
  }

  function fit(table) {
    const place = table.parentElement;
    table.classList.remove("stacked");
    const isWide = place.clientWidth > 0 && table.scrollWidth > place.clientWidth;
    for (const part of table.querySelectorAll("*")) {
      const role = roles[part.tagName] ?? (part.tagName === "TH" && headingRole(part));
      if (role && isWide) part.role = role;
      else if (role) part.removeAttribute("role");
    }
    if (isWide) table.role = "table";
    else table.removeAttribute("role");
    if (!isWide) return;
    name(table);
    table.classList.add("stacked");
  }
  const headingRole = (cell) => (cell.closest("thead") ? "columnheader" : "rowheader");

  const fitAll = () => document.querySelectorAll(".scroll > table").forEach(fit);
  headswap.onDraw(fitAll);
  return { fitAll };
})();
