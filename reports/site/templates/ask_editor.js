// The editor: completes relations, and columns of those that the question names.
const askEditor = ((editor, list, relations) => {
  const MOST = 8;
  const WORDS = ["select", "from", "where", "group by", "order by", "having", "limit", "qualify", "inner join",
    "left join", "count(*)", "filter", "partition by", "describe", "summarize"];
  let found = [];
  let chosen = -1;

  // The word that ends at the caret, and the relation before its dot.
  function word() {
    const before = editor.value.slice(0, editor.selectionStart);
    const [, owner, start] = before.match(/(?:(\w+)\.)?(\w*)$/);
    return { owner: owner?.toLowerCase(), start: start.toLowerCase() };
  }

  function candidates() {
    const { owner, start } = word();
    if (!owner && start.length < 2) return [];
    const words = new Set(editor.value.toLowerCase().match(/\w+/g) ?? []);
    const own = relations.filter(({ name }) => (owner ? name === owner : words.has(name)));
    const columns = own.flatMap(({ name, columns }) => columns.map((column) => [column, `of ${name}`]));
    const names = relations.map(({ name, absent }) => [name, absent ? "not in this page" : "relation"]);
    const all = owner ? columns : [...columns, ...names, ...WORDS.map((keyword) => [keyword, ""])];
    const matching = all.filter(([text]) => text.startsWith(start) && text !== start);
    return [...new Map(matching.reverse()).entries()].reverse().slice(0, MOST);
  }

  function choose(at) {
    chosen = at;
    [...list.children].forEach((item, index) => { item.ariaSelected = String(index === at); });
    if (at < 0) editor.removeAttribute("aria-activedescendant");
    else editor.setAttribute("aria-activedescendant", list.children[at].id);
  }

  function close() {
    [found, list.hidden] = [[], true];
    list.replaceChildren();
    choose(-1);
  }

  function open() {
    found = candidates();
    if (!found.length) return close();
    list.replaceChildren(...found.map(([text, note], at) => {
      const item = Object.assign(document.createElement("li"), { id: `ask-completion-${at}`, role: "option" });
      const [name, of] = [document.createElement("code"), document.createElement("span")];
      [name.textContent, of.textContent] = [text, note];
      item.append(name, of);
      // Before the editor loses the focus.
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        take(at);
      });
      return item;
    }));
    list.hidden = false;
    choose(-1);
  }

  function take(at) {
    const { start } = word();
    const end = editor.selectionStart;
    editor.setRangeText(found[at][0], end - start.length, end, "end");
    close();
    editor.focus();
  }

  editor.addEventListener("input", open);
  editor.addEventListener("blur", close);
  editor.addEventListener("keydown", (event) => {
    if (list.hidden || event.ctrlKey || event.metaKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) choose((chosen + step + found.length + (chosen < 0 && step < 0)) % found.length);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && chosen >= 0) take(chosen);
    else return;
    event.preventDefault();
  });
  return { close };
})(document.getElementById("ask-sql"), document.getElementById("ask-completions"), askEngine.relations);
