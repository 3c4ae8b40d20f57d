// Any query of the table opens to what was returned stage by stage, and a bar of the histogram chooses its queries.
{
  const table = document.getElementById("all");
  const dialog = document.getElementById("query");
  const content = dialog.querySelector("div");
  const [previous, next] = dialog.querySelectorAll("button.step");
  let current = null;

  const make = (tag, name, ...inside) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside);
    return element;
  };
  const words = (tag, name, text) => {
    const element = make(tag, name, text);
    element.dir = "auto";
    return element;
  };
  // The title of a document, which leads to it where it has an address.
  const titled = (tag, [title, , link]) => {
    if (!link) return words(tag, "", title);
    const anchor = make("a", "", title);
    anchor.href = link;
    anchor.rel = "noreferrer";
    return words(tag, "", anchor);
  };
  const short = (value) => (value === null ? "–" : value.toFixed(3));
  const many = (value) => value.toLocaleString("en");

  const badge = (grade) => {
    if (grade === null) return make("span", "badge", "not judged");
    return grade > 0 ? make("span", "badge good", `grade ${grade}`) : make("span", "badge bad", "not relevant");
  };

  const expected = (data, query) => {
    if (!query.expected.length) return make("p", "about", "Nothing.");
    const head = make("tr", "");
    for (const name of ["Document", "Grade", ...data.stages]) {
      const cell = make("th", name === "Document" ? "" : "n", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = make("tbody", "");
    for (const [document, grade, ranks, fault] of query.expected) {
      const cell = make("th", "", titled("span", data.texts[document]));
      cell.scope = "row";
      if (fault) cell.append(" ", make("span", "badge bad", fault));
      const places = ranks.map((rank) => make("td", "n", rank === null ? "–" : many(rank)));
      body.append(make("tr", "", cell, make("td", "n", String(grade)), ...places));
    }
    const caption = make("caption", "hidden", "Relevant documents and their rank after each stage");
    const ranking = make("table", "", caption, make("thead", "", head), body);
    const box = make("div", "scroll", ranking);
    box.tabIndex = 0;
    box.role = "region";
    box.ariaLabel = "Relevant documents";
    return box;
  };

  const stage = (data, name, question, [candidates, documents, scores, grades]) => {
    const list = make("ol", "");
    documents.forEach((number, at) => {
      const [, passage] = data.texts[number];
      const line = make("p", "document", titled("b", data.texts[number]), " ", badge(grades[at]), " ");
      line.append(make("span", "facts", `score ${scores[at] === null ? "–" : scores[at]}`));
      list.append(make("li", "", line, marked(passage, question, words("p", "passage", ""))));
    });
    const section = make("section", "", make("h3", "", name));
    section.append(make("p", "facts", `${many(candidates)} ${candidates === 1 ? "candidate" : "candidates"}`));
    section.append(documents.length ? list : make("p", "about", "Nothing."));
    if (candidates > documents.length) section.append(make("p", "about", `and ${many(candidates - documents.length)} more`));
    return section;
  };

  const answered = ({ text, facts, references, claims }) => {
    const list = make("ul", "");
    for (const [claim, verdict, good, judge] of claims) {
      const line = words("p", "passage", `${claim} `);
      line.append(make("span", `badge ${good}`, verdict), " ", make("span", "facts", judge));
      list.append(make("li", "", line));
    }
    const due = references.map((reference) => words("p", "facts", `Reference: ${reference}`));
    return make("section", "", make("h3", "", "Answer"), words("p", "", text), words("p", "facts", facts), ...due, list);
  };

  const show = async (row) => {
    current = row;
    const data = await page;
    const query = data.queries[Number(row.dataset.n)];
    document.getElementById("query-title").textContent = query.text;
    const faults = query.failures.map(([mode, loss]) => make("span", "badge bad", `${data.modes[mode]}: −${short(loss)}`));
    const values = data.measures.map((name, n) => make("span", "version", `${name} `, make("b", "", short(query.values[n]))));
    const stages = make("div", "stages-of", ...query.stages.map((listed, n) => stage(data, data.stages[n], wordsOf(query.text), listed)));
    content.replaceChildren(
      words("p", "facts id", query.about),
      make("p", "values", ...values),
      make("p", "faults", ...faults),
      ...(query.answer ? [answered(query.answer)] : []),
      make("h3", "", "Expected: rank after each stage"),
      expected(data, query),
      stages,
    );
    const rows = tables.get("all").rows();
    const at = rows.indexOf(row);
    const focused = document.activeElement; // which a button loses when it is switched off
    previous.disabled = at <= 0;
    next.disabled = at < 0 || at === rows.length - 1;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    // A button that is switched off would keep the keys to itself, or give them to nobody.
    if (focused === previous && previous.disabled) next.focus();
    if (focused === next && next.disabled) previous.focus();
    if (!dialog.contains(document.activeElement)) dialog.focus();
  };

  const step = (by) => {
    const rows = tables.get("all").rows();
    const row = rows[rows.indexOf(current) + by];
    if (row) show(row);
  };
  previous.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  dialog.querySelector("button.close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    // With the table of ranks in focus arrows scroll it; with a modifier they are the browser's.
    if (event.target.matches(".scroll") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });

  if ("DecompressionStream" in window) {
    const opener = (name, ...inside) => {
      const button = make("button", name, ...inside);
      button.type = "button";
      button.ariaHasPopup = "dialog";
      return button;
    };
    const rows = new Map(tables.get("all").all().map((row) => [row.dataset.n, row]));
    rows.forEach((row) => {
      const cell = row.querySelector(".question");
      cell.replaceChildren(opener("open", ...cell.childNodes));
    });
    table.addEventListener("click", (event) => {
      const button = event.target.closest("button.open");
      if (button) show(button.closest("tr"));
    });
    document.querySelectorAll(".opens").forEach((mark) => {
      const button = opener("", ...mark.childNodes);
      button.addEventListener("click", () => show(rows.get(mark.dataset.n)));
      mark.replaceChildren(button);
      mark.parentElement.hidden = false;
    });
  }

  const bins = document.querySelector('.tools select[name="bin"]');
  const histogram = document.getElementById("plot-distribution");
  if (bins && histogram) {
    drawn.then(() =>
      histogram.on?.("plotly_click", ({ points }) => {
        bins.value = String(points[0].pointNumber);
        tables.get("all").show();
        document.getElementById("queries").scrollIntoView();
      }),
    );
  }
}
