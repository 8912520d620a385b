/**
 * What becomes of a message that cannot be worked on: it is set aside with the reason, and can be sent back.
 *
 * @module
 */
import { isMillraceError } from "../core/errors.ts";
import type { Metadata, Part } from "../core/part.ts";
import type { Delivery, Queue, SendOptions } from "../kinds/queue.ts";
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

/** What is said of a failure. */
export function deadLetterOf(delivery: Delivery, attempt: number, failure: { readonly error: unknown; readonly stage: Stage; readonly emitted: number }): DeadLetter {
  const { error, stage, emitted } = failure;
  const firstSeen = new Date(delivery.sentAtMs ?? Date.now()).toISOString();
  return { v: 1, id: delivery.id, attempt, code: codeOf(error), stage, causeCodes: causesOf(error).map(codeOf), emitted, firstSeen };
}

/** Sets a message aside; resolves once that is confirmed. Says whether the parts are with it. */
export async function setAside(target: DeadLetters, message: DeadMessage): Promise<DeadLetter> {
  const send = async (letter: DeadLetter, parts: readonly Part[]): Promise<DeadLetter> => {
    if (typeof target === "function") await target({ ...message, letter, parts });
    else await target.send(parts, { headers: headersOf(message.delivery, letter), signal: message.signal, ...known(message.delivery, target) });
    return letter;
  };
  try {
    return await send(message.letter, message.parts);
  } catch (error) {
    if (!isMillraceError(error, "too_large")) throw error;
    return send({ ...message.letter, reference: true }, []); // it would be too large for ever
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

/** What a message is known by, and ordered by, in whichever queue that can. */
export function known({ key, correlationId, traceparent, messageId }: Delivery, target: Queue): SendOptions {
  return {
    ...(key === undefined || target.lacks.keys !== undefined ? {} : { key }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(messageId === undefined ? {} : { id: messageId }),
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
