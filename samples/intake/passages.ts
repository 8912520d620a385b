/**
 * What was found, as a prompt with numbered passages.
 *
 * @module
 */
import { each, isText, type Part, type Processor, text } from "millrace";
import { pathOf } from "./ingest.ts";

/** How to answer; a model gets it as its system text. */
export const instructions = `Answer the question from the numbered passages alone, in one or two sentences.
Put the number of each passage you used behind what you took from it, like this: [2].
If the passages do not answer the question, say: The documents do not say.`;

/** Turns the matches before each question, and the question, into one prompt; `found` gets the passages, first number first. */
export function asPrompt(found: Part[]): Processor {
  return each((part) => {
    if (part.metadata["match"] !== undefined) {
      found.push(part);
      return undefined;
    }
    if (!isText(part)) return part;
    const passages = found.map((passage, at) => `[${at + 1}] ${placeOf(passage)}\n${isText(passage) ? passage.text : ""}`);
    return text(`${passages.join("\n\n")}\n\nQuestion: ${part.text}`);
  });
}

/** Where a passage stands: file, page, heading. */
export function placeOf(part: Part): string {
  const { row, split } = part.metadata;
  const page = pageOf(part);
  const headings = typeof split === "object" && split !== null && "headings" in split && Array.isArray(split.headings) ? split.headings.map(String) : [];
  return [
    pathOf(part),
    ...(page === undefined ? [] : [`page ${page}`]),
    ...(typeof row === "number" ? [`row ${row}`] : []),
    ...(headings.length === 0 ? [] : [headings.join(" > ")]),
  ].join(", ");
}

/** The page of a PDF, from 1. */
export function pageOf({ metadata: { pdf } }: Part): number | undefined {
  const page: unknown = typeof pdf === "object" && pdf !== null && "page" in pdf ? pdf.page : undefined;
  return typeof page === "number" ? page : undefined;
}
