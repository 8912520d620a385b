/**
 * Makes the JSON Schemas of this folder from the clients' own types: `node tests/sdk-schemas/generate.ts`, after a change of their versions.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installed } from "../tools/side-folder.ts";

const folder = import.meta.dirname;

/** A schema file, the type of `roots.ts` that it describes, and the package that the types come from. */
const files = [
  ["openai.schema.json", "OpenAI", "openai"],
  ["anthropic.schema.json", "Anthropic", "@anthropic-ai/sdk"],
  ["gemini.schema.json", "Gemini", "@google/genai"],
  ["ollama.schema.json", "Ollama", "ollama"],
] as const;

const modules = installed("tests/sdk-schemas");
const { createGenerator } = await import("ts-json-schema-generator"); // not before it is installed

for (const [file, type, name] of files) {
  const { version } = JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")) as { readonly version: string };
  const path = join(folder, "roots.ts");
  const { definitions = {} } = createGenerator({
    path,
    tsconfig: join(folder, "tsconfig.json"),
    type,
    jsDoc: "none",
    additionalProperties: false, // what the types do not know is what the schemas are there to find
    skipTypeCheck: true, // of the packages' own declarations
  }).createSchema(type);
  // a line each, so that a change of one type shows as a change of one line
  const lines = Object.entries(definitions).map(([id, definition]) => `${JSON.stringify(id)}:${JSON.stringify(definition)}`);
  writeFileSync(join(folder, file), `{"$comment":${JSON.stringify(`${name} ${version}`)},"definitions":{\n${lines.join(",\n")}\n}}\n`);
  console.log(`${file}: ${lines.length} types of ${name} ${version}`);
}
