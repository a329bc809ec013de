// The values of a result: as they are shown, sorted and saved.
const askValues = (() => {
  // What Arrow gives as a value that JSON, a chart and a table can hold.
  function plain(value) {
    if (value === undefined || value === null) return null;
    if (typeof value === "bigint") {
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    }
    if (value instanceof Date) return value.toISOString().replace("T", " ").replace(/\.000Z$|Z$/, "");
    if (value instanceof Uint8Array) return [...value].map((byte) => `\\x${byte.toString(16)}`).join("");
    if (typeof value !== "object") return value;
    if (typeof value[Symbol.iterator] !== "function" || Array.isArray(value)) return nested(value);
    const items = [...value];
    const isStruct = items.every((item) => Array.isArray(item) && item.length === 2);
    return nested(isStruct && items.length ? Object.fromEntries(items) : items);
  }
  const nested = (value) => (Array.isArray(value)
    ? value.map(plain)
    : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)])));

  // In full, as it is saved; shown with six digits.
  const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));
  function shown(value) {
    if (value === null) return "null";
    const isFraction = typeof value === "number" && Number.isFinite(value) && !Number.isInteger(value);
    return isFraction ? String(Number(value.toPrecision(6))) : text(value);
  }

  // Nulls last, whichever way.
  function compared(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    const [first, second] = [text(a), text(b)];
    return sign * (first < second ? -1 : first > second ? 1 : 0);
  }

  function csv({ columns, rows }) {
    const cell = (value) => {
      const written = value === null ? "" : text(value);
      return /[",\r\n]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written;
    };
    const lines = [columns.map((column) => column.name), ...rows];
    return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
  }

  return { plain, shown, text, compared, csv };
})();
