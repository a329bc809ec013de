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
