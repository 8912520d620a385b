// Text comes in deltas, files in chunks. These verbs see one text, however it is cut.
//
// prints: lines: one | two | three
// prints: chunk 0 of Glue > Hide glue: # Glue ## Hide glue It is old. Heat it first.
// prints: chunk 1 of Glue > PVA: ## PVA It is white.
// prints: citations 12 and 3 in: Glue dries slowly , heat helps .
// prints: found https://example.com/a_(b)
// prints: asked: Be brief. Summarise in 2 lines: a long story
import { content, extract, extractUrls, isJson, isText, lines, type Part, pipe, prepend, prompt, run, splitText } from "millrace";

const textOf = (part: Part): string => (isText(part) ? part.text : part.kind);

const found = await run(lines(), ["one\ntw", "o\r", "\nthree"]).collect();
console.log("lines:", found.map(textOf).join(" | "));

const notes = "# Glue\n## Hide glue\n\nIt is old. Heat it first.\n\n## PVA\n\nIt is white.\n";
for await (const part of run(splitText({ size: 50, by: "headings" }), notes)) {
  const { index, headings } = part.metadata.split as { index: number; headings: string[] };
  console.log(`chunk ${index} of ${headings.join(" > ")}:`, textOf(part).replaceAll(/\s+/g, " "));
}

// `start` and `end` let everything else through at once
const answer = await run(extract(/\[(\d+)\]/, { start: "[", end: "]" }), ["Glue dries slowly [1", "2], heat helps [3", "]."]).collect();
const cited = answer.filter(isJson).map(({ value }) => (value as { captures: string[] }).captures[0]);
console.log(`citations ${cited.join(" and ")} in:`, answer.filter(isText).map(textOf).join(""));

for await (const part of run(extractUrls({ as: "uri" }), ["(see https://exam", "ple.com/a_(b))."])) if (part.kind === "uri") console.log("found", part.uri);

const asked = pipe(prompt`Summarise in ${2} lines: ${content}`, prepend("Be brief. "));
console.log("asked:", await run(asked, ["a ", "long ", "story"]).text());
