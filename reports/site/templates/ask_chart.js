// A chart of a result: chosen from the types and names of its columns, and changed by the reader.
const askChart = (() => {
  const MOST_MARKS = 5000;
  // Whole numbers that name a place, and measure nothing.
  const PLACES = /^(layer|head|query|key|bin|position|prompt_id|pair_id|block|step|rank|number|seed|split)(_[ab]|_index)?$/;
  const MOST_BARS = 60;

  const isPlace = ({ name, kind }) => kind === "number" && PLACES.test(name);
  const indices = (columns, test) => columns.flatMap((column, at) => (test(column) ? [at] : []));

  // The mark and the columns by their place; null where nothing is drawn.
  function automatic({ columns, rows }) {
    const places = indices(columns, isPlace);
    const values = indices(columns, (column) => column.kind === "number" && !isPlace(column));
    const texts = indices(columns, (column) => column.kind === "text" || column.kind === "truth");
    const times = indices(columns, (column) => column.kind === "time");
    const none = { mark: "none", x: null, y: null, colour: null };
    if (rows.length < 2 || !values.length) return none;
    const value = values.at(-1);
    const several = (at) => new Set(rows.map((row) => row[at])).size > 1;
    const [across, up] = places.filter(several);
    const group = texts.find((at) => several(at) && new Set(rows.map((row) => row[at])).size <= 12) ?? null;
    if (times.length) return { mark: "line", x: times[0], y: value, colour: group };
    if (up !== undefined && group === null) return { mark: "rect", x: up, y: across, colour: value };
    if (across !== undefined && up === undefined) return { mark: "line", x: across, y: value, colour: group };
    if (values.length > 1 && rows.length > 12) return { mark: "point", x: values.at(-2), y: value, colour: group };
    const label = texts.find(several) ?? across;
    if (label === undefined) return none;
    return { mark: "bar", x: value, y: label, colour: null };
  }

  // Vega writes titles into expressions, for tips and readers of screens: none of these may be there.
  const line = (name) => name.replace(/[\u0000-\u001f\u2028\u2029\\]/g, " ");

  // Columns go by their number, as a name may hold what Vega reads as a path.
  function channel(result, at, mark, side) {
    const { name, kind } = result.columns[at];
    const isName = kind === "text" || kind === "truth";
    const isDiscrete = isName || (mark === "rect" && side !== "colour") || (mark === "bar" && isPlace(result.columns[at]));
    const type = kind === "time" ? "temporal" : isDiscrete ? "ordinal" : "quantitative";
    const made = { field: `c${at}`, type, title: line(name) };
    if (isDiscrete) made.sort = isName ? null : "ascending";
    if (side !== "colour" && type === "quantitative" && mark !== "bar") made.scale = { zero: false };
    if (side === "colour") {
      made.scale = type === "quantitative" ? { scheme: "yellowgreenblue" } : { scheme: "tableau10" };
      made.legend = { orient: "bottom", direction: "horizontal", columns: 3 };
      if (type === "ordinal") made.type = "nominal";
    }
    return made;
  }

  // Bars of one name would be stacked: then each is named by all that names its row.
  function named(result, values, encoding) {
    const name = ["y", "x"].find((side) => encoding[side].type === "ordinal");
    if (!name || new Set(values.map((row) => row[encoding[name].field])).size === values.length) return;
    const places = indices(result.columns, (column) => column.kind !== "number" || isPlace(column));
    values.forEach((row, at) => {
      const words = places.map((place) => askValues.shown(result.rows[at][place]));
      row.name = words.join(" · ");
    });
    Object.assign(encoding[name], { field: "name", title: places.map((at) => line(result.columns[at].name)).join(", ") });
  }

  function spec(result, { mark, x, y, colour }) {
    const drawn = result.rows.slice(0, mark === "bar" ? MOST_BARS : MOST_MARKS);
    const values = drawn.map((row) => Object.fromEntries(row.map((value, at) => [`c${at}`, asDrawn(value)])));
    const encoding = { x: channel(result, x, mark, "x"), y: channel(result, y, mark, "y") };
    if (mark === "bar") named(result, values, encoding);
    if (colour !== null) encoding.color = channel(result, colour, mark, "colour");
    encoding.tooltip = result.columns.map(({ name }, at) => ({ field: `c${at}`, type: "nominal", title: line(name) }));
    const marks = { bar: { type: "bar" }, line: { type: "line", point: true }, point: { type: "point", filled: true }, rect: { type: "rect" } };
    const words = { bar: "Bars", line: "Lines", point: "Points", rect: "Heat map" }[mark];
    const template = headswap.read("ask_chart_template");
    const n = encoding.y.type === "ordinal" ? new Set(values.map((row) => row[encoding.y.field])).size : null;
    return {
      ...template,
      datasets: undefined,
      data: { values },
      mark: { ...marks[mark], ...(colour === null ? { color: headswap.read("palettes").light.reference } : {}) },
      encoding,
      width: "container",
      height: n === null ? 320 : Math.max(18 * n, 40),
      autosize: { type: "fit-x", contains: "padding" },
      description: `${words} of the result: ${line(result.columns[x].name)} across, ${line(result.columns[y].name)} up.`,
    };
  }

  const asDrawn = (value) => (value !== null && typeof value === "object" ? askValues.text(value) : value);

  // What is drawn in what, in words.
  function caption(result, { mark, x, y, colour }) {
    const [across, up, shade] = [x, y, colour].map((at) => (at === null ? "" : result.columns[at].name));
    const [value, by] = mark === "bar" ? [across, up] : mark === "rect" ? [shade, `${up} and ${across}`] : [up, across];
    const groups = shade && mark !== "rect" ? `, for each ${shade}` : "";
    return value ? `${value} by ${by}${groups}` : by;
  }

  function note(result, { mark }) {
    const most = mark === "bar" ? MOST_BARS : MOST_MARKS;
    return mark !== "none" && result.rows.length > most
      ? `The chart shows the first ${most.toLocaleString("en")} of ${result.rows.length.toLocaleString("en")} rows.`
      : "";
  }

  return { automatic, spec, note, caption };
})();
