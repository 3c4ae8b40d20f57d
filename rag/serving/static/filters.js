// Inputs for the fields that documents can be filtered by, and the filter they say.

const MOST = 12;

const labeled = (name, input) => {
  const label = document.createElement("label");
  label.append(`${name} `, input);
  return label;
};

const textInput = (type = "text") => {
  const input = document.createElement("input");
  input.type = type;
  if (type === "number") input.step = "any";
  return input;
};

function choice(values) {
  const select = document.createElement("select");
  select.append(new Option("any", ""));
  values.forEach((value, number) => select.append(new Option(String(value), String(number))));
  return select;
}

function forField(field, changed) {
  const set = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = field.name;
  set.append(legend);
  set.addEventListener("change", changed);
  if (field.values && field.values.length) {
    const select = choice(field.values);
    select.setAttribute("aria-label", field.name);
    set.append(select);
    return [set, () => (select.value === "" ? null : { eq: field.values[Number(select.value)] }), () => (select.value = "")];
  }
  if (field.minimum !== null && field.minimum !== undefined) {
    const type = field.kinds.includes("dates") ? "date" : "number";
    const [from, to] = [textInput(type), textInput(type)];
    [from.placeholder, to.placeholder] = [String(field.minimum), String(field.maximum)];
    set.append(labeled("from", from), labeled("to", to));
    const value = (input) => (type === "number" ? Number(input.value) : input.value);
    const read = () => {
      const test = {};
      if (from.value !== "") test.gte = value(from);
      if (to.value !== "") test.lte = value(to);
      return Object.keys(test).length ? test : null;
    };
    return [set, read, () => (from.value = to.value = "")];
  }
  const input = textInput();
  input.setAttribute("aria-label", `${field.name} contains`);
  input.placeholder = "contains";
  set.append(input);
  return [set, () => (input.value ? { contains: input.value } : null), () => (input.value = "")];
}

export function makeFilters(fields, into, changed) {
  const shown = fields.filter((field) => field.kinds.length).slice(0, MOST);
  const parts = shown.map((field) => [field.name, ...forField(field, changed)]);
  into.replaceChildren(...parts.map(([, set]) => set));
  return {
    count: parts.length,
    read() {
      const tests = parts.map(([name, , read]) => [name, read()]).filter(([, test]) => test !== null);
      return tests.length ? Object.fromEntries(tests) : null;
    },
  };
}
