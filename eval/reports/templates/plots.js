// Unpacks what the page carries and draws its figures in the page's own colors. A figure is Plotly's JSON, with the
// style sheet's colors by name, such as "<accent>"; texts of data have no "<" in them. Without this there are the tables.
const unpack = async (id) => {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let n = 0; n < packed.length; n++) bytes[n] = packed.charCodeAt(n);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};

const page = document.getElementById("data") ? unpack("data").then(JSON.parse) : Promise.resolve({ figures: {} });
const figures = new Map();

const style = () => {
  const root = getComputedStyle(document.documentElement);
  const color = (name) => root.getPropertyValue(`--${name}`).trim();
  const paint = (value) => {
    if (typeof value === "string") return /^<[a-z-]+>$/.test(value) ? color(value.slice(1, -1)) : value;
    if (Array.isArray(value)) return value.map(paint);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, paint(part)]));
    }
    return value;
  };
  const axis = {
    automargin: true, fixedrange: true, gridcolor: color("line"), linecolor: color("soft"), tickcolor: color("line"),
    zeroline: false, tickfont: { color: color("soft"), size: 12 }, title: { font: { color: color("soft"), size: 13 } },
  };
  const layout = {
    autosize: true, dragmode: false, hovermode: "closest", showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 48, r: 12, t: 12, b: 44 },
    font: { family: root.fontFamily, color: color("ink"), size: 13 },
    hoverlabel: { align: "left", bgcolor: color("paper"), bordercolor: color("soft"), font: { color: color("ink"), size: 13 } },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: color("soft") } },
    colorway: ["accent", "good", "bad", "soft"].map(color),
    xaxis: axis, yaxis: axis,
  };
  return { paint, template: { layout } };
};

const draw = (box, figure, { paint, template } = style(), width = undefined) => {
  figures.set(box, figure);
  const layout = { ...paint(figure.layout), template, ...(width ? { width } : {}) };
  return Plotly.react(box, paint(figure.data), layout, { displayModeBar: false, responsive: !width, doubleClick: false });
};

const redraw = (width) => {
  const now = style();
  for (const [box, figure] of figures) draw(box, figure, now, width);
};

// Resolves when everything is drawn; false where a browser cannot unpack.
const drawn = page
  .then(async ({ figures: wanted }) => {
    if (!document.getElementById("plotly")) return true;
    const script = document.createElement("script");
    script.textContent = await unpack("plotly");
    document.head.append(script);
    const now = style();
    for (const [id, figure] of Object.entries(wanted)) draw(document.getElementById(id), figure, now);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
    // Paper is white and narrower than a screen.
    addEventListener("beforeprint", () => {
      document.documentElement.dataset.theme = "light";
      redraw(640);
    });
    addEventListener("afterprint", () => {
      delete document.documentElement.dataset.theme;
      redraw();
    });
    return true;
  })
  .catch((error) => {
    if ("DecompressionStream" in window) throw error;
    document.querySelectorAll(".plot").forEach((plot) => (plot.hidden = true));
    document.querySelectorAll("details.numbers").forEach((numbers) => (numbers.open = true));
    return false;
  });
