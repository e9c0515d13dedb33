"use strict";
// Sorting by column, and opening what a link leads to. Without it the page shows all the same.

const sortKey = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.key ?? cell.textContent;
};

const compare = (a, b) => {
  if (a === "" || b === "") return a === b ? 0 : null;
  const numbers = [Number(a), Number(b)];
  if (numbers.every((value) => !Number.isNaN(value))) return numbers[0] - numbers[1];
  return a < b ? -1 : a > b ? 1 : 0;
};

const sortBy = (table, column) => {
  const heads = [...table.tHead.rows[0].cells];
  const head = heads[column];
  const numeric = head.classList.contains("number");
  // Figures start with the largest, names with the first.
  const first = numeric ? "descending" : "ascending";
  const second = numeric ? "ascending" : "descending";
  const order = head.getAttribute("aria-sort") === first ? second : first;
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows].sort((x, y) => {
    const [a, b] = [sortKey(x, column), sortKey(y, column)];
    const difference = compare(a, b);
    return difference === null ? (a === "" ? 1 : -1) : sign * difference;
  });
  table.tBodies[0].append(...rows);
};

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    head.append(button);
  });
}

const openTarget = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) {
    if (part.localName === "details") part.open = true;
  }
  target.scrollIntoView();
  const summary = target.querySelector(":scope > summary");
  if (summary) summary.focus({ preventScroll: true });
};

addEventListener("hashchange", openTarget);
openTarget();
