/**
 * The tools that a server lists, as a model may be told of them.
 *
 * A server's words are data: bounded, without what cannot be seen, under names that every model's service takes.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import { checkedJson } from "../../core/json-border.ts";
import type { JsonValue } from "../../core/part.ts";
import { utf8Length } from "../../core/part-size.ts";
import { shapeOf, wordsOf } from "../../wire/json-shape.ts";
import { service } from "./errors.ts";
import { toolNames } from "./names.ts";
import { plain } from "./plain.ts";

/** A tool of a server. */
export interface ListedTool {
  /** What the server calls it. */
  readonly remote: string;
  /** What the model calls it. */
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments. */
  readonly parameters: Readonly<Record<string, JsonValue>>;
}

/** Which tools are taken, and how much of them. */
export interface ListingRules {
  readonly prefix: string;
  readonly include: readonly string[] | undefined;
  readonly exclude: readonly string[];
  readonly maxTools: number;
  readonly maxToolBytes: number;
  readonly maxDescriptionChars: number;
}

/** Characters of a name in a message. */
const shownName = 64;

/**
 * Reads a list.
 *
 * Throws: `not_found` for a name of `include` that the server does not have; `too_large` for too many tools and for one that is too large;
 *         `bad_response` for what is no tool, and for two of one name.
 */
export function listedTools(server: string, list: readonly unknown[], rules: ListingRules): ListedTool[] {
  const { prefix, include, exclude, maxTools } = rules;
  const all = new Map<string, unknown>();
  for (const item of list) {
    const name = wordsOf(shapeOf(item)?.name);
    if (name === undefined) throw bad(server, "lists a tool without a name");
    if (all.has(name)) throw bad(server, `lists two tools named ${shown(name)}`);
    all.set(name, item);
  }
  const missing = include?.find((name) => !all.has(name));
  if (missing !== undefined) {
    const known = plain([...all.keys()].join(", "), 300);
    throw new MillraceError("not_found", `${service}: ${server} has no tool ${shown(missing)}, it has: ${known}`, { service, scope: "dependency" });
  }
  const taken = [...all].filter(([name]) => (include === undefined || include.includes(name)) && !exclude.includes(name));
  if (taken.length > maxTools) {
    throw new MillraceError("too_large", `${service}: ${server} has ${taken.length} tools, at most ${maxTools} are taken: include those that are needed`, { service });
  }
  const names = toolNames(prefix, taken.map(([name]) => name));
  return taken.map(([remote, item], at) => toolOf(server, remote, names[at] ?? remote, item, rules));
}

function toolOf(server: string, remote: string, name: string, item: unknown, { maxToolBytes, maxDescriptionChars }: ListingRules): ListedTool {
  const { description, inputSchema } = shapeOf(item) ?? {};
  const { $schema: _, ...parameters } = schemaOf(server, remote, inputSchema, maxDescriptionChars); // services want the schema itself, not which draft it is of
  if (parameters.type !== "object") throw bad(server, `has a tool ${shown(remote)} whose arguments are no object`);
  const words = plain(wordsOf(description) ?? "", maxDescriptionChars);
  if (utf8Length(JSON.stringify(parameters)) + utf8Length(words) > maxToolBytes) {
    throw new MillraceError("too_large", `${service}: ${server} describes tool ${shown(remote)} in more than ${maxToolBytes} bytes: exclude it, or raise maxToolBytes`, { service });
  }
  return { remote, name, ...(words === "" ? {} : { description: words }), parameters };
}

function schemaOf(server: string, remote: string, schema: unknown, maxChars: number): { readonly [key: string]: JsonValue } {
  try {
    const checked = withPlainWords(checkedJson(schema, "inputSchema"), maxChars);
    if (typeof checked === "object" && checked !== null && !Array.isArray(checked)) return checked as { readonly [key: string]: JsonValue }; // no array, so an object
  } catch {
    // said below
  }
  throw bad(server, `has a tool ${shown(remote)} without a usable schema`);
}

/** Words for people in a schema; a property may have such a name too, but then its value is a schema. */
const wordFields: ReadonlySet<string> = new Set(["description", "title", "$comment"]);

function withPlainWords(value: JsonValue, maxChars: number): JsonValue {
  if (Array.isArray(value)) return value.map((item: JsonValue) => withPlainWords(item, maxChars));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, typeof item === "string" && wordFields.has(key) ? plain(item, maxChars) : withPlainWords(item, maxChars)]),
  );
}

function bad(server: string, what: string): MillraceError {
  return new MillraceError("bad_response", `${service}: ${server} ${what}`, { service });
}

function shown(name: string): string {
  return JSON.stringify(plain(name, shownName));
}
