"use strict";
// Heads of tables with buttons sort by their column. Without this the page is complete, in the order it was written.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows];
  const order = new Intl.Collator(undefined, { numeric: true });
  const number = (row, column) => Number.parseFloat(row.cells[column].textContent.replace("−", "-"));
  heads.forEach((head, column) =>
    head.querySelector("button")?.addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const numeric = head.classList.contains("n");
      rows.sort((a, b) =>
        numeric
          ? direction * (number(a, column) - number(b, column)) || 0
          : direction * order.compare(a.cells[column].textContent, b.cells[column].textContent),
      );
      table.tBodies[0].replaceChildren(...rows);
    }),
  );
}
