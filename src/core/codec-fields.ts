/**
 * The fields of an encoded part, each checked.
 *
 * @module
 */
import { isRole } from "./constructors.ts";
import { MillraceError, received } from "./errors.ts";
import { checkedJson, checkedMetadata, wellFormed } from "./json-border.ts";
import type { FinishReason, JsonValue, Part, Role, Usage } from "./part.ts";
import { noMetadata } from "./part.ts";

type Fields = Readonly<Record<string, unknown>>;

const reasons: ReadonlySet<string> = new Set<FinishReason>([
  "stop",
  "length",
  "tool_calls",
  "content_filter",
  "refusal",
  "pause",
  "other",
]);

const tokenFields = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"] as const;

/** The part that the fields describe; how its bytes are given is the caller's matter. */
export function decodeFields(fields: Fields, decodeBytes: (bytes: unknown) => Uint8Array): Part {
  const kind = own(fields, "kind");
  const common = (mimeType: string | undefined, role: Role, substream = "") => ({
    mimeType: optionalText(fields, "mimeType") ?? mimeType ?? missing("mimeType"),
    role: roleOf(fields) ?? role,
    substream: optionalText(fields, "substream") ?? substream,
    metadata: own(fields, "metadata") === undefined ? noMetadata : checkedMetadata(own(fields, "metadata"), "metadata"),
  });
  switch (kind) {
    case "text":
      return { kind, ...common("text/plain", "user"), text: textOf(fields, "text") };
    case "bytes":
      return { kind, ...common(undefined, "user"), bytes: decodeBytes(own(fields, "bytes")) };
    case "uri":
      return { kind, ...common(undefined, "user"), uri: textOf(fields, "uri") };
    case "json":
      return { kind, ...common("application/json", "user"), value: jsonOf(fields, "value") };
    case "toolCall": {
      const args = jsonOf(fields, "arguments");
      return { kind, ...common("application/json", "assistant"), id: textOf(fields, "id"), name: textOf(fields, "name"), arguments: args };
    }
    case "toolResult": {
      const result = jsonOf(fields, "result");
      const isError = own(fields, "isError") ?? false;
      if (typeof isError !== "boolean") throw wrong("isError", "a boolean", isError);
      return { kind, ...common("application/json", "tool"), id: textOf(fields, "id"), name: textOf(fields, "name"), result, isError };
    }
    case "finish":
      return {
        kind,
        ...common("application/vnd.millrace.finish", "assistant"),
        reason: reasonOf(fields),
        rawReason: textOf(fields, "rawReason"),
        usage: usageOf(fields),
        model: textOf(fields, "model"),
      };
    case "error": {
      const ordinal = own(fields, "ordinal");
      if (typeof ordinal !== "number" || !Number.isSafeInteger(ordinal) || ordinal < 0) throw wrong("ordinal", "a whole number", ordinal);
      const message = textOf(fields, "message");
      return { kind, ...common("application/vnd.millrace.error", "tool", "error"), code: textOf(fields, "code"), message, ordinal };
    }
    default:
      throw wrong("kind", "a known kind of part", kind);
  }
}

/** Own fields only: a name must not find what stands on a prototype. */
function own(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

function textOf(fields: Fields, name: string): string {
  const value = own(fields, name);
  if (typeof value !== "string") throw wrong(name, "a string", value);
  return wellFormed(value);
}

function optionalText(fields: Fields, name: string): string | undefined {
  return own(fields, name) === undefined ? undefined : textOf(fields, name);
}

function jsonOf(fields: Fields, name: string): JsonValue {
  return checkedJson(own(fields, name), name);
}

function roleOf(fields: Fields): Role | undefined {
  const role = own(fields, "role");
  if (role === undefined || isRole(role)) return role;
  throw wrong("role", "user, assistant, system or tool", role);
}

function reasonOf(fields: Fields): FinishReason {
  const reason = textOf(fields, "reason");
  if (!reasons.has(reason)) throw wrong("reason", "a known finish reason", reason);
  return reason as FinishReason; // just looked up
}

function usageOf(fields: Fields): Usage {
  const value = own(fields, "usage") ?? {};
  if (typeof value !== "object" || Array.isArray(value)) throw wrong("usage", "an object", value);
  const usage: Record<string, number | boolean> = {};
  for (const name of tokenFields) {
    const tokens = own(value as Fields, name);
    if (tokens === undefined) continue;
    if (typeof tokens !== "number" || !Number.isFinite(tokens) || tokens < 0) throw wrong(`usage.${name}`, "a number from 0", tokens);
    usage[name] = tokens;
  }
  const partial = own(value as Fields, "partial");
  if (partial !== undefined && typeof partial !== "boolean") throw wrong("usage.partial", "a boolean", partial);
  if (partial !== undefined) usage.partial = partial;
  return usage;
}

function missing(name: string): never {
  throw wrong(name, "given", undefined);
}

function wrong(name: string, expected: string, value: unknown): MillraceError {
  return new MillraceError("invalid_input", `codec: ${name} must be ${expected}, got ${received(value)}`);
}
