// Words of a text, and those that match a question's. Everything is made of text nodes: no document is ever markup.

const segmenter = "Segmenter" in Intl ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;

const fold = (word) => word.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

function* pieces(text) {
  if (segmenter) {
    for (const { segment, isWordLike } of segmenter.segment(text)) yield [segment, isWordLike];
  } else {
    for (const segment of text.split(/([\p{L}\p{N}]+)/u)) yield [segment, /[\p{L}\p{N}]/u.test(segment)];
  }
}

// Two forms of a word share its beginning: "return" and "returned".
const alike = (word, other) => {
  if (word === other) return true;
  const short = Math.min(word.length, other.length);
  return short >= 4 && Math.abs(word.length - other.length) <= 3 && word.slice(0, short - 1) === other.slice(0, short - 1);
};

export function wordsOf(question) {
  const words = [...pieces(question)].filter(([, isWord]) => isWord).map(([word]) => fold(word));
  const telling = words.filter((word) => word.length > 3 || /\P{ASCII}/u.test(word));
  return telling.length ? telling : words;
}

export function marked(text, words, into) {
  let plain = "";
  const flush = () => {
    if (plain) into.append(plain);
    plain = "";
  };
  for (const [segment, isWord] of pieces(text)) {
    if (isWord && words.some((word) => alike(word, fold(segment)))) {
      flush();
      const mark = document.createElement("mark");
      mark.textContent = segment;
      into.append(mark);
    } else {
      plain += segment;
    }
  }
  flush();
  return into;
}
