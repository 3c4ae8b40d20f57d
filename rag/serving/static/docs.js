// The OpenAPI description as a page, without a network.

const element = (name, text = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
};

const spec = await (await fetch("openapi.json")).json();
const resolve = (schema) =>
  schema?.$ref ? spec.components.schemas[schema.$ref.split("/").pop()] : (schema?.anyOf?.map(resolve).find((option) => option?.properties) ?? schema);

function table(schema) {
  const list = element("ul");
  for (const [name, property] of Object.entries(resolve(schema)?.properties ?? {})) {
    const required = resolve(schema).required?.includes(name) ? ", required" : "";
    const type = property.type ?? property.anyOf?.map((option) => option.type ?? option.$ref?.split("/").pop()).join(" or ") ?? property.$ref?.split("/").pop();
    const item = element("li");
    item.append(element("code", name), ` (${type}${required}) ${property.description ?? ""}`);
    list.append(item);
  }
  return list;
}

function operation(path, method, about) {
  const details = element("details");
  const summary = element("summary");
  summary.append(element("code", `${method.toUpperCase()} ${path}`), ` ${about.description ?? about.summary}`);
  details.append(summary);
  const body = about.requestBody?.content["application/json"]?.schema;
  if (body) {
    details.append(element("h3", "Body"), table(body));
    const examples = resolve(body)?.examples ?? [];
    for (const example of examples) details.append(element("pre", JSON.stringify(example, null, 2)));
  }
  details.append(element("h3", "Answers"));
  for (const [status, response] of Object.entries(about.responses)) {
    details.append(element("p", `${status} ${response.description ?? ""}`));
    if (status === "200") details.append(table(Object.values(response.content ?? {})[0]?.schema));
  }
  return details;
}

document.getElementById("title").textContent = `${spec.info.title} ${spec.info.version}`;
document.getElementById("description").textContent = spec.info.description ?? "";
for (const [path, methods] of Object.entries(spec.paths)) {
  for (const [method, about] of Object.entries(methods)) document.getElementById("operations").append(operation(path, method, about));
}
document.body.dataset.ready = "yes";
