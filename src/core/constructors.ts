/**
 * How parts are made. Field by field in one order, so that parts of a kind share one hidden class.
 *
 * @module
 */
import { invalidOption, MillraceError, received } from "./errors.ts";
import type {
  BytesPart,
  ErrorPart,
  FinishPart,
  FinishReason,
  JsonPart,
  JsonValue,
  Metadata,
  Part,
  PartOptions,
  Role,
  TextPart,
  ToolCallPart,
  ToolResultPart,
  UriPart,
  Usage,
} from "./part.ts";
import { noMetadata } from "./part.ts";
import { brandSystem } from "./system-brand.ts";

const roles: ReadonlySet<string> = new Set<Role>(["user", "assistant", "system", "tool"]);

/** Is it one of the four roles? */
export function isRole(value: unknown): value is Role {
  return typeof value === "string" && roles.has(value);
}

/**
 * A piece of text.
 *
 * @example
 * console.log(text("hello").role, text("be brief", { role: "system" }).role); // user system
 */
export function text(content: string, options?: PartOptions): TextPart {
  if (typeof content !== "string") throw invalidOption("text", "content", "a string", content);
  if (options === undefined) {
    return { kind: "text", mimeType: "text/plain", role: "user", substream: "", metadata: noMetadata, text: content };
  }
  return branded({
    kind: "text",
    mimeType: options.mimeType ?? "text/plain",
    role: roleOf("text", options, "user"),
    substream: options.substream ?? "",
    metadata: metadataOf("text", options),
    text: content,
  });
}

/**
 * Content in memory. The bytes are shared, not copied: do not write to them afterwards.
 *
 * @example
 * import { readFile } from "node:fs/promises";
 *
 * console.log(bytes(await readFile("report.pdf"), "application/pdf").mimeType); // application/pdf
 */
export function bytes(content: Uint8Array, mimeType: string, options: PartOptions = {}): BytesPart {
  if (!(content instanceof Uint8Array)) throw invalidOption("bytes", "content", "a Uint8Array", content);
  return branded({
    kind: "bytes",
    mimeType: mimeTypeOf("bytes", options.mimeType ?? mimeType),
    role: roleOf("bytes", options, "user"),
    substream: options.substream ?? "",
    metadata: metadataOf("bytes", options),
    bytes: content,
  });
}

/** An image in memory; PNG unless said otherwise. */
export function image(content: Uint8Array, mimeType = "image/png", options: PartOptions = {}): BytesPart {
  return bytes(content, mimeType, options);
}

/** Audio in memory; WAV unless said otherwise. */
export function audio(content: Uint8Array, mimeType = "audio/wav", options: PartOptions = {}): BytesPart {
  return bytes(content, mimeType, options);
}

/** Content elsewhere, by address. Nothing is fetched. */
export function uri(address: string, mimeType: string, options: PartOptions = {}): UriPart {
  if (typeof address !== "string") throw invalidOption("uri", "address", "a string", address);
  return branded({
    kind: "uri",
    mimeType: mimeTypeOf("uri", options.mimeType ?? mimeType),
    role: roleOf("uri", options, "user"),
    substream: options.substream ?? "",
    metadata: metadataOf("uri", options),
    uri: address,
  });
}

/** A JSON value; shared, not copied: do not change it afterwards. */
export function json(value: JsonValue, options: PartOptions = {}): JsonPart {
  if (value === undefined) throw invalidOption("json", "value", "a JSON value", value);
  return branded({
    kind: "json",
    mimeType: options.mimeType ?? "application/json",
    role: roleOf("json", options, "user"),
    substream: options.substream ?? "",
    metadata: metadataOf("json", options),
    value,
  });
}

/** A model's wish to have a tool run; role `assistant`. */
export function toolCall(
  call: { readonly id: string; readonly name: string; readonly arguments: JsonValue },
  options: PartOptions = {},
): ToolCallPart {
  requireIds("toolCall", call);
  return branded({
    kind: "toolCall",
    mimeType: options.mimeType ?? "application/json",
    role: roleOf("toolCall", options, "assistant"),
    substream: options.substream ?? "",
    metadata: metadataOf("toolCall", options),
    id: call.id,
    name: call.name,
    arguments: call.arguments,
  });
}

/** What a tool answered; role `tool`. */
export function toolResult(
  answer: { readonly id: string; readonly name: string; readonly result: JsonValue; readonly isError?: boolean },
  options: PartOptions = {},
): ToolResultPart {
  requireIds("toolResult", answer);
  return branded({
    kind: "toolResult",
    mimeType: options.mimeType ?? "application/json",
    role: roleOf("toolResult", options, "tool"),
    substream: options.substream ?? "",
    metadata: metadataOf("toolResult", options),
    id: answer.id,
    name: answer.name,
    result: answer.result,
    isError: answer.isError ?? false,
  });
}

/** The end of one model turn; role `assistant`. Made by adapters. */
export function finish(
  end: { readonly reason: FinishReason; readonly rawReason?: string; readonly usage?: Usage; readonly model?: string },
  options: PartOptions = {},
): FinishPart {
  return branded({
    kind: "finish",
    mimeType: options.mimeType ?? "application/vnd.millrace.finish",
    role: roleOf("finish", options, "assistant"),
    substream: options.substream ?? "",
    metadata: metadataOf("finish", options),
    reason: end.reason,
    rawReason: end.rawReason ?? end.reason,
    usage: end.usage ?? {},
    model: end.model ?? "",
  });
}

/** An error as data; made by `isolate` alone, on substream `error`, role `tool`. */
export function errorPart(
  error: { readonly code: string; readonly message: string; readonly ordinal: number },
  options: PartOptions = {},
): ErrorPart {
  return {
    kind: "error",
    mimeType: options.mimeType ?? "application/vnd.millrace.error",
    role: roleOf("error", options, "tool"),
    substream: options.substream ?? "error",
    metadata: metadataOf("error", options),
    code: error.code,
    message: error.message,
    ordinal: error.ordinal,
  };
}

/** A message about progress, on the reserved substream `status`: straight to the output, past every later stage. */
export function status(message: string, options: PartOptions = {}): TextPart {
  return text(message, { ...options, substream: "status" });
}

/** A message for whoever debugs, on the reserved substream `debug`. */
export function debug(message: string, options: PartOptions = {}): TextPart {
  return text(message, { ...options, substream: "debug" });
}

// --- what the constructors share ---

function roleOf(who: string, options: PartOptions, role: Role): Role {
  if (options.role === undefined) return role;
  if (isRole(options.role)) return options.role;
  throw invalidOption(who, "role", "user, assistant, system or tool", options.role);
}

function metadataOf(who: string, options: PartOptions): Metadata {
  const given = options.metadata;
  if (given === undefined || given === noMetadata) return noMetadata;
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw invalidOption(who, "metadata", "an object", given);
  return { ...given };
}

function mimeTypeOf(who: string, mimeType: unknown): string {
  if (typeof mimeType === "string" && mimeType.includes("/")) return mimeType;
  throw invalidOption(who, "mimeType", "a type like image/png", mimeType);
}

function requireIds(who: string, value: { readonly id: string; readonly name: string }): void {
  if (typeof value?.id !== "string" || typeof value.name !== "string") {
    throw new MillraceError("invalid_input", `${who}: needs an id and a name, got ${received(value)}`);
  }
}

function branded<P extends Part>(part: P): P {
  if (part.role === "system") brandSystem(part);
  return part;
}
