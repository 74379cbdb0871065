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

function button(text, label, onClick) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

// A table's rows, of which one page is shown at a time: as many as the page came with.
class Rows {
  constructor(table) {
    this.table = table;
    this.body = table.tBodies[0];
    this.perPage = this.body.rows.length;
    this.rows = Array.from(this.body.rows);
    const rest = table.querySelector("template");
    if (rest) this.rows.push(...rest.content.children);
    this.first = 0;
    if (rest) this.addPager();
    for (const each of table.querySelectorAll("th button")) {
      each.addEventListener("click", () => this.sortBy(each.closest("th")));
    }
  }

  addPager() {
    this.said = document.createElement("span");
    this.said.setAttribute("aria-live", "polite");
    this.back = button("‹", "Rows before", () => this.show(this.first - this.perPage));
    this.on = button("›", "Rows behind", () => this.show(this.first + this.perPage));
    const pager = document.createElement("div");
    pager.className = "pager";
    pager.append(this.back, this.said, this.on);
    this.table.closest("figure").append(pager);
    this.show(0);
  }

  show(first) {
    this.first = first;
    const end = Math.min(first + this.perPage, this.rows.length);
    this.body.replaceChildren(...this.rows.slice(first, end));
    if (!this.said) return;
    this.said.textContent = `rows ${first + 1} to ${end} of ${this.rows.length}`;
    this.back.disabled = first === 0;
    this.on.disabled = end === this.rows.length;
  }

  sortBy(heading) {
    const column = heading.cellIndex;
    const rises = heading.getAttribute("aria-sort") !== "ascending";
    this.rows.sort((a, b) => compare(keyOf(a, column), keyOf(b, column), rises ? 1 : -1));
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rises ? "ascending" : "descending");
    this.show(0);
  }
}

for (const table of document.querySelectorAll("table.sortable")) new Rows(table);

const sections = Array.from(document.querySelectorAll("main > section"));
const foldOf = (section) => section.querySelector("details");

// What a link leads to is open.
function openTarget() {
  const target = sections.find((section) => `#${section.id}` === location.hash);
  if (!target) return;
  foldOf(target).open = true;
  target.scrollIntoView();
}

// The entry of the contents whose section is at the top of the window.
function markCurrent() {
  const passed = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
  const current = passed.at(-1) ?? sections[0];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${current.id}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

const folds = button("Fold all", "Fold or unfold all sections", () => {
  const open = !sections.some((section) => foldOf(section).open);
  for (const section of sections) foldOf(section).open = open;
});
document.querySelector("nav").prepend(folds);
document.addEventListener("toggle", () => {
  folds.textContent = sections.some((section) => foldOf(section).open) ? "Fold all" : "Unfold all";
}, true);

// On paper nothing is folded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = sections.filter((section) => !foldOf(section).open);
  for (const section of folded) foldOf(section).open = true;
});
addEventListener("afterprint", () => folded.forEach((section) => { foldOf(section).open = false; }));

addEventListener("hashchange", openTarget);
addEventListener("scroll", markCurrent, { passive: true });
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", () => { if (link.hash === location.hash) openTarget(); });
}
openTarget();
markCurrent();
