/**
 * Pieces of a JSON text as they stand there: numbers above 2^53 do not survive parsing.
 *
 * @module
 */

/** The text of the arguments of each function call in an event, in order; the event has been parsed, so it is JSON. */
export function rawArguments(event: string): string[] {
  if (!event.includes('"functionCall"')) return [];
  const parts = ["candidates", "0", "content", "parts"].reduce<string>((text, key) => memberOf(text, key) ?? "", event);
  return [...members(parts)].flatMap(([, part]) => {
    const call = memberOf(part, "functionCall");
    return call === undefined ? [] : [memberOf(call, "args") ?? ""];
  });
}

/** What runtimes of today have, and the types of the language not yet. */
interface ExactJson {
  rawJSON?(text: string): unknown;
  parse(text: string, reviver: (key: string, value: unknown, context?: { readonly source?: string }) => unknown): unknown;
}

/** A value that is written as the text has it, where the runtime can; undefined where it cannot, and for what is no JSON. */
export function exactJson(text: string): unknown {
  const exact: ExactJson = JSON;
  if (exact.rawJSON === undefined) return undefined;
  try {
    return exact.parse(text, (_, value, context) => (typeof value === "number" && context?.source !== undefined ? exact.rawJSON?.(context.source) : value));
  } catch {
    return undefined;
  }
}

/** The last of a name counts, as it does in parsing. */
function memberOf(text: string, key: string): string | undefined {
  let found: string | undefined;
  for (const [name, value] of members(text)) if (name === key) found = value;
  return found;
}

/** Names and texts of an object's members, or places and texts of an array's items; nothing of anything else. */
function* members(text: string): Generator<readonly [name: string, value: string]> {
  let at = skipSpace(text, 0);
  const isObject = text[at] === "{";
  if (!isObject && text[at] !== "[") return;
  at = skipSpace(text, at + 1);
  for (let place = 0; at < text.length && text[at] !== "}" && text[at] !== "]"; place += 1) {
    let name = String(place);
    if (isObject) {
      const end = endOfValue(text, at);
      name = String(JSON.parse(text.slice(at, end)));
      at = skipSpace(text, skipSpace(text, end) + 1); // behind the colon
    }
    const end = endOfValue(text, at);
    yield [name, text.slice(at, end).trimEnd()];
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
}

function endOfValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const sign = text[at];
    if (sign === '"') {
      at = endOfString(text, at);
      if (depth === 0) return at + 1;
    } else if (sign === "{" || sign === "[") {
      depth += 1;
    } else if (sign === "}" || sign === "]") {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (sign === "," && depth === 0) {
      return at;
    }
  }
  return text.length;
}

/** The place of the quote that ends the string begun at `from`. */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text[at - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return at;
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && " \t\r\n".includes(text[at] ?? "")) at += 1;
  return at;
}
