/** Values held against JSON Schemas that were made from the clients' own types (`tests/sdk-schemas`). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv, type ValidateFunction } from "ajv";

/** What the files describe, by the names that `tests/sdk-schemas/roots.ts` gives it. */
const shapes = {
  openai: { root: "OpenAI", names: ["responsesRequest", "responsesEvent", "chatRequest", "chatEvent", "embeddingsRequest", "embeddingsAnswer"] },
  anthropic: { root: "Anthropic", names: ["messagesRequest", "messagesEvent"] },
  gemini: { root: "Gemini", names: ["generateRequest", "generateEvent", "embedRequest"] },
  ollama: { root: "Ollama", names: ["chatRequest", "chatEvent", "embedRequest"] },
} as const;

export type Client = keyof typeof shapes;
/** A client and one of its shapes: `openai.chatRequest`. */
export type Shape = { [C in Client]: `${C}.${(typeof shapes)[C]["names"][number]}` }[Client];

export const clients = Object.keys(shapes) as Client[];

interface SchemaFile {
  /** Name and version of the package that the types come from. */
  readonly $comment: string;
  readonly definitions: Readonly<Record<string, object>>;
}

/** The schemas of a client, as they were made. */
export function schemaFile(client: Client): SchemaFile {
  return JSON.parse(readFileSync(join(import.meta.dirname, "..", "sdk-schemas", `${client}.schema.json`), "utf8")) as SchemaFile;
}

const compilers = new Map<Client, Ajv>();
const compiled = new Map<Shape, ValidateFunction>();

/** Compiled at first use, which takes up to 0.3 s; a file of tests needs two or three. */
function validatorOf(shape: Shape): ValidateFunction {
  const known = compiled.get(shape);
  if (known !== undefined) return known;
  const [client, name] = shape.split(".") as [Client, string];
  const compiler = compilers.get(client) ?? new Ajv({ strict: false, validateSchema: false }).addSchema(schemaFile(client), client);
  compilers.set(client, compiler);
  const validate = compiler.getSchema(`${client}#/definitions/${shapes[client].root}/properties/${name}`);
  if (validate === undefined) throw new Error(`no schema says what ${shape} is: node tests/sdk-schemas/generate.ts`);
  compiled.set(shape, validate);
  return validate;
}

/** Why a value is not of this shape; undefined when it is. */
export function misfit(shape: Shape, value: unknown): string | undefined {
  const validate = validatorOf(shape);
  if (validate(value)) return undefined;
  // the branches of a union each say why they are not it: those that came furthest are worth reading
  const errors = (validate.errors ?? []).toSorted((a, b) => b.instancePath.length - a.instancePath.length);
  const reasons = errors.map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
  return `${shape}: ${[...new Set(reasons)].slice(0, 4).join("; ")} in ${JSON.stringify(value).slice(0, 2_000)}`;
}
