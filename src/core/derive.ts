/**
 * The only way to change a part: make another.
 *
 * @module
 */
import { isRole } from "./constructors.ts";
import { invalidOption, MillraceError, received } from "./errors.ts";
import type { JsonValue, Metadata, Part, Role } from "./part.ts";
import { noMetadata } from "./part.ts";
import { brandSystem, isTrustedSystem } from "./system-brand.ts";

/** What `derive` may change; what is not named is shared with the original. */
export interface PartChanges {
  readonly mimeType?: string;
  readonly role?: Role;
  readonly substream?: string;
  /** Replaces the metadata, does not merge. */
  readonly metadata?: Metadata;
  readonly text?: string;
  readonly bytes?: Uint8Array;
  readonly uri?: string;
  readonly value?: JsonValue;
  readonly arguments?: JsonValue;
  readonly result?: JsonValue;
  readonly isError?: boolean;
}

/**
 * A new part like the given one but for the changes; the original stays as it is.
 *
 * Throws `invalid_input` for a field that parts of this kind do not have (so the kind cannot be changed), for one of the
 * wrong type and for an unknown role. Bytes and values are shared by reference.
 *
 * @example
 * const part = text("hello", { metadata: { page: { number: 3 } } });
 * const loud = derive(part, { text: part.text.toUpperCase(), metadata: { ...part.metadata, loud: true } });
 * console.log(loud.text, loud.metadata); // HELLO { page: { number: 3 }, loud: true }
 */
export function derive<P extends Part>(part: P, changes: PartChanges): P {
  if ("kind" in changes) throw new MillraceError("invalid_input", `derive: the kind of a part cannot be changed, got ${received(changes.kind)}`);
  const metadata = changes.metadata === undefined ? part.metadata : metadataOf(changes.metadata);
  const made = rebuild(part, changes, metadata);
  if (made.role === "system" && changes.role === undefined && changes.text === undefined && isTrustedSystem(part)) brandSystem(made);
  return made as P; // the same kind: `check` refused everything else
}

// One literal a kind, field by field, and no loop over the changes: this is what pipelines spend their time in.
function rebuild(part: Part, changes: PartChanges, metadata: Metadata): Part {
  const mimeType = changes.mimeType === undefined ? part.mimeType : string("mimeType", changes.mimeType);
  const substream = changes.substream === undefined ? part.substream : string("substream", changes.substream);
  const role = changes.role === undefined ? part.role : roleOf(changes.role);
  const { kind } = part;
  if (changes.text !== undefined && kind !== "text") throw foreign(part, "text", changes.text);
  if (changes.bytes !== undefined && kind !== "bytes") throw foreign(part, "bytes", changes.bytes);
  if (changes.uri !== undefined && kind !== "uri") throw foreign(part, "uri", changes.uri);
  if (changes.value !== undefined && kind !== "json") throw foreign(part, "value", changes.value);
  if (changes.arguments !== undefined && kind !== "toolCall") throw foreign(part, "arguments", changes.arguments);
  if (changes.result !== undefined && kind !== "toolResult") throw foreign(part, "result", changes.result);
  if (changes.isError !== undefined && kind !== "toolResult") throw foreign(part, "isError", changes.isError);
  switch (kind) {
    case "text":
      return { kind: "text", mimeType, role, substream, metadata, text: changes.text === undefined ? part.text : string("text", changes.text) };
    case "bytes":
      return { kind: "bytes", mimeType, role, substream, metadata, bytes: changes.bytes === undefined ? part.bytes : bytesOf(changes.bytes) };
    case "uri":
      return { kind: "uri", mimeType, role, substream, metadata, uri: changes.uri === undefined ? part.uri : string("uri", changes.uri) };
    case "json":
      return { kind: "json", mimeType, role, substream, metadata, value: given(changes.value, part.value) };
    case "toolCall": {
      const args = given(changes.arguments, part.arguments);
      return { kind: "toolCall", mimeType, role, substream, metadata, id: part.id, name: part.name, arguments: args };
    }
    case "toolResult": {
      const result = given(changes.result, part.result);
      const isError = changes.isError ?? part.isError;
      if (typeof isError !== "boolean") throw invalidOption("derive", "isError", "a boolean", isError);
      return { kind: "toolResult", mimeType, role, substream, metadata, id: part.id, name: part.name, result, isError };
    }
    case "finish": {
      const { reason, rawReason, usage, model } = part;
      return { kind: "finish", mimeType, role, substream, metadata, reason, rawReason, usage, model };
    }
    case "error": {
      const { code, message, ordinal } = part;
      return { kind: "error", mimeType, role, substream, metadata, code, message, ordinal };
    }
    default:
      throw new MillraceError("invalid_input", `derive: needs a part, got ${received(part)}`);
  }
}

/** `null` is a JSON value like others, so only `undefined` means "not named". */
function given(changed: JsonValue | undefined, value: JsonValue): JsonValue {
  return changed === undefined ? value : changed;
}

function string(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw invalidOption("derive", name, "a string", value);
}

function roleOf(value: unknown): Role {
  if (isRole(value)) return value;
  throw invalidOption("derive", "role", "user, assistant, system or tool", value);
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw invalidOption("derive", "bytes", "a Uint8Array", value);
}

/** A copy, so that later changes to the object do not reach the part. */
function metadataOf(value: unknown): Metadata {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalidOption("derive", "metadata", "an object", value);
  for (const _ in value) return { ...value };
  return noMetadata;
}

function foreign(part: Part, name: string, value: unknown): MillraceError {
  return new MillraceError("invalid_input", `derive: a ${part.kind} part has no ${name}, got ${received(value)}`);
}
