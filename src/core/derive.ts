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

/** The content each kind has, besides what every part has. */
const contentOf: Readonly<Record<Part["kind"], ReadonlySet<string>>> = {
  text: new Set(["text"]),
  bytes: new Set(["bytes"]),
  uri: new Set(["uri"]),
  json: new Set(["value"]),
  toolCall: new Set(["arguments"]),
  toolResult: new Set(["result", "isError"]),
  finish: new Set(),
  error: new Set(),
};
const common: ReadonlySet<string> = new Set(["mimeType", "role", "substream", "metadata"]);

/**
 * A new part like the given one but for the changes; the original stays as it is.
 *
 * Throws `invalid_input` for a field that parts of this kind do not have (so the kind cannot be changed), for one of the
 * wrong type and for an unknown role. Bytes and values are shared by reference.
 *
 * @example
 * derive(part, { text: part.text.toUpperCase() });
 * derive(part, { metadata: { ...part.metadata, page: { number: 3 } } });
 */
export function derive<P extends Part>(part: P, changes: PartChanges): P {
  for (const name in changes) check(part, name, changes);
  const metadata = changes.metadata === undefined ? part.metadata : copy(changes.metadata);
  const made = rebuild(part, changes, metadata);
  if (made.role === "system" && changes.role === undefined && changes.text === undefined && isTrustedSystem(part)) brandSystem(made);
  return made as P; // the same kind: `check` refused everything else
}

// One literal a kind, field by field: a spread costs twice as much, and this is what pipelines spend their time in.
function rebuild(part: Part, changes: PartChanges, metadata: Metadata): Part {
  const mimeType = changes.mimeType ?? part.mimeType;
  const role = changes.role ?? part.role;
  const substream = changes.substream ?? part.substream;
  switch (part.kind) {
    case "text":
      return { kind: "text", mimeType, role, substream, metadata, text: changes.text ?? part.text };
    case "bytes":
      return { kind: "bytes", mimeType, role, substream, metadata, bytes: changes.bytes ?? part.bytes };
    case "uri":
      return { kind: "uri", mimeType, role, substream, metadata, uri: changes.uri ?? part.uri };
    case "json":
      return { kind: "json", mimeType, role, substream, metadata, value: given(changes.value, part.value) };
    case "toolCall": {
      const args = given(changes.arguments, part.arguments);
      return { kind: "toolCall", mimeType, role, substream, metadata, id: part.id, name: part.name, arguments: args };
    }
    case "toolResult": {
      const result = given(changes.result, part.result);
      const isError = changes.isError ?? part.isError;
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

function copy(metadata: Metadata): Metadata {
  for (const _ in metadata) return { ...metadata };
  return noMetadata;
}

function check(part: Part, name: string, changes: PartChanges): void {
  const value = changes[name as keyof PartChanges];
  if (value === undefined) return;
  if (!common.has(name) && !contentOf[part.kind]?.has(name)) {
    throw new MillraceError("invalid_input", `derive: a ${part.kind} part has no ${name} that can be changed, got ${received(value)}`);
  }
  switch (name) {
    case "role":
      if (!isRole(value)) throw invalidOption("derive", name, "user, assistant, system or tool", value);
      return;
    case "metadata":
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalidOption("derive", name, "an object", value);
      return;
    case "bytes":
      if (!(value instanceof Uint8Array)) throw invalidOption("derive", name, "a Uint8Array", value);
      return;
    case "isError":
      if (typeof value !== "boolean") throw invalidOption("derive", name, "a boolean", value);
      return;
    case "mimeType":
    case "substream":
    case "text":
    case "uri":
      if (typeof value !== "string") throw invalidOption("derive", name, "a string", value);
  }
}
