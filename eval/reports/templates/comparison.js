// The sorted differences of the chosen pair by the chosen measure; the table beside them shows the same.
drawn.then(async (able) => {
  const box = document.getElementById("plot-differences");
  if (!able || !box) return;
  const { pairs, measures, values, names, labels, texts, figures: wanted } = await page;
  const choose = document.getElementById("choose");
  const [byMeasure, byPair] = ["measure", "pair"].map((id) => document.getElementById(id));
  const table = document.getElementById("differences");
  const signed = (value) => (value < 0 ? "" : "+") + value.toFixed(3);

  const show = () => {
    const measure = measures[Number(byMeasure?.value ?? 0)];
    const [run, baseline] = pairs[Number(byPair?.value ?? 0)];
    const [ours, theirs] = [values[run][measure], values[baseline][measure]];
    const differences = ours.map((value, n) => value - theirs[n]);
    const order = [...differences.keys()].sort((a, b) => differences[b] - differences[a] || a - b);
    const { data: [bar], layout } = structuredClone(wanted["plot-differences"]);
    bar.x = order.map((_, rank) => rank + 1);
    bar.y = order.map((n) => differences[n]);
    bar.hovertext = order.map((n) =>
      `${texts[n]}<br>${labels[baseline]}: ${theirs[n].toFixed(3)}, ${labels[run]}: ${ours[n].toFixed(3)}, ${signed(differences[n])}`);
    bar.marker = { color: order.map((n) => (differences[n] < 0 ? "<bad>" : "<good>")), line: { width: 0 } };
    layout.yaxis.title.text = `${labels[measure]}, difference`;
    draw(box, { data: [bar], layout });

    const heads = table.tHead.rows[0].cells;
    const name = (cell, text) => (cell.querySelector("button") ?? cell).replaceChildren(text);
    name(heads[1], names[baseline]);
    name(heads[2], names[run]);
    for (const row of tables.get("differences").all()) {
      const n = Number(row.dataset.n);
      [theirs[n].toFixed(3), ours[n].toFixed(3), signed(differences[n])].forEach(
        (text, column) => (row.cells[column + 1].textContent = text),
      );
    }
    tables.get("differences").refresh();
  };

  choose.hidden = !choose.children.length;
  for (const select of [byMeasure, byPair]) select?.addEventListener("change", show);
  show();
});
