// Tables: a click on the head of a column sorts by it: ascending, descending, as it was.

// Return what a cell says, without its small print, such as an interval.
const shownIn = (cell) =>
  [...cell.childNodes]
    .filter((node) => node.nodeName !== "SMALL")
    .map((node) => node.textContent)
    .join("")
    .trim();

// Return the number that a text begins with, or NaN: "1,234", "−0.5 %", "3.1e-5".
const numberOf = (text) => {
  if (text === "infinite") return Infinity;
  const plain = text.replace("\u2212", "-").replaceAll(",", "");
  return Number(plain.match(/^[-+]?\d*\.?\d+(e[-+]?\d+)?(?=$|\s|%)/i)?.[0] ?? NaN);
};

// Return rows in the order of a column. Cells without a value come last, both ways.
const sorted = (rows, column, order) => {
  const texts = new Map(rows.map((row) => [row, shownIn(row.cells[column])]));
  const isMissing = (text) => ["", "–", "not a number"].includes(text);
  const isNumeric = [...texts.values()].every((t) => isMissing(t) || !isNaN(numberOf(t)));
  const sign = order === "ascending" ? 1 : -1;
  return [...rows].sort((a, b) => {
    const [one, other] = [texts.get(a), texts.get(b)];
    if (isMissing(one) || isMissing(other)) return isMissing(one) - isMissing(other);
    if (!isNumeric) return sign * one.localeCompare(other, "en", { numeric: true });
    return sign * (numberOf(one) - numberOf(other));
  });
};

for (const head of document.querySelectorAll("thead th[scope=col]")) {
  const table = head.closest("table");
  const rows = [...table.tBodies[0].rows];
  if (!head.textContent.trim() || rows.length < 2) continue;
  const onclick = () => {
    const order = { null: "ascending", ascending: "descending", descending: null }[head.ariaSort];
    for (const other of table.querySelectorAll("[aria-sort]")) other.ariaSort = null;
    head.ariaSort = order;
    table.tBodies[0].append(...(order ? sorted(rows, head.cellIndex, order) : rows));
  };
  head.append(made("button", { type: "button", onclick }, ...head.childNodes));
}
