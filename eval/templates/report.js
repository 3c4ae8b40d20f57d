"use strict";
// Sorting and filtering of the table of all queries. Without it the page is complete, and sorted worst first.
{
  const table = document.getElementById("all");
  const heads = [...table.tHead.rows[0].cells];
  const field = document.getElementById("filter");
  const count = document.getElementById("count");
  // Read once: afterwards rows are only moved, which stays fast with thousands of them.
  let rows = [...table.tBodies[0].rows].map((element) => {
    const texts = [...element.cells].map((cell) => cell.textContent);
    return { element, texts, find: (texts[0] + " " + texts[1]).toLowerCase() };
  });

  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = rows.filter((row) => words.every((word) => row.find.includes(word)));
    table.tBodies[0].replaceChildren(...shown.map((row) => row.element));
    count.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  };

  const order = new Intl.Collator(undefined, { numeric: true });
  const sort = (column) => {
    const head = heads[column];
    const numeric = head.classList.contains("n");
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const number = (row) => Number.parseFloat(row.texts[column]);
    rows.sort((a, b) => {
      if (!numeric) return direction * order.compare(a.texts[column], b.texts[column]);
      const [x, y] = [number(a), number(b)];
      // What has no number comes last either way.
      return Number.isNaN(x) - Number.isNaN(y) || direction * (x - y) || 0;
    });
    show();
  };

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
  field.addEventListener("input", show);
  field.closest("[hidden]").hidden = false;
  show();

  // A link into a folded query unfolds it; paper cannot be unfolded, so printing unfolds everything.
  const cases = [...document.querySelectorAll("details")];
  const follow = () => {
    const target = cases.find((one) => "#" + one.id === location.hash);
    if (target) target.open = true;
  };
  addEventListener("hashchange", follow);
  follow();
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = cases.filter((one) => !one.open);
    folded.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => folded.forEach((one) => (one.open = false)));
}
