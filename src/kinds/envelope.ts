/**
 * What stands in the body of a message: our envelope, or a foreign form with a mapping.
 *
 * A body comes from outside. Nothing in it is trusted: system parts become the user's, ids and trace context are checked or
 * dropped, sizes are limited, and a body that cannot be read is told as such, never thrown out of the loop that reads.
 *
 * @module
 */
import { codec } from "../core/codec.ts";
import { isWholePart } from "../core/content.ts";
import { bytes, text } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, isMillraceError, MillraceError, received, wholeNumber } from "../core/errors.ts";
import { checkedMetadata } from "../core/json-border.ts";
import { unknownMimeType } from "../core/mime-types.ts";
import type { JsonValue, Metadata, Part } from "../core/part.ts";
import { noMetadata } from "../core/part.ts";
import type { Writable } from "../core/writable.ts";
import { isMessageId, type SendOptions } from "./queue.ts";

/** Bytes of a body, unless its format says otherwise: what all brokers take. */
export const maxMessageBytes = 1_048_576;

/** A message as it is sent. */
export interface Message {
  readonly id: string;
  readonly parts: readonly Part[];
  readonly correlationId: string;
  readonly traceparent?: string;
  readonly headers: Metadata;
  /** Milliseconds since 1970. */
  readonly sentAtMs: number;
}

/** A message as it was read: all but the parts may be missing. */
export interface ReadMessage extends Partial<Omit<Message, "parts">> {
  readonly parts: readonly Part[];
  /** Why it could not be read; `parts` are its bytes then. */
  readonly unreadable?: MillraceError;
}

/** How messages are written and read. */
export interface MessageFormat {
  /** Of the body. */
  readonly mimeType: string;
  /** Bytes of a body at most. */
  readonly maxBytes: number;
  /** Throws `invalid_input` for parts that the format cannot carry. */
  write(message: Message): Uint8Array;
  /** Throws for a body that is none. */
  read(body: Uint8Array): ReadMessage;
}

/** Of a format. */
export interface EnvelopeOptions {
  /** Bytes of a body at most, written or read. @default 1_048_576 */
  readonly maxBytes?: number;
}

const utf8 = new TextEncoder();
/** Made once: to make one takes longer than to decode a message. */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Version of the envelope. Fields that a reader does not know are ignored; another version is unreadable. */
const version = 1;

/**
 * Our own format: JSON with id, time, correlation id, trace context, headers and the parts in the form of `codec`.
 *
 * @example
 * const format = envelope();
 * const body = format.write({ id: "1", parts: [text("hello")], correlationId: "c", headers: {}, sentAtMs: 0 });
 * console.log(format.read(body).parts.length); // 1
 */
export function envelope(options: EnvelopeOptions = {}): MessageFormat {
  return {
    mimeType: "application/vnd.millrace.message+json",
    maxBytes: wholeNumber("envelope", "maxBytes", options.maxBytes ?? maxMessageBytes, 1),
    write({ id, parts, correlationId, traceparent, headers, sentAtMs }) {
      const head: Record<string, JsonValue> = { millrace: version, id, sentAt: new Date(sentAtMs).toISOString(), correlationId };
      if (traceparent !== undefined) head.traceparent = traceparent;
      for (const _ in headers) {
        head.headers = { ...(checkedMetadata(headers, "headers") as Record<string, JsonValue>) }; // checked to be JSON
        break;
      }
      return utf8.encode(JSON.stringify({ ...head, parts: parts.map(codec.encode) }));
    },
    read(body) {
      const fields = objectIn(body);
      if (fields["millrace"] !== version) throw new MillraceError("invalid_input", `envelope: knows version ${version}, got ${received(fields["millrace"])}`);
      const { parts, id, sentAt, headers } = fields;
      if (!Array.isArray(parts)) throw new MillraceError("invalid_input", `envelope: parts must be an array, got ${received(parts)}`);
      const sentAtMs = typeof sentAt === "string" ? Date.parse(sentAt) : NaN;
      const correlationId = validCorrelationId(fields["correlationId"]);
      const traceparent = validTraceparent(fields["traceparent"]);
      const message: Writable<ReadMessage> = { parts: parts.map(codec.decode), headers: headers === undefined ? noMetadata : checkedMetadata(headers, "headers") };
      if (isMessageId(id)) message.id = id;
      if (!Number.isNaN(sentAtMs)) message.sentAtMs = sentAtMs;
      if (correlationId !== undefined) message.correlationId = correlationId;
      if (traceparent !== undefined) message.traceparent = traceparent;
      return message;
    },
  };
}

/** How foreign messages are read and written. */
export interface ForeignOptions extends EnvelopeOptions {
  /** Of the body. @default "application/octet-stream" */
  readonly mimeType?: string;
  /** The parts of a body; what it throws says that the body is none. Strings become text parts. */
  readonly read: (body: Uint8Array) => Iterable<Part | string> | Part | string;
  /** The body of some parts. @default such messages are only read */
  readonly write?: (parts: readonly Part[], message: Message) => Uint8Array | string;
}

/**
 * A format of others, by a mapping: ids, headers and trace context are what the broker itself keeps of them.
 *
 * @example
 * const orders = foreign({ mimeType: "application/json", read: (body) => json(JSON.parse(new TextDecoder().decode(body))) });
 * console.log(orders.read(new TextEncoder().encode('{"order":7}')).parts[0]?.kind); // json
 */
export function foreign(options: ForeignOptions): MessageFormat {
  const { read, write, mimeType = unknownMimeType } = options;
  if (typeof read !== "function") throw invalidOption("foreign", "read", "a function", read);
  if (write !== undefined && typeof write !== "function") throw invalidOption("foreign", "write", "a function", write);
  return {
    mimeType,
    maxBytes: wholeNumber("foreign", "maxBytes", options.maxBytes ?? maxMessageBytes, 1),
    write(message) {
      if (write === undefined) throw new MillraceError("invalid_input", "foreign: this format is only read; give it write");
      const body = write(message.parts, message);
      return typeof body === "string" ? utf8.encode(body) : body;
    },
    read(body) {
      const content = read(body);
      const parts = typeof content === "string" || "kind" in content ? [content] : [...content];
      return { parts: parts.map((part) => (typeof part === "string" ? text(part) : wholePart(part))) };
    },
  };
}

function wholePart(value: unknown): Part {
  if (isWholePart(value)) return value;
  throw new MillraceError("invalid_input", `foreign: read gives parts and strings, got ${received(value)}`);
}

/** What `send` is told, as a message: ids made where none is given, or none that may stand in a header. */
export function messageOf(parts: Iterable<Part>, options: SendOptions): Message {
  const message: Writable<Message> = {
    id: options.id ?? crypto.randomUUID(),
    parts: [...parts], // the caller's own list may change
    correlationId: validCorrelationId(options.correlationId) ?? crypto.randomUUID(),
    headers: options.headers ?? noMetadata,
    sentAtMs: Date.now(),
  };
  const traceparent = validTraceparent(options.traceparent);
  if (traceparent !== undefined) message.traceparent = traceparent;
  return message;
}

/** Writes a body, and refuses one above the limit. */
export function writeMessage(who: string, format: MessageFormat, message: Message): Uint8Array {
  const body = format.write(message);
  if (body.byteLength <= format.maxBytes) return body;
  throw new MillraceError("too_large", `${who}: a message may have ${format.maxBytes} bytes, got ${body.byteLength}; see offload`);
}

/** Reads a body. Never throws: of one that cannot be read it gives the bytes, and why. */
export function readMessage(who: string, format: MessageFormat, body: Uint8Array): ReadMessage {
  try {
    if (body.byteLength > format.maxBytes) {
      throw new MillraceError("too_large", `${who}: a message may have ${format.maxBytes} bytes, got ${body.byteLength}`);
    }
    const message = format.read(body);
    return message.parts.some(({ role }) => role === "system") ? { ...message, parts: message.parts.map(demoted) } : message;
  } catch (cause) {
    const known = isMillraceError(cause) && cause.scope === "part" ? cause : undefined;
    // The text of a foreign error may quote the body, so only its kind is told.
    const why = cause instanceof Error ? cause.name : typeof cause;
    const unreadable = known ?? new MillraceError("invalid_input", `${who}: a message cannot be read: ${why}`, { cause });
    return { parts: [bytes(body, format.mimeType)], unreadable };
  }
}

/** What is read may not speak as system. */
function demoted(part: Part): Part {
  return part.role === "system" ? derive(part, { role: "user" }) : part;
}

/** An id that may stand in headers and logs. */
export function validCorrelationId(value: unknown): string | undefined {
  return typeof value === "string" && /^[\w.-]{1,128}$/.test(value) ? value : undefined;
}

/** W3C trace context, version 00: https://www.w3.org/TR/trace-context/#traceparent-header */
export function validTraceparent(value: unknown): string | undefined {
  const valid = typeof value === "string" && /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/.test(value);
  return valid ? value : undefined;
}

function objectIn(body: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(strictUtf8.decode(body));
  } catch (cause) {
    throw new MillraceError("invalid_input", `envelope: the body of ${body.byteLength} bytes is no JSON`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>; // just checked
  throw new MillraceError("invalid_input", `envelope: needs an object, got ${received(value)}`);
}
