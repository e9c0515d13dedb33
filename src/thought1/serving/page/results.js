// What was found, as elements. Every text goes in as text: a document's markup is never read.

import { match, terms } from "./matching.js";

const LONG = 3; // sentences; of a longer text those around the best one are shown

/** An element with children; a string becomes text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function part({ text, from }) {
  return from ? element("mark", { class: from, title: `from the ${from}` }, text) : text;
}

/** Where a character that Python counts (code points) stands in a text of JavaScript. */
const unit = (text, point) => [...text].slice(0, point).join("").length;

function passage(hit, question, thought) {
  const lit = hit.explanation?.highlight;
  const nearest = lit ? unit(hit.text, lit.start) : null;
  const { sentences, best } = match(hit.text, question, thought, nearest);
  const shown = sentences.map((parts, place) => {
    const made = element("span", place === best ? { class: "best" } : {}, ...parts.map(part));
    made.hidden = sentences.length > LONG && Math.abs(place - Math.max(best, 0)) > 1;
    return made;
  });
  const text_ = element("p", { class: "text", dir: "auto" }, ...shown);
  if (!shown.some((one) => one.hidden)) return [text_];
  const more = element("button", { type: "button", class: "quiet", "aria-expanded": "false" });
  const cut = shown.filter((one) => one.hidden);
  const label = () => {
    const open = more.getAttribute("aria-expanded") === "true";
    more.textContent = open ? "Show less" : "Show the whole text";
    text_.classList.toggle("cut-before", !open && shown[0] === cut[0]);
    text_.classList.toggle("cut-after", !open && shown.at(-1) === cut.at(-1));
    for (const one of cut) one.hidden = !open;
  };
  more.addEventListener("click", () => {
    more.setAttribute("aria-expanded", String(more.getAttribute("aria-expanded") !== "true"));
    label();
  });
  label();
  return [text_, more];
}

function movement(hit, before) {
  if (!before) return [];
  const rank = before.get(hit.id);
  const told =
    rank === undefined
      ? ["new", "not found without thinking"]
      : rank > hit.rank
        ? [`▲ ${rank - hit.rank}`, `rank ${rank} without thinking`]
        : rank < hit.rank
          ? [`▼ ${hit.rank - rank}`, `rank ${rank} without thinking`]
          : null;
  return told ? [element("span", { class: "moved", title: told[1] }, told[0])] : [];
}

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);

/** What each part of the thought did for a hit, and what each word did for BM25. */
function why({ parts, words }) {
  const strongest = Math.max(...parts.map((one) => one.effect), 0);
  const lines = parts.map(({ text, effect }) =>
    element(
      "li",
      {},
      element("span", { class: "effect" }, signed(effect)),
      element("span", effect > 0 && effect === strongest ? { class: "strongest" } : {}, text),
    ),
  );
  if (words.length) {
    const told = words.map(({ word, score }) => `${word} ${score.toFixed(1)}`).join(", ");
    lines.push(
      element("li", {}, element("span", { class: "effect" }, "words"), element("span", {}, told)),
    );
  }
  return lines.length ? [element("ul", { class: "why", "aria-label": "Why" }, ...lines)] : [];
}

function card(hit, question, thought, before) {
  const facts = Object.entries(hit.metadata).map(([name, value]) => `${name}: ${value}`);
  const head = element(
    "div",
    { class: "head" },
    element("span", { class: "rank" }, String(hit.rank)),
    element("span", { class: "title", dir: "auto" }, hit.title || hit.id),
    ...movement(hit, before),
    element("span", { class: "score", title: "score" }, hit.score.toFixed(3)),
  );
  const tail = [...(hit.title ? [`id: ${hit.id}`] : []), ...facts].join(" · ");
  const made = element("li", { class: "hit" }, head, ...passage(hit, question, thought));
  if (hit.explanation) made.append(...why(hit.explanation));
  if (tail) made.append(element("p", { class: "facts" }, tail));
  return made;
}

/**
 * The hits of one question.
 * before: ranks by id in the search that these are compared with, or nothing.
 */
export function hitList(found, before) {
  if (found.hits.length === 0) return element("p", { class: "note" }, "Nothing was found.");
  const question = terms(found.query);
  const thought = terms(found.thoughts.map((one) => one.text).join("\n"));
  const cards = found.hits.map((hit) => card(hit, question, thought, before));
  return element("ol", { class: "hits" }, ...cards);
}

const EFFECTS =
  "Where vectors were searched, under each hit: how much nearer to the question each part of the thought brought it (cosine), " +
  "and what each word adds to BM25. The underlined sentence is then the one nearest to the question.";

/** Which colour means what; explained: whether the hits say why they were found. */
export function legend(explained) {
  const more = explained ? [" ", EFFECTS] : [];
  return element("p", { class: "note legend" }, ...sharedWords(), ...more);
}

function sharedWords() {
  return [
    "Words that a hit shares with ",
    element("mark", { class: "question" }, "the question"),
    " and, beyond it, with ",
    element("mark", { class: "thought" }, "the thought"),
    "; the ",
    element("span", { class: "best" }, "sentence"),
    " with most of them. A hit found by its meaning may share none.",
  ];
}

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 1 });

/** What a search cost. */
export function receiptTable(receipt) {
  const steps = Object.entries(receipt.milliseconds);
  const rows = [
    ["tokens of the prompt", receipt.prompt_tokens],
    ["tokens of the thought", receipt.thought_tokens],
    ...steps.map(([step, spent]) => [`${step}, ms`, spent]),
    ["together, ms", steps.reduce((sum, [, spent]) => sum + spent, 0)],
  ];
  return element(
    "table",
    { class: "receipt" },
    element("caption", {}, "Receipt"),
    element(
      "tbody",
      {},
      ...rows.map(([name, value]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, name),
          element("td", { class: "number" }, number(value)),
        ),
      ),
    ),
  );
}
