// The page: forms and what they do. Elements are known by their ids in index.html.

import { get, post, token } from "./api.js";
import { asCurl, asPython } from "./code.js";
import { element } from "./results.js";
import { searchBeside, searchOnce, threeWays } from "./searching.js";

const by = (id) => document.getElementById(id);
const budgets = new Map(); // a model's own budget, by its name
let models = new Map(); // the model of an index, by the index's name
let running = null; // what stops the search that runs

function alert_(message) {
  by("alert").textContent = message ?? "";
  by("alert").hidden = !message;
}

function failed(error) {
  if (error.status === 401) {
    alert_(token.get() ? "The server does not accept this token." : null);
    by("token-form").hidden = false;
    by("token").focus();
  } else {
    alert_(error.message);
  }
}

// -- what is there --------------------------------------------------------------------------------

function row(index) {
  const day = new Date(index.created);
  const cells = [index.name, index.documents, index.dimensions, index.model];
  const made = cells.map((value) =>
    typeof value === "number"
      ? element("td", { class: "number" }, value.toLocaleString("en"))
      : element("td", {}, value),
  );
  const created = Number.isNaN(day.getTime()) ? index.created : day.toLocaleDateString();
  return element("tr", {}, ...made, element("td", {}, created));
}

async function showIndexes() {
  const [found, known] = await Promise.all([get("/v1/indexes"), get("/v1/models")]);
  for (const model of known.data) budgets.set(model.id, model.think);
  models = new Map(found.indexes.map((index) => [index.name, index.model]));
  const chosen = by("index").value;
  by("index").replaceChildren(
    ...found.indexes.map((index) => element("option", { value: index.name }, index.name)),
  );
  if (models.has(chosen)) by("index").value = chosen;
  by("indexes").replaceChildren(...found.indexes.map(row));
  by("add-form").hidden = !found.writable;
  by("read-only").hidden = found.writable;
  by("forget-line").hidden = !token.get();
  by("token-form").hidden = true;
  if (by("index").value !== chosen) indexChosen();
}

function indexChosen() {
  const own = budgets.get(models.get(by("index").value)) ?? 0;
  by("budget").max = String(Math.max(256, own));
  by("budget").value = String(own);
  by("add-index").textContent = by("index").value;
  budgetShown();
}

function budgetShown() {
  const budget = by("budget").valueAsNumber;
  const thinks = by("mode").value !== "bm25";
  by("budget-shown").textContent = budget ? `${budget} tokens` : "0, not thinking";
  by("budget").disabled = !thinks;
  if (!thinks) by("thought-form").hidden = true;
}

// -- asking ---------------------------------------------------------------------------------------

function requestBody() {
  const [query, index, mode] = ["question", "index", "mode"].map((id) => by(id).value);
  const body = { query: query.trim(), index, k: by("k").valueAsNumber, mode };
  if (by("explain").checked) body.explain = true;
  return mode === "bm25" ? body : { ...body, think: by("budget").valueAsNumber };
}

function showCode(body) {
  const origin = location.origin;
  by("curl").textContent = asCurl(origin, body, Boolean(token.get()));
  by("python").textContent = asPython(origin, body, Boolean(token.get()));
  by("code").hidden = false;
}

/** Run a search, with the buttons as they must be meanwhile; a second one stops the first. */
async function run(work) {
  running?.abort();
  const own = (running = new AbortController());
  alert_(null);
  by("stop").disabled = false;
  by("results").setAttribute("aria-busy", "true");
  by("status").textContent = "Searching …";
  try {
    const said = await work(own.signal);
    if (running === own) by("status").textContent = said;
  } catch (error) {
    if (running !== own) return;
    by("status").textContent = error.name === "AbortError" ? "Stopped." : "";
    if (error.name !== "AbortError") failed(error);
  } finally {
    if (running === own) {
      running = null;
      by("stop").disabled = true;
      by("thought").readOnly = false;
      by("results").removeAttribute("aria-busy");
    }
  }
}

function ask() {
  if (!by("ask-form").reportValidity()) return;
  const body = requestBody();
  const area = by("thought");
  showCode(body);
  by("thought-form").hidden = body.mode === "bm25";
  area.value = "";
  area.readOnly = true;
  run(async (signal) => {
    const found = await searchOnce(body, by("results"), signal, {
      token(text, count) {
        area.value += text;
        area.scrollTop = area.scrollHeight;
        by("status").textContent = `Thinking, ${count} ${count === 1 ? "token" : "tokens"} …`;
      },
      thought(event) {
        area.value = event.text;
        by("status").textContent = "Searching …";
      },
    });
    const [thought] = found.thoughts;
    if (!thought) return "Found without a thought.";
    return `Found after ${thought.tokens} tokens of thought.`;
  });
}

function askAgain() {
  if (!by("ask-form").reportValidity()) return;
  const { think: _, ...body } = requestBody();
  body.thoughts = [by("thought").value];
  showCode(body);
  run(async (signal) => {
    await searchOnce(body, by("results"), signal);
    return "Found with the edited thought.";
  });
}

function compare() {
  if (!by("ask-form").reportValidity()) return;
  const ways = threeWays({ ...requestBody(), think: by("budget").valueAsNumber });
  showCode(ways[2][1]);
  by("thought-form").hidden = true;
  run(async (signal) => {
    await searchBeside(ways, by("results"), signal);
    return "Three searches, side by side.";
  });
}

// -- the forms ------------------------------------------------------------------------------------

function submits(id, work) {
  by(id).addEventListener("submit", (event) => {
    event.preventDefault();
    work();
  });
}

async function useToken() {
  token.set(by("token").value.trim());
  by("token").value = "";
  alert_(null);
  await start();
  if (by("token-form").hidden) by("question").focus();
}

async function add() {
  const [id, title, text] = ["add-id", "add-title", "add-text"].map((name) => by(name).value);
  const index = by("index").value;
  by("added").textContent = "Adding …";
  alert_(null);
  try {
    const done = await post("/v1/documents", { index, documents: [{ id, title, text }] });
    const what = done.added ? "Added" : done.replaced ? "Replaced" : "It was there already:";
    by("added").textContent = `${what} ${id}; ${index} has ${done.documents} documents.`;
    by("add-form").reset();
    await showIndexes();
  } catch (error) {
    by("added").textContent = error.status === 401 ? "" : error.message;
    if (error.status === 401) failed(error);
  }
}

async function copy(button) {
  const from = by(button.dataset.copies);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(from.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(from); // browsers copy for pages of https and of this machine
    button.textContent = "Selected: copy with Ctrl+C";
  }
  setTimeout(() => (button.textContent = label), 2000);
}

async function start() {
  try {
    await showIndexes();
  } catch (error) {
    failed(error);
  }
}

submits("ask-form", ask);
submits("thought-form", askAgain);
submits("token-form", useToken);
submits("add-form", add);
by("compare").addEventListener("click", compare);
by("stop").addEventListener("click", () => running?.abort());
by("index").addEventListener("change", indexChosen);
by("mode").addEventListener("change", budgetShown);
by("budget").addEventListener("input", budgetShown);
by("forget").addEventListener("click", () => {
  token.forget();
  location.reload();
});
by("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  by("ask-form").requestSubmit();
});
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
}
start();
