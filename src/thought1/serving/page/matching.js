// Which words of a hit stand in the question or in the thought, and which sentence has most of them.
// It compares spelling alone: a hit that is found by meaning may share no word.

const WORD = /[\p{L}\p{N}]+/gu;
const LEAST = 3; // letters
const COMMON = new Set(
  ("about after also and are because been but can does for from had has have her his how into its " +
    "more most not off one only our out over she some such than that the their them then there " +
    "these they this those too was were what when where which who why will with would you your")
    .split(" "),
);

/** The words of a text that tell something, in lower case. */
export function terms(text) {
  const words = (text.match(WORD) ?? []).map((word) => word.toLowerCase());
  return new Set(words.filter((word) => word.length >= LEAST && !COMMON.has(word)));
}

/** "crack" and "cracks" are one word; "ice" and "iceland" are not. */
function alike(one, other) {
  const [short, long] = one.length < other.length ? [one, other] : [other, one];
  return short === long || (short.length >= 4 && long.length - short.length <= 3 && long.startsWith(short));
}

function finder(question, thought) {
  const known = new Map();
  const among = (set, word) => [...set].find((term) => alike(term, word));
  return (word) => {
    if (!known.has(word)) {
      const inQuestion = among(question, word);
      const found = inQuestion ?? among(thought, word);
      known.set(word, found && { term: found, from: inQuestion ? "question" : "thought" });
    }
    return known.get(word);
  };
}

/**
 * A text in sentences, each in parts {text, from}; from is "question", "thought" or undefined.
 * best is the place of the sentence at `nearest` (an offset) where there is one, else of the one with
 * most matching words, -1 where none matches.
 */
export function match(text, question, thought, nearest) {
  const find = finder(question, thought);
  const sentences = [...new Intl.Segmenter(undefined, { granularity: "sentence" }).segment(text)];
  let best = -1;
  let most = 0;
  const split = sentences.map(({ segment }, place) => {
    const parts = [];
    const seen = new Set();
    let end = 0;
    for (const word of segment.matchAll(WORD)) {
      const found = find(word[0].toLowerCase());
      if (!found) continue;
      if (word.index > end) parts.push({ text: segment.slice(end, word.index) });
      parts.push({ text: word[0], from: found.from });
      seen.add(found.term);
      end = word.index + word[0].length;
    }
    if (end < segment.length) parts.push({ text: segment.slice(end) });
    if (seen.size > most) [best, most] = [place, seen.size];
    return parts;
  });
  if (nearest !== null) best = sentences.findLastIndex(({ index }) => index <= nearest);
  return { sentences: split, best };
}
