"use strict";
// Tables sort by the buttons in their heads and show the rows that are asked for. Without this they are complete, in the
// order they were written. A cell's value is its text, or data-v where the text has a unit.
const tables = new Map();

const sortable = (table) => {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
  const field = tools?.querySelector("input");
  const selects = tools ? [...tools.querySelectorAll("select")] : [];
  const count = tools?.querySelector("output");
  const order = new Intl.Collator(undefined, { numeric: true });
  const text = (cell) => cell.dataset.v ?? cell.textContent;
  const number = (cell) => Number.parseFloat(text(cell).replace(/^[\s<>]+/, "").replace("−", "-").replaceAll(",", ""));
  // What is searched: words, not figures.
  const named = heads.flatMap((head, column) => (head.classList.contains("n") ? [] : column));
  const words = (row) => named.map((column) => row.cells[column].textContent.toLowerCase()).join(" ");
  // Read once: afterwards rows are only moved, which stays fast with thousands of them.
  const rows = [...body.rows].map((element) => ({ element, find: field ? words(element) : "" }));
  let shown = rows;

  const show = () => {
    const wanted = field ? field.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
    const chosen = selects.filter((select) => select.value);
    shown = rows.filter(
      ({ element, find }) =>
        wanted.every((word) => find.includes(word)) &&
        chosen.every((select) => (element.dataset[select.name] ?? "").split(" ").includes(select.value)),
    );
    body.replaceChildren(...shown.map((row) => row.element));
    tell();
  };
  const tell = () => {
    if (count) count.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  };

  const sort = (column, direction) => {
    const numeric = heads[column].classList.contains("n");
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const keys = new Map(
      rows.map(({ element }) => [element, (numeric ? number : text)(element.cells[column])]),
    );
    rows.sort((first, second) => {
      const [a, b] = [keys.get(first.element), keys.get(second.element)];
      if (!numeric) return direction * order.compare(a, b);
      // What has no number comes last either way.
      return Number.isNaN(a) - Number.isNaN(b) || direction * (a - b) || 0;
    });
    show();
  };

  heads.forEach((head, column) => {
    if (!head.textContent.trim() || head.classList.contains("fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") === "ascending" ? -1 : 1));
  });
  if (tools) {
    tools.hidden = false;
    field.addEventListener("input", show);
    selects.forEach((select) => select.addEventListener("change", show));
    tell();
  }
  return {
    show,
    all: () => rows.map((row) => row.element),
    rows: () => shown.map((row) => row.element),
    // After the cells were written anew.
    refresh: () => {
      const column = heads.findIndex((head) => head.hasAttribute("aria-sort"));
      if (column < 0) show();
      else sort(column, heads[column].getAttribute("aria-sort") === "ascending" ? 1 : -1);
    },
  };
};

for (const table of document.querySelectorAll("table.sortable")) tables.set(table.id || table, sortable(table));

// A link into something folded unfolds it; paper cannot be unfolded, so printing unfolds all cases.
{
  const follow = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", follow);
  follow();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details.case:not([open])")];
    folded.forEach((details) => (details.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((details) => (details.open = false)));
}
