/**
 * What becomes of a message that cannot be worked on: it is set aside with the reason, and can be sent back.
 *
 * @module
 */
import { isMillraceError } from "../core/errors.ts";
import type { Metadata, Part } from "../core/part.ts";
import { type Delivery, isKey, isMessageId, type Queue, type SendOptions } from "../kinds/queue.ts";
import type { Stage } from "./attempt.ts";

/** Why a message was set aside. No message of a foreign error is in it: such may quote anything. */
export interface DeadLetter {
  readonly v: 1;
  /** Of the delivery. */
  readonly id: string;
  readonly attempt: number;
  /** The code of the error, or `unknown` for one that is not ours. */
  readonly code: string;
  readonly stage: Stage;
  /** The codes of what caused it, the nearest first; names of foreign errors. */
  readonly causeCodes: readonly string[];
  /** Outputs that were confirmed before, and stay. */
  readonly emitted: number;
  /** ISO 8601: when the message was sent, if it says so, else when this worker first saw it. */
  readonly firstSeen: string;
  /** The parts are not with it, as they were too large for the dead letters: the message of `id` was all there is of them. */
  readonly reference?: true;
}

/** A dead letter with the parts of its message. */
export interface DeadMessage {
  readonly letter: DeadLetter;
  readonly parts: readonly Part[];
  readonly delivery: Delivery;
  readonly signal: AbortSignal;
}

/** Where dead letters go: a queue, or a function that resolves once one is safe. */
export type DeadLetters = Queue | ((message: DeadMessage) => Promise<void>);

/** The name of the header. */
const header = "deadLetter";
/** Causes that are looked at. */
const maxCauses = 8;
/** The last moment that a `Date` can be: https://tc39.es/ecma262/#sec-time-values-and-time-range */
const maxDateMs = 8.64e15;

/** What is said of a failure. */
export function deadLetterOf(delivery: Delivery, attempt: number, failure: { readonly error: unknown; readonly stage: Stage; readonly emitted: number }): DeadLetter {
  const { error, stage, emitted } = failure;
  const sentAtMs = delivery.sentAtMs ?? NaN;
  const firstSeen = new Date(Math.abs(sentAtMs) <= maxDateMs ? sentAtMs : Date.now()).toISOString(); // what a message says may be no time
  return { v: 1, id: delivery.id, attempt, code: codeOf(error), stage, causeCodes: causesOf(error).map(codeOf), emitted, firstSeen };
}

/**
 * Sets a message aside; resolves once that is confirmed. Says whether the parts are with it.
 *
 * What a queue refuses it would refuse for ever, and the message would be in the way for as long: then it is sent without what stood beside its
 * parts (`bare`), and without its parts where they are too large.
 */
export async function setAside(target: DeadLetters, message: DeadMessage, bare = false): Promise<DeadLetter> {
  const { letter, parts, delivery, signal } = message;
  try {
    if (typeof target === "function") await target(message);
    else if (bare) await target.send(parts, { headers: { [header]: { ...letter } }, signal });
    else await target.send(parts, { headers: headersOf(delivery, letter), signal, ...known(delivery, target) });
    return letter;
  } catch (error) {
    if (isMillraceError(error, "too_large") && letter.reference !== true) return setAside(target, { ...message, letter: { ...letter, reference: true }, parts: [] }, bare);
    if (isMillraceError(error, "invalid_input") && typeof target !== "function" && !bare) return setAside(target, message, true);
    throw error;
  }
}

/** The dead letter that a delivery is, if it is one. */
export function letterIn({ headers }: Delivery): DeadLetter | undefined {
  const letter = headers[header];
  if (typeof letter !== "object" || letter === null || !("v" in letter) || letter.v !== 1) return undefined;
  return "id" in letter && typeof letter.id === "string" ? (letter as DeadLetter) : undefined; // its other fields are for people
}

/** The headers that a message had before it was set aside. */
export function withoutLetter({ headers }: Delivery): Metadata {
  const { [header]: _, ...rest } = headers;
  return rest;
}

/** What a message is known by, and ordered by, in whichever queue that can. Foreign messages may have what none of ours can be sent with. */
export function known({ key, correlationId, traceparent, messageId }: Delivery, target: Queue): SendOptions {
  return {
    ...(isKey(key) && target.lacks.keys === undefined ? { key } : {}),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(isMessageId(messageId) ? { id: messageId } : {}),
  };
}

function headersOf(delivery: Delivery, letter: DeadLetter): Metadata {
  return { ...delivery.headers, [header]: { ...letter } };
}

function codeOf(error: unknown): string {
  if (isMillraceError(error)) return error.code;
  return error instanceof Error && /^\w{1,40}$/.test(error.name) ? `unknown:${error.name}` : "unknown";
}

function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && cause !== null && causes.length < maxCauses) {
    causes.push(cause);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}
