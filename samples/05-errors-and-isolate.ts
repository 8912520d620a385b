// An error fails the run with the original object, after the parts before it. `isolate` is the one place where the error
// of a part may become data instead.
//
// prints: 1 then SyntaxError
// prints: 1 error 3
import { each, isolate, isText, json, run } from "millrace";

const parse = each((part) => (isText(part) ? json(JSON.parse(part.text)) : part));
const input = ["1", "{", "3"];

const seen: string[] = [];
try {
  for await (const part of run(parse, input)) seen.push(part.kind === "json" ? String(part.value) : part.kind);
} catch (error) {
  console.log(seen.join(" "), "then", error instanceof Error ? error.name : error);
}

const parts = await run(isolate(parse), input).collect();
console.log(parts.map((part) => (part.kind === "json" ? part.value : part.kind)).join(" "));
