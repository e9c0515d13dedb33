// The search page: asks the t1 serve that it came from, and links hits to the headings above them.
// Texts are only ever set as text.

const form = document.querySelector("#find-form");
const site = new URL("../", import.meta.url);
const INDEX = "docs";
const HITS = 8;
const SHOWN = 320; // characters of a hit

let headings; // {"serving/index.html": [[offset, anchor], ...]}
let latest = 0;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

const say = (...parts) => document.querySelector("#find-status").replaceChildren(...parts);

async function search(query, think) {
  const sent = { "Content-Type": "application/json" };
  const token = sessionStorage.getItem("t1-token"); // where the page at / keeps it
  if (token) sent.Authorization = `Bearer ${token}`;
  const body = { index: INDEX, query, k: HITS, group_by: "source" };
  if (!think) body.think = 0;
  const answer = await fetch("/v1/search", {
    method: "POST",
    headers: sent,
    body: JSON.stringify(body),
  });
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => null);
  throw Object.assign(new Error(told?.error?.message ?? ""), { status: answer.status });
}

/** The address of the page of a hit, at the last heading that begins before its text. */
function address({ source, start }) {
  const above = headings[source].filter(([offset]) => offset <= start);
  const anchor = above.length ? above[above.length - 1][1] : "";
  return new URL(source.replace(/index\.html$/, "") + (anchor ? `#${anchor}` : ""), site);
}

function item({ title, text, metadata }) {
  const link = element("a", title);
  link.href = address(metadata);
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN).replace(/\s\S*$/, "")} …` : text;
  const made = element("li");
  made.append(link, element("p", shown));
  return made;
}

function show({ hits: all, thoughts }) {
  const hits = all.filter(({ metadata }) => Object.hasOwn(headings, metadata.source ?? ""));
  const said = thoughts?.[0]?.text?.trim();
  const found = hits.length ? `${hits.length} ${hits.length === 1 ? "page" : "pages"}.` : "Nothing found.";
  say(element("p", found), ...(said ? [element("p", `Thought: ${said}`, "find-thought")] : []));
  document.querySelector("#find-hits").replaceChildren(...hits.map(item));
}

function refuse(error) {
  if (error.status === 401) {
    const link = element("a", "page of this server");
    link.href = "/";
    const told = element("p", "This server wants a token. Give it to the ");
    told.append(link, ", then search again here, in the same tab.");
    return say(told);
  }
  const away = error.status === undefined || (error.status === 404 && !error.message);
  say(element("p", away ? "No t1 serve answers here: see below." : error.message));
}

async function ask() {
  const mine = ++latest;
  const query = document.querySelector("#find-question").value.trim();
  const think = document.querySelector("#find-think").checked;
  if (!query) return;
  history.replaceState(null, "", `?q=${encodeURIComponent(query)}`);
  document.querySelector("#find-hits").replaceChildren();
  say(element("p", think ? "Thinking …" : "Searching …"));
  try {
    headings ??= await (await fetch(new URL("assets/headings.json", site))).json();
    const answer = await search(query, think);
    if (mine === latest) show(answer.results[0]);
  } catch (error) {
    if (mine === latest) refuse(error);
  }
}

if (form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  const asked = new URLSearchParams(location.search).get("q");
  if (asked) {
    document.querySelector("#find-question").value = asked;
    ask();
  }
}
