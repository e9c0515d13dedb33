// Questions on their way: one search with its thought, or three side by side.

import { stream } from "./api.js";
import { element, hitList, legend, receiptTable } from "./results.js";

/**
 * One search as it comes.
 * on: {token(text, count), thought(event)}, each optional.
 * Gives {found, receipt}.
 */
async function search(body, signal, on = {}) {
  let count = 0;
  let found = null;
  for await (const event of stream("/v1/search", body, signal)) {
    if (event.type === "thought") on.token?.(event.text, ++count);
    if (event.type === "thought_end") on.thought?.(event);
    if (event.type === "hits") found = event;
    if (event.type === "receipt") return { found, receipt: event };
  }
  throw new Error("The answer has no receipt.");
}

/** One search: the thought goes to `on`, the rest into `place`. */
export async function searchOnce(body, place, signal, on) {
  place.replaceChildren();
  const { found, receipt } = await search(body, signal, on);
  const title = element("h2", {}, `${found.hits.length} ${found.hits.length === 1 ? "hit" : "hits"}`);
  place.replaceChildren(title, legend(body.explain), hitList(found), receiptTable(receipt));
  return found;
}

/** The bodies of three searches, from one that thinks. */
export function threeWays({ query, index, k, mode, think, explain }) {
  const meaning = mode === "bm25" ? "hybrid" : mode;
  const shared = { query, index, k, ...(explain && { explain }) };
  return [
    ["BM25", { ...shared, mode: "bm25" }],
    ["Not thinking", { ...shared, mode: meaning, think: 0 }],
    ["Thinking", { ...shared, mode: meaning, think }],
  ];
}

/** Three searches beside each other; a failure stands in its own column. */
export async function searchBeside(ways, place, signal) {
  const columns = ways.map(([name]) => {
    const body = element("div", { "aria-busy": "true" }, element("p", { class: "note" }, "…"));
    return { body, whole: element("section", { "aria-label": name }, element("h3", {}, name), body) };
  });
  const beside = element("div", { class: "beside" }, ...columns.map((one) => one.whole));
  place.replaceChildren(element("h2", {}, "Three ways"), legend(ways[0][1].explain), beside);
  const runs = ways.map(([, body], number) => {
    const written = element("p", { class: "written", dir: "auto" });
    const first = (text) => {
      if (!written.isConnected) columns[number].body.replaceChildren(written);
      written.append(text);
    };
    return search(body, signal, { token: first });
  });
  const without = runs[1].then(
    ({ found }) => new Map(found.hits.map((hit) => [hit.id, hit.rank])),
    () => undefined,
  );
  const shown = runs.map(async (run, number) => {
    const { body } = columns[number];
    try {
      const { found, receipt } = await run;
      const before = number === 2 ? await without : undefined;
      const thoughts = found.thoughts.map((one) =>
        element("p", { class: "written", dir: "auto" }, one.text || "(an empty thought)"),
      );
      body.replaceChildren(...thoughts, hitList(found, before), receiptTable(receipt));
    } catch (error) {
      if (error.name === "AbortError" || error.status === 401) throw error;
      body.replaceChildren(element("p", { class: "alert" }, error.message));
    } finally {
      body.removeAttribute("aria-busy");
    }
  });
  const ends = await Promise.allSettled(shown);
  const failed = ends.find((end) => end.status === "rejected");
  if (failed) throw failed.reason;
}
