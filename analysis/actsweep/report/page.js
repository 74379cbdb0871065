"use strict";

function keyOf(row, column) {
  const cell = row.cells[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
}

// Numbers before words, what is not there last in both directions.
function compare(a, b, direction) {
  const missing = (key) => (typeof key === "number" && Number.isNaN(key) ? 1 : 0);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return direction * a.localeCompare(b);
}

function sortBy(heading) {
  const table = heading.closest("table");
  const column = heading.cellIndex;
  const rises = heading.getAttribute("aria-sort") !== "ascending";
  const rows = Array.from(table.tBodies[0].rows);
  rows.sort((a, b) => compare(keyOf(a, column), keyOf(b, column), rises ? 1 : -1));
  table.tBodies[0].append(...rows);
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", rises ? "ascending" : "descending");
}

for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
