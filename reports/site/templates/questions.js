// The links to the queries behind what a script shows: they follow what the reader chooses. A site
// without the page Ask has none of them.
const questions = (() => {
  const literal = (value) =>
    typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);

  // Makes a link one to another query.
  function ask(link, sql) {
    if (link) link.href = address.link("ask", { sql });
  }

  // Makes a link one to the same query about what is chosen now: values for some of its parameters.
  function follow(link, chosen) {
    if (!link) return;
    const values = { ...JSON.parse(link.dataset.values), ...chosen };
    ask(link, link.dataset.sql.replace(/\$(\w+)/g, (_, name) => literal(values[name])));
  }

  // A head, "L3H7", as the columns of relations name it; suffix: "_a" or "_b" where there are two.
  function head(index, suffix = "") {
    const [layer, number] = index.match(/\d+/g).map(Number);
    return { [`layer${suffix}`]: layer, [`head${suffix}`]: number };
  }

  return { literal, ask, follow, head };
})();
