/**
 * The extractive reader: answers with sentences of the passages, and invents nothing.
 *
 * It weighs each sentence and line by the words that it shares with the question, rare words more; by those of the passage around
 * it, less; by whether it says something that the question does not; and by whether it holds what is asked for: a number, an
 * amount of money, a name. It understands nothing.
 *
 * @module
 */

/** A sentence that answers, and the number of its passage. */
export interface Quote {
  readonly passage: number;
  readonly sentence: string;
}

interface Unit extends Quote {
  readonly words: ReadonlySet<string>;
}

/** Sentences quoted at most, each at least this good beside the best. */
const maxQuotes = 2;
const closeToBest = 0.85;
/** A word of the passage around a sentence counts less than one in it. */
const aroundWeight = 0.35;
/** What is left of a sentence that does not hold what was asked for. */
const unaskedWeight = 0.5;
/** A sentence must have these many words besides those of the question, or a number, or it only repeats it. */
const newWords = 2;
/** Of the question's weight that the best sentence must share with its passage, or the documents do not say. */
const leastShare = 0.25;

/** The best sentences for the question of a prompt; none if nothing fits. */
export function readAnswer(prompt: string): readonly Quote[] {
  const at = prompt.lastIndexOf("Question: ");
  const question = prompt.slice(at + "Question: ".length);
  const passages = [...prompt.slice(0, at).matchAll(/^\[(\d+)\] (.*)\n([\s\S]*?)(?=^\[\d+\] |$(?![\s\S]))/gm)].map(([, number, place = "", text = ""]) => {
    const units = unitsOf(text).map((sentence): Unit => ({ passage: Number(number), sentence, words: new Set(wordsOf(sentence)) }));
    return { units, words: new Set(wordsOf(`${place.replaceAll(/[-_./]/g, " ")} ${text}`)) };
  });
  const all = passages.flatMap(({ units }) => units);
  const asked = new Set(wordsOf(question));
  const weights = new Map([...asked].map((word) => [word, Math.log(1 + all.length / (1 + all.filter(({ words }) => has(words, word)).length))]));
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  const wanted = wantedBy(question);

  const rated = passages.flatMap(({ units, words }) =>
    units.map((unit) => {
      let own = 0;
      let around = 0;
      for (const [word, weight] of weights) {
        if (has(unit.words, word)) own += weight;
        else if (has(words, word)) around += weight;
      }
      const said = [...unit.words].filter((word) => !has(asked, word));
      const news = said.some((word) => /\d/.test(word)) ? 1 : Math.min(1, said.length / newWords);
      return { unit, share: (own + around) / total, score: (own + around * aroundWeight) * news * (wanted(unit.sentence, asked) ? 1 : unaskedWeight) };
    }),
  );
  rated.sort((a, b) => b.score - a.score);
  const [best] = rated;
  if (best === undefined || best.share < leastShare || best.score === 0) return [];
  return rated.filter(({ score }) => score >= best.score * closeToBest).slice(0, maxQuotes).map(({ unit: { passage, sentence } }) => ({ passage, sentence }));
}

const sentences = new Intl.Segmenter("en", { granularity: "sentence" });

/** Wrapped lines of prose are joined to sentences; lines of forms and tables stand alone. Headings answer nothing. */
function unitsOf(text: string): string[] {
  const blocks: string[] = [];
  let open = false;
  for (const line of text.split("\n").map((it) => it.replace(/^[-*+] /, "").trim())) {
    const isProse = line !== "" && !line.startsWith("#");
    if (open && isProse) blocks[blocks.length - 1] += ` ${line}`;
    else if (isProse) blocks.push(line);
    open = isProse && line.length > 40 && /[\p{Ll},]$/u.test(line);
  }
  return blocks.flatMap((block) => [...sentences.segment(block)].map(({ segment }) => segment.trim())).filter((sentence) => sentence !== "");
}

/** Does a sentence hold what the question, of these words, asks for? */
type Wanted = (sentence: string, asked: ReadonlySet<string>) => boolean;

function wantedBy(question: string): Wanted {
  if (/\bhow much\b|\b(?:amount|cost|charge|fee|owe|pay|price|rent|salary|total)s?\b/i.test(question)) return (sentence, asked) => ofMoney.test(sentence) && hasNumber(sentence, asked);
  if (/\b(?:how (?:long|large|high|old|often|many)|what (?:time|date|day|number|year)|which (?:date|day|year)|when|until|number)\b/i.test(question)) return hasNumber;
  if (/\b(?:who|whose|whom|which (?:company|customer|firm|person))\b/i.test(question)) return hasName;
  return () => true;
}

const ofMoney = /\d[.,]\d\d\b|[$€£]|\b(?:amount|budget|charge|cost|deposit|due|fee|insured|paid|pay|payable|premium|price|rent|total)s?\b/i;

/** A number that the question does not have. */
function hasNumber(sentence: string, asked: ReadonlySet<string>): boolean {
  const spelled = /^(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half)$/;
  return wordsOf(sentence).some((word) => !asked.has(word) && (/\d/.test(word) || spelled.test(word)));
}

/** A capital inside the sentence that the question does not have. */
function hasName(sentence: string, asked: ReadonlySet<string>): boolean {
  return [...sentence.matchAll(/(?<=\S\s)\p{Lu}\p{L}+/gu)].some(([name]) => wordsOf(name).some((word) => !asked.has(word)));
}

const empty = new Set(
  "a an and are as at be been but by can could do does did for from had has have how i if in into is it its many may me much my no not of on or our shall should so than that the their them then there these they this to up us was we were what when where which who whom whose why will with within would you your".split(" "),
);

function wordsOf(text: string): string[] {
  return [...text.toLowerCase().matchAll(/\p{L}+|\p{N}+(?:[.,:/-]\p{N}+)*/gu)].map(([word]) => word).filter((word) => !empty.has(word)).map(stem);
}

/** Endings off: enough to bring a verb and its noun together. */
function stem(word: string): string {
  if (word.length <= 4) return word.replace(/s$/, "");
  return word.replace(/(?:ies|ied)$/, "y").replace(/(?:ations?|ments?|ings?|ers?|ors?|ed|es|s|e)$/, "");
}

/** The word, or one that begins with it: `insur` and `insuranc`. */
function has(words: ReadonlySet<string>, word: string): boolean {
  if (words.has(word)) return true;
  if (word.length < 5) return false;
  for (const other of words) if (other.length >= 5 && (other.startsWith(word) || word.startsWith(other))) return true;
  return false;
}
