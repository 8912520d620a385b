/**
 * JSON from outside, checked before it is let in.
 *
 * @module
 */
import { MillraceError, received } from "./errors.ts";
import type { JsonValue, Metadata } from "./part.ts";
import { noMetadata } from "./part.ts";

/** Levels of nesting, the top object counting as one. */
const maxDepth = 64;
/** Keys of one object. */
const maxKeys = 1_024;

/** Names that would reach a prototype where a key is assigned. */
const forbidden: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/** Where a value stands, for messages: `metadata.openai.list[2]`. */
type Path = string;

/**
 * A copy of a JSON value: plain objects and arrays, nothing else.
 *
 * Throws `invalid_input`, naming the place, for what is no JSON (functions, cycles, `NaN`, class instances), for keys that
 * would reach a prototype, and for more than 64 levels or 1,024 keys an object. Lone surrogates become U+FFFD.
 */
export function checkedJson(value: unknown, path: Path, depth = 1): JsonValue {
  switch (typeof value) {
    case "string":
      return wellFormed(value);
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      break;
    case "object":
      if (value === null) return null;
      if (depth > maxDepth) throw refused(path, `is nested deeper than ${maxDepth} levels`);
      if (Array.isArray(value)) return value.map((item: unknown, index) => checkedJson(item, `${path}[${index}]`, depth + 1));
      if (isPlain(value)) return checkedObject(value, {}, path, depth);
      break;
    default:
  }
  throw refused(path, `must be a JSON value, got ${received(value)}`);
}

/** Metadata: an object of JSON values, without a prototype, so that a name from data finds only what was put there. */
export function checkedMetadata(value: unknown, path: Path): Metadata {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !isPlain(value)) {
    throw refused(path, `must be an object, got ${received(value)}`);
  }
  for (const _ in value) return checkedObject(value, Object.create(null) as Record<string, JsonValue>, path, 1);
  return noMetadata;
}

function checkedObject(value: object, target: Record<string, JsonValue>, path: Path, depth: number): Record<string, JsonValue> {
  const entries = Object.entries(value);
  if (entries.length > maxKeys) throw refused(path, `has more than ${maxKeys} keys`);
  for (const [key, item] of entries) {
    if (forbidden.has(key)) throw refused(path, `has the key ${key}`);
    if (item !== undefined) target[wellFormed(key)] = checkedJson(item, `${path}.${key.slice(0, 40)}`, depth + 1);
  }
  return target;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function refused(path: Path, what: string): MillraceError {
  return new MillraceError("invalid_input", `codec: ${path.slice(0, 200)} ${what}`);
}

/** A string that UTF-8 can carry: each lone surrogate replaced, the same way every time. */
export function wellFormed(text: string): string {
  return text.isWellFormed() ? text : text.toWellFormed();
}
