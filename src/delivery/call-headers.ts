/**
 * What requests and replies of a call say of themselves, in the headers of their messages.
 *
 * @module
 */
import type { Metadata } from "../core/part.ts";
import type { Delivery } from "../kinds/queue.ts";

/** The name of the header. */
const header = "call";
/** Of the form of both. */
const version = 1;

/** What the caller says. */
export interface CallRequest {
  readonly id: string;
  /** The name of the queue that the caller reads: the other side looks it up among its own, it is no address. */
  readonly replyTo: string;
  /** Milliseconds after the sending for which anybody waits. */
  readonly timeoutMs: number;
}

/** One attempt at a call: its replies belong together. */
export interface CallRun {
  readonly id: string;
  readonly attempt: number;
  /** Milliseconds since 1970: of two that count as the same attempt the later one holds. */
  readonly beganMs: number;
}

/** What the other side says with a part, at the end, or of a failure. */
export interface CallReply {
  /** Of the call. */
  readonly id: string;
  readonly run: CallRun;
  /** Of the replies of this run, from 0. */
  readonly n: number;
  /** It has one part, it is the end, or it failed for good. */
  readonly kind: "part" | "end" | "failed";
  /** Of a failure: the code, and the codes of its causes. */
  readonly codes?: readonly string[];
}

/** Headers of a request. */
export function requestHeaders({ id, replyTo, timeoutMs }: CallRequest): Metadata {
  return { [header]: { v: version, id, replyTo, timeoutMs } };
}

/** The request that a message is, if it is one. */
export function requestIn({ headers }: Pick<Delivery, "headers">): CallRequest | undefined {
  const { id, replyTo, timeoutMs } = fieldsIn(headers);
  if (typeof id !== "string" || typeof replyTo !== "string" || typeof timeoutMs !== "number" || !(timeoutMs > 0)) return undefined;
  return { id, replyTo, timeoutMs };
}

/** Headers of the word that nobody waits for a call any more. */
export function cancelHeaders(id: string): Metadata {
  return { [header]: { v: version, cancelled: id } };
}

/** The call that a message cancels, if it does. */
export function cancelledIn({ headers }: Pick<Delivery, "headers">): string | undefined {
  const { cancelled } = fieldsIn(headers);
  return typeof cancelled === "string" ? cancelled : undefined;
}

/** Headers of a reply. */
export function replyHeaders({ id, run, n, kind, codes }: CallReply): Metadata {
  return { [header]: { v: version, id, run: { ...run }, n, kind, ...(codes === undefined ? {} : { codes: [...codes] }) } };
}

/** The reply that a message is, if it is one. */
export function replyIn({ headers }: Pick<Delivery, "headers">): CallReply | undefined {
  const { id, run, n, kind, codes } = fieldsIn(headers);
  const about = objectOf(run);
  if (typeof id !== "string" || typeof n !== "number" || !Number.isSafeInteger(n) || n < 0) return undefined;
  if (typeof about["id"] !== "string" || typeof about["attempt"] !== "number" || typeof about["beganMs"] !== "number") return undefined;
  if (kind !== "part" && kind !== "end" && kind !== "failed") return undefined;
  const named = Array.isArray(codes) ? codes.filter((code) => typeof code === "string") : [];
  return { id, run: { id: about["id"], attempt: about["attempt"], beganMs: about["beganMs"] }, n, kind, codes: named };
}

function fieldsIn(headers: Metadata): Readonly<Record<string, unknown>> {
  const fields = objectOf(headers[header]);
  return fields["v"] === version ? fields : {};
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}
