// A head that is chosen in one chart, or in the table, is the chosen one in all of its section.
for (const section of document.querySelectorAll(".linked")) {
  const charts = [...section.querySelectorAll(".chart")];
  const rows = [...section.querySelectorAll("tr[data-row]")];
  const named = section.querySelector(".chosen");
  let row = Number(section.querySelector("tr.reference").dataset.row);

  const show = async () => {
    for (const tr of rows) {
      const isChosen = Number(tr.dataset.row) === row;
      tr.classList.toggle("is-chosen", isChosen);
      const button = tr.querySelector(".choose");
      button.setAttribute("aria-pressed", isChosen);
      if (isChosen) named.textContent = button.textContent;
    }
    for (const chart of charts) {
      const view = headswap.views.get(chart.id);
      if (view && "chosen_row" in view.getState({ signals: (name) => name === "chosen_row" }).signals) {
        await view.signal("chosen_row", row).runAsync();
      }
    }
    section.dataset.row = row;
  };
  const choose = (chosen) => {
    row = chosen;
    return show();
  };

  headswap.onDraw(async () => {
    for (const chart of charts) {
      const view = headswap.views.get(chart.id);
      const signals = view.getState({ signals: () => true }).signals;
      if (!("chosen" in signals)) continue;
      view.addSignalListener("chosen", (_, value) => {
        if (value?.row?.length) choose(value.row[0]);
      });
    }
    await show();
  });
  for (const tr of rows) {
    tr.querySelector(".choose").addEventListener("click", () => choose(Number(tr.dataset.row)));
  }

  const [filter, search] = [section.querySelector(".filter"), section.querySelector(".search")];
  const count = section.querySelector(".count-shown");
  const narrow = () => {
    const [kinds, text] = [filter.value.split(" ").filter(Boolean), search.value.trim().toUpperCase()];
    let shown = 0;
    for (const tr of rows) {
      const heads = [tr.querySelector(".choose").textContent, tr.cells[2].textContent];
      const has = kinds.every((kind) => tr.dataset.kinds.split(" ").includes(kind));
      tr.hidden = !(has && heads.some((head) => head.startsWith(text)));
      shown += !tr.hidden;
    }
    count.textContent = `${shown} of ${rows.length} heads`;
  };
  filter.addEventListener("input", narrow);
  search.addEventListener("input", narrow);
  narrow();
}
