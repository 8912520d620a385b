// Structured output: a model's answer as a value of a schema. It can be watched while it grows; an answer that does not fit goes back to
// the model with what is wrong with it.
//
// prints: so far: {"title":"Sou"}
// prints: so far: {"title":"Soup"}
// prints: so far: {"title":"Soup","minutes":30}
// prints: Soup takes 30 minutes
// prints: asked again: minutes: Invalid input: expected number, received string
// prints: Stew takes 90 minutes
import { isJson, run, structured } from "millrace";
import { mockModel } from "millrace/testing";
import { z } from "zod";

const Recipe = z.object({ title: z.string(), minutes: z.number() });
type Recipe = z.infer<typeof Recipe>;

// In place of a model: `openai({ model: "gpt-5-mini" })` is held to the schema by the service itself.
const model = mockModel([
  ['{"title": "Sou', 'p", "minutes": 30', "}"],
  '{"title": "Stew", "minutes": "90"}',
  '{"title": "Stew", "minutes": 90}',
]);

for await (const part of run(structured(model, Recipe, { partial: true }), "A soup, please.")) {
  if (!isJson(part)) continue;
  if (part.substream === "partial") console.log("so far:", JSON.stringify(part.value));
  else console.log(said(part.value as Recipe));
}

const stew = await run(structured(model, Recipe), "A stew, please.").json<Recipe>();
console.log("asked again:", /minutes: .*/.exec(model.calls[2]?.text ?? "")?.[0]);
console.log(said(stew));

function said({ title, minutes }: Recipe): string {
  return `${title} takes ${minutes} minutes`;
}
