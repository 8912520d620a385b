/**
 * Messages as AMQP carries them: a body, properties, headers. What came from outside is checked or dropped.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { MillraceError } from "../../core/errors.ts";
import { checkedMetadata } from "../../core/json-border.ts";
import { type Metadata, noMetadata } from "../../core/part.ts";
import { utf8Length } from "../../core/part-size.ts";
import { envelope, type Message, type MessageFormat, readMessage, type ReadMessage, validCorrelationId, validTraceparent, writeMessage } from "../../kinds/envelope.ts";
import { fieldOf, numberOf, textOf } from "../../wire/error-fields.ts";
import type { AmqpMessage } from "./client.ts";
import { service } from "./dial.ts";

/** What a message is known by, the same in every copy of it, where that is not its id: another message may have that too. */
const placeHeader = "x-millrace-place";
/** Deliveries that counted, before the broker began to count: it does so anew with each copy. */
const attemptsHeader = "x-millrace-attempts";
const traceHeader = "traceparent";
/** What the broker writes itself, and what senders forge: never copied, never believed. */
const ofBroker = /^x-(?:death|first-death-|last-death-|delivery-count$|acquired-count$|millrace-)/;
/** By which a sender names further queues, exactly so spelled: in a copy they would get the message once more. */
const ofSender = new Set(["CC", "BCC"]);

/** Bytes of a property: AMQP's short string. */
const maxPropertyBytes = 255;
/** Bytes of the headers of a foreign message: they must fit into one frame, of which brokers allow 128 KiB. */
const maxHeaderBytes = 65_536;
/** Attempts beyond which nobody counts. */
const maxAttempts = 1_000_000;
/** Of a timestamp: the last moment that a `Date` can be. Some senders write other units than the protocol's. */
const maxSeconds = 8.64e12;

/** What is published. */
export interface Packet {
  readonly place: string;
  readonly body: Buffer;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** Our format carries ids and headers itself; a foreign one leaves them to the broker. */
const ownMimeType = envelope().mimeType;

/** A message to send. Throws `too_large`, and `invalid_input` for what a foreign format leaves to the broker and it cannot carry. */
export function packetOf(message: Message, place: string, format: MessageFormat, maxBytes: number): Packet {
  const written = writeMessage(service, format, message);
  if (written.byteLength > maxBytes) throw new MillraceError("too_large", `${service}: a message may have ${maxBytes} bytes, got ${written.byteLength}`);
  const { id, correlationId, traceparent, sentAtMs } = message;
  const isOwn = format.mimeType === ownMimeType;
  const isShort = utf8Length(id) <= maxPropertyBytes;
  if (!isOwn && !isShort) throw new MillraceError("invalid_input", `${service}: an id may have ${maxPropertyBytes} bytes in this format, got ${utf8Length(id)}`);
  const properties: Record<string, unknown> = {
    ...fixed,
    contentType: format.mimeType,
    correlationId,
    messageId: isShort ? id : undefined,
    timestamp: Math.floor(sentAtMs / 1_000),
    // a table costs the client and the broker more than all else here: none where there is nothing to say
    headers: isOwn && place === id && traceparent === undefined ? undefined : headersOf(message, place, isOwn),
  };
  return { place, body: Buffer.from(written.buffer, written.byteOffset, written.byteLength), properties };
}

function headersOf({ id, headers, traceparent }: Message, place: string, isOwn: boolean): Record<string, unknown> {
  const written: Record<string, unknown> = isOwn ? {} : foreignHeaders(headers);
  if (place !== id) written[placeHeader] = place;
  if (traceparent !== undefined) written[traceHeader] = traceparent;
  return written;
}

/** On disk before it is confirmed, and told when there is no such queue. */
const fixed = { persistent: true, mandatory: true };

function foreignHeaders(headers: Metadata): Record<string, unknown> {
  const checked = checkedMetadata(headers, "headers");
  const bytes = utf8Length(JSON.stringify(checked));
  if (bytes > maxHeaderBytes) throw new MillraceError("too_large", `${service}: headers may have ${maxHeaderBytes} bytes, got ${bytes}`);
  return Object.fromEntries(Object.entries(checked).filter(([name]) => !ofBroker.test(name) && name !== traceHeader));
}

/** A message that came, as far as it can be read. */
export interface Opened {
  readonly message: ReadMessage;
  readonly place: string | undefined;
  readonly attempt: number;
}

/** Reads a message; never throws. `counts`: the broker says how often it has delivered it. */
export function opened(came: AmqpMessage, format: MessageFormat, maxBytes: number, counts: boolean): Opened {
  const headers = fieldOf(came.properties, "headers");
  const id = shortText(textOf(came.properties, "messageId"));
  const correlationId = validCorrelationId(fieldOf(came.properties, "correlationId"));
  const traceparent = validTraceparent(fieldOf(headers, traceHeader));
  const seconds = numberOf(came.properties, "timestamp") ?? NaN;
  return {
    message: {
      ...(id === undefined ? {} : { id }),
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(Math.abs(seconds) <= maxSeconds ? { sentAtMs: seconds * 1_000 } : {}),
      headers: format.mimeType === ownMimeType ? noMetadata : metadataIn(headers),
      ...bodyOf(came.content, format, maxBytes),
    },
    place: placeIn(came.properties),
    attempt: 1 + countIn(headers, attemptsHeader) + redeliveries(came, headers, counts),
  };
}

/** What the message of these properties is known by, if it says so. */
export function placeIn(properties: unknown): string | undefined {
  return shortText(textOf(fieldOf(properties, "headers"), placeHeader)) ?? shortText(textOf(properties, "messageId"));
}

function bodyOf(content: Uint8Array, format: MessageFormat, maxBytes: number): ReadMessage {
  if (content.byteLength <= maxBytes) return readMessage(service, format, content);
  return { parts: [], unreadable: new MillraceError("too_large", `${service}: a message may have ${maxBytes} bytes, got ${content.byteLength}`) };
}

/** A message that came, to be published again as it is, but with the attempts made so far. */
export function copyOf(came: AmqpMessage, place: string, attempts: number): Packet {
  const { content, properties } = came;
  const headers: Record<string, unknown> = { [placeHeader]: place, [attemptsHeader]: attempts };
  const old = fieldOf(properties, "headers");
  if (typeof old === "object" && old !== null) for (const [name, value] of Object.entries(old)) if (!ofBroker.test(name) && !ofSender.has(name)) headers[name] = value;
  const copied: Record<string, unknown> = { ...fixed, headers };
  // not `userId`, which the broker would compare with ours, nor `expiration`: a copy has its own
  for (const name of ["contentType", "contentEncoding", "correlationId", "messageId", "timestamp", "type", "appId", "replyTo", "priority"]) {
    const value = fieldOf(properties, name);
    if (value !== undefined) copied[name] = value;
  }
  return { place, body: Buffer.from(content.buffer, content.byteOffset, content.byteLength), properties: copied };
}

/** At a first delivery the broker writes no count: one that is there then was forged. */
function redeliveries({ fields }: AmqpMessage, headers: unknown, counts: boolean): number {
  if (!fields.redelivered) return 0;
  return counts ? countIn(headers, "x-delivery-count") : 1;
}

function countIn(headers: unknown, name: string): number {
  const count = numberOf(headers, name) ?? 0;
  return count >= 0 && count <= maxAttempts ? count : 0;
}

function shortText(value: string | undefined): string | undefined {
  return value !== undefined && value.length <= maxPropertyBytes && value.isWellFormed() && !/[\0-\x1f\x7f]/.test(value) ? value : undefined;
}

/** Headers of a foreign message; none where they are no JSON. */
function metadataIn(headers: unknown): Metadata {
  if (typeof headers !== "object" || headers === null) return noMetadata;
  try {
    return checkedMetadata(Object.fromEntries(Object.entries(headers).filter(([name]) => !ofBroker.test(name) && name !== traceHeader)), "headers");
  } catch {
    return noMetadata;
  }
}
