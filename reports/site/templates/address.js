// What a reader has chosen stands in the page's address, `#score=induction&prompt=3`, and is read
// from there: so Back, reload and a copied address show again what was seen. Anyone who chooses
// something calls `set`; whoever shows it listens with `on` and reads with `get`.
const address = (() => {
  const isSingle = document.documentElement.dataset.form === "single";
  const own = isSingle ? null : document.querySelector(".page").id;
  const listeners = [];

  // An anchor alone, `#claim`, is a place of the page: the key `at`.
  function parsed(hash) {
    const text = hash.replace(/^#/, "");
    return new Map(new URLSearchParams(text && !text.includes("=") ? `at=${text}` : text));
  }
  const written = (values) => {
    const text = new URLSearchParams([...values]).toString();
    return `#${values.size === 1 && values.has("at") ? values.get("at") : text}`;
  };

  let values = parsed(location.hash);

  // Replaces all values and tells those whose keys have changed.
  function take(next) {
    const [before, keys] = [values, new Set([...values.keys(), ...next.keys()])];
    values = next;
    const changed = new Set([...keys].filter((key) => before.get(key) !== next.get(key)));
    for (const [wanted, listener] of listeners) {
      if (wanted.some((key) => changed.has(key))) listener(changed);
    }
  }

  // Sets some values and keeps the others; null removes one. Each step is one that Back undoes,
  // unless it replaces the last: for what follows the hand, like typing.
  function set(some, { replace = false } = {}) {
    const next = new Map(values);
    for (const [key, value] of Object.entries(some)) {
      if (value === null || value === undefined || value === "") next.delete(key);
      else next.set(key, String(value));
    }
    const [now, then] = [written(values), written(next)];
    if (now === then) return;
    history[replace ? "replaceState" : "pushState"](null, "", then);
    take(next);
  }

  const get = (key) => values.get(key) ?? null;
  const on = (keys, listener) => listeners.push([keys, listener]);

  // The address of a page of this site with some values.
  function link(page, some = {}) {
    const kept = Object.entries(some).filter(([, value]) => value !== null && value !== undefined);
    const query = new Map(kept.map(([key, value]) => [key, String(value)]));
    if (isSingle) query.set("at", page);
    const file = isSingle || page === own ? "" : `${page}.html`;
    return `${file}${query.size || !file ? written(query) : ""}`;
  }

  // Goes there as a click on such a link does.
  function go(page, some) {
    const element = Object.assign(document.createElement("a"), { href: link(page, some) });
    document.body.append(element);
    element.click();
    element.remove();
  }

  // Ties a control to a key. What the control shows when the page is written is the default, which
  // the address leaves out. A value that the control does not have is said, and not taken.
  function bind(key, control) {
    const isChoice = control instanceof HTMLSelectElement;
    const initial = control.value;
    control.autocomplete = "off"; // else the browser fills in what the address does not say
    const fill = () => {
      const wanted = get(key) ?? initial;
      const isKnown = !isChoice || [...control.options].some((option) => option.value === wanted);
      control.value = isKnown ? wanted : initial;
      warn(key, isKnown ? null : wanted);
    };
    control.addEventListener(isChoice ? "change" : "input", () => {
      const value = control.value === initial ? null : control.value;
      set({ [key]: value }, { replace: !isChoice });
    });
    on([key], fill);
    fill();
  }

  // Says which value of the address this page does not have; null: it has it.
  const unknown = new Map();
  function warn(key, value) {
    unknown.delete(key);
    if (value !== null) unknown.set(key, value);
    const notice = document.getElementById("notice");
    const named = [...unknown].map(([name, wanted]) => `${name} ${wanted}`);
    notice.hidden = named.length === 0;
    notice.textContent = `The address names what this page does not have: ${named.join(", ")}.`;
  }

  const scrollTo = (at) => at && document.getElementById(at)?.scrollIntoView();

  // A link into this page changes what it names and keeps the rest, in one step.
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("a[href^='#']");
    if (!target || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // The link to the content for those without a mouse moves the focus: the browser's to do.
    if (target.classList.contains("skip")) return;
    event.preventDefault();
    const named = parsed(target.getAttribute("href"));
    set(Object.fromEntries(named));
    scrollTo(named.get("at"));
  });
  // Back, forward, or an address that was typed.
  addEventListener("hashchange", () => {
    const next = parsed(location.hash);
    if (written(next) !== written(values)) take(next);
  });
  // After a reload, and after Back from another page, the browser itself scrolls to what was seen.
  const [{ type }] = performance.getEntriesByType("navigation");
  if (type === "navigate") addEventListener("DOMContentLoaded", () => scrollTo(get("at")));

  return { get, set, on, link, go, bind, warn };
})();
