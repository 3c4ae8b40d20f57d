// The page: searching, opening documents, judging. Whatever documents hold is set as text, never as markup.

import { writeAnswer } from "./answer.js";
import { get, post, useKey } from "./api.js";
import { makeFilters } from "./filters.js";
import { marked, wordsOf } from "./words.js";

const byId = (id) => document.getElementById(id);
const element = (name, text = "", className = "") => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const GRADES = [[0, "not relevant"], [1, "relevant"], [2, "very relevant"]];

let about = { mode: "search", judging: false, answers: false };
let filters = { count: 0, read: () => null };
let hits = [];
let current = -1;
let asked = null; // {text, id}
let waiting = null;
let tasks = [];
let task = -1;

function say(text, problem = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("problem", problem);
}

function failed(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401 || error.status === 403) {
    byId("key").hidden = false;
    byId("secret").focus();
  }
  say(error.message, true);
}

function scoresOf(hit) {
  const list = element("dl", "", "scores");
  for (const [stage, score] of Object.entries(hit.scores ?? {})) {
    const pair = element("div");
    pair.append(element("dt", stage), element("dd", score === null ? "" : score.toPrecision(4)));
    list.append(pair);
  }
  return list;
}

function judgeButtons(hit, item) {
  const row = element("div", "", "judge");
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", "Judge this result");
  for (const [grade, name] of GRADES) {
    const button = element("button", `${grade} ${name}`);
    button.type = "button";
    button.setAttribute("aria-pressed", String(hit.grade === grade));
    button.addEventListener("click", () => judge(hit, hit.grade === grade ? null : grade, item));
    row.append(button);
  }
  return row;
}

// Page and headings of a passage, where they are known.
function placeOf(origin) {
  if (!origin) return [];
  return [origin.page ? `p. ${origin.page}` : "", (origin.headings ?? []).join(" > ")].filter(Boolean);
}

function shown(hit, number, words) {
  const item = element("li");
  item.tabIndex = -1;
  item.addEventListener("focusin", () => choose(number, false));
  const heading = element("h2");
  const open = element("button", hit.title || hit.id);
  open.type = "button";
  open.addEventListener("click", () => openDocument(hit));
  heading.append(open);
  const where = about.mode === "judge" ? hit.id : `${hit.rank}. ${hit.id}`;
  item.append(heading, element("div", [where, ...placeOf(hit.origin)].join(" · "), "where"));
  item.append(marked(hit.passage, words, element("p", "", "passage")));
  if (hit.scores) item.append(scoresOf(hit));
  if (about.judging) item.append(judgeButtons(hit, item));
  return item;
}

function show(results, question) {
  hits = results;
  current = -1;
  const words = wordsOf(question);
  byId("hits").replaceChildren(...hits.map((hit, number) => shown(hit, number, words)));
}

function choose(number, focus = true) {
  if (number < 0 || number >= hits.length) return;
  const items = byId("hits").children;
  for (const item of items) item.removeAttribute("aria-current");
  current = number;
  items[number].setAttribute("aria-current", "true");
  if (focus) items[number].focus();
}

const chooseDocument = (id) => choose(hits.findIndex((hit) => hit.id === id));

async function judge(hit, grade, item) {
  try {
    const sent = asked.id ? { query_id: asked.id } : { query: asked.text };
    await post("judgments", { ...sent, document: hit.id, grade });
    hit.grade = grade ?? undefined;
    item.querySelector(".judge").replaceWith(judgeButtons(hit, item));
    say(grade === null ? "taken back" : `kept: ${hit.id} is ${GRADES[grade][1]}`);
    if (about.mode === "judge" && hits.every(({ grade }) => grade !== undefined)) say("all of these are judged: n goes on");
  } catch (error) {
    failed(error);
  }
}

async function search() {
  const text = byId("query").value;
  if (!text.trim()) return;
  waiting?.abort();
  waiting = new AbortController();
  const { signal } = waiting;
  const body = { query: text, top_k: 20 };
  const filter = filters.read();
  if (filter) body.filter = filter;
  byId("narrowed").textContent = filter ? `(${Object.keys(filter).length})` : "";
  say("searching");
  byId("answer").hidden = true;
  try {
    const { results } = await post("search", { ...body, explain: true }, signal);
    asked = { text };
    const [result] = results;
    if (about.judging) {
      const { grades } = await post("judgments/of", { query: text }, signal);
      for (const hit of result.hits) hit.grade = grades[hit.id];
    }
    show(result.hits, text);
    const remarks = result.remarks.map((remark) => remark.message);
    say([result.hits.length ? `${result.hits.length} found` : "nothing found", ...remarks].join("; "));
    if (about.answers) await writeAnswer(byId("answer"), body, signal, chooseDocument);
  } catch (error) {
    failed(error);
  }
}

function showDocument(whole, hit) {
  byId("document-title").textContent = hit.title || whole.id;
  const rows = Object.entries(whole.metadata ?? {}).flatMap(([name, value]) => [
    element("dt", name),
    element("dd", typeof value === "string" ? value : JSON.stringify(value)),
  ]);
  byId("document-metadata").replaceChildren(element("dt", "id"), element("dd", whole.id), ...rows);
  const text = byId("document-text");
  const words = wordsOf(asked?.text ?? "");
  const points = [...whole.text]; // offsets are those of characters, as Python counts them
  const part = (from, to) => points.slice(from, to).join("");
  const here = marked(part(hit.start, hit.end), words, element("span", "", "passage-here"));
  text.replaceChildren(part(0, hit.start), here, part(hit.end, points.length));
  byId("document").showModal();
  here.scrollIntoView({ block: "center" });
}

async function openDocument(hit) {
  try {
    // As a parameter: browsers resolve ".." in paths, and an id may hold it.
    const path = `documents?id=${encodeURIComponent(hit.id)}`;
    showDocument(about.mode === "judge" ? hit : await get(path), hit);
  } catch (error) {
    failed(error);
  }
}

function nextTask(step) {
  const number = task + step;
  if (number < 0 || number >= tasks.length) return;
  task = number;
  const { id, text, documents } = tasks[task];
  asked = { text, id };
  byId("task").textContent = text;
  show(documents.map((whole, number) => ({ rank: number + 1, start: 0, end: 0, passage: whole.text, ...whole })), text);
  const done = documents.filter(({ grade }) => grade !== undefined && grade !== null).length;
  say(`question ${task + 1} of ${tasks.length}: ${done} of ${documents.length} judged`);
  choose(0);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("document").open) return;
  const typing = event.target.matches("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
  if (event.key === "/") byId("query").focus();
  else if (event.key in moves) choose(Math.max(0, current + moves[event.key]));
  else if (event.key === "Enter" && current >= 0 && !event.target.matches("button, summary")) openDocument(hits[current]);
  else if (about.judging && current >= 0 && ["0", "1", "2"].includes(event.key)) {
    judge(hits[current], Number(event.key), byId("hits").children[current]);
    if (about.mode === "judge") choose(current + 1);
  } else if (about.mode === "judge" && (event.key === "n" || event.key === "p")) nextTask(event.key === "n" ? 1 : -1);
  else return;
  event.preventDefault();
}

async function start() {
  try {
    about = await get("page.json");
    byId("about").textContent = about.about ?? "";
    const keys = ["/ search", "↑ ↓ choose", "Enter open", "Esc close"];
    if (about.judging) keys.push("0 1 2 judge");
    if (about.mode === "judge") {
      keys.splice(0, 1, "n p next and previous question");
      byId("search").hidden = true;
      byId("task").hidden = false;
      tasks = (await get("tasks")).tasks;
      document.title = "Judge";
      nextTask(1);
    } else {
      const { fields } = await get("fields");
      filters = makeFilters(fields, byId("fields"), () => byId("query").value && search());
      byId("narrow").hidden = !filters.count;
    }
    byId("keys").textContent = keys.join(" · ");
    document.body.dataset.ready = "yes";
  } catch (error) {
    failed(error);
    document.body.dataset.ready = "no";
  }
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("secret").value);
  byId("key").hidden = true;
  byId("secret").value = "";
  say("");
  start();
});
document.addEventListener("keydown", pressed);
start();
