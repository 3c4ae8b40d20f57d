// The answer of a language model, shown while it is written. Its text is never markup; its citations become buttons.

import { events } from "./api.js";

const CITATION = /[[\u3010]\s*\d{1,9}(?:\s*[-\u2013,;]\s*\d{1,9})*\s*[\]\u3011]/g;

// Text in which [1] or [2, 3] leads to a document that is cited.
function cited(text, citations, open) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(CITATION)) {
    parts.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    const ranks = match[0].match(/\d+/g).map(Number);
    const documents = citations.filter(({ rank }) => ranks.includes(rank));
    if (!documents.length) parts.push(match[0]);
    for (const { rank, id } of documents) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "citation";
      button.textContent = `[${rank}]`;
      button.title = id;
      button.addEventListener("click", () => open(id));
      parts.push(button);
    }
  }
  parts.push(text.slice(end));
  return parts;
}

export async function writeAnswer(section, body, signal, open) {
  const text = document.createElement("p");
  const note = document.createElement("p");
  note.className = "note";
  note.textContent = "writing an answer …";
  section.replaceChildren(text, note);
  section.hidden = false;
  section.setAttribute("aria-busy", "true");
  let complete = false;
  await events("answer", body, signal, (name, value) => {
    complete ||= name === "answer" || name === "problem";
    if (name === "delta") text.append(value.text);
    if (name === "answer") text.replaceChildren(...cited(value.text, value.citations, open));
    if (name === "answer") note.textContent = value.abstained ? "the documents do not hold the answer" : "";
    if (name === "problem") note.textContent = value.detail;
    note.classList.toggle("problem", name === "problem");
  });
  if (!complete) note.textContent = "the answer broke off";
  section.setAttribute("aria-busy", "false");
}
