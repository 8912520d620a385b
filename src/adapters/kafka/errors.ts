/**
 * Errors of Kafka and its client in our words.
 *
 * @module
 */
import { isMillraceError, MillraceError } from "../../core/errors.ts";
import { fieldOf, textOf } from "../../wire/error-fields.ts";
import { kafkaFault } from "../../wire/kafka-errors.ts";
import { quotedError, type Redact } from "../../wire/redact.ts";
import type { ServiceFault } from "../../wire/service-fault.ts";
import { service } from "./options.ts";

/** So often a topic is asked for before it is believed that there is none: one that was just made is unknown for a moment. */
export const topicRefreshes = 3;

/** Milliseconds before the next attempt, after so many that failed: at most 4 s, so that a broker that is back is soon found. */
export function backoffMs(failures: number): number {
  const ms = Math.min(4_000, 1_000 * 2 ** Math.min(failures, 8));
  return ms * (0.5 + Math.random() / 2); // half of it by chance: who failed together does not come back together
}

/** Is it the topic that is missing? The client says so in a text of its own, without the broker's code. */
export function isUnknownTopic(error: unknown): boolean {
  return leavesOf(error).some((each) => textOf(each, "apiId")?.startsWith("UNKNOWN_TOPIC") === true || textOf(each, "message")?.startsWith("Unknown topic ") === true);
}

/** Is a broker asked for that the metadata does not know, or knows no more? The client takes it for a mistake of ours. */
function isUnknownBroker(error: unknown): boolean {
  return leavesOf(error).some((each) => textOf(each, "message")?.startsWith("Cannot find broker with node id ") === true);
}

/** What has befallen a client. `refreshes`: how often the topic was asked for. */
export function faultOf(error: unknown, refreshes = 0): ServiceFault {
  if (isUnknownTopic(error)) return refreshes >= topicRefreshes ? { code: "not_found", scope: "dependency" } : { code: "unavailable" };
  if (isUnknownBroker(error)) return { code: "unavailable" };
  const fault = kafkaFault(error, refreshes);
  // a client that ended is not the end of the queue: there will be another
  if (fault === undefined || fault.code === "closed") return { code: "unavailable" };
  return fault;
}

/** The error to throw; one of ours goes through. */
export function toKafkaError(what: string, error: unknown, redact: Redact, fault: ServiceFault = faultOf(error)): MillraceError {
  if (isMillraceError(error)) return error;
  const { code, retryable, scope } = fault;
  const details = { ...(retryable === undefined ? {} : { retryable }), ...(scope === undefined ? {} : { scope }) };
  return new MillraceError(code, `${service}: ${what}: ${redact(reasonOf(error))}`, { service, cause: quotedError(error, redact), ...details });
}

/** What brokers answered, by name. */
export function answeredBy(error: unknown): ReadonlySet<string> {
  return new Set(leavesOf(error).flatMap((each) => textOf(each, "apiId") ?? []));
}

/** Could the request have reached the broker? Not when each attempt failed to connect. */
export function wasSent(error: unknown): boolean {
  return !leavesOf(error).every((each) => textOf(each, "syscall") === "connect" || textOf(each, "syscall") === "getaddrinfo");
}

/** The first of the errors within that says something of its own. */
function reasonOf(error: unknown): string {
  const [leaf = error] = leavesOf(error);
  const id = textOf(leaf, "apiId");
  return `${id === undefined ? "" : `${id}: `}${textOf(leaf, "message") ?? "an error without a message"}`;
}

/** The innermost errors. */
function leavesOf(error: unknown, depth = 0): readonly unknown[] {
  const gathered = fieldOf(error, "errors");
  const cause = fieldOf(error, "cause");
  const inner = [...(Array.isArray(gathered) ? gathered.slice(0, 20) : []), ...(cause === undefined ? [] : [cause])];
  return inner.length === 0 || depth >= 6 ? [error] : inner.flatMap((each: unknown) => leavesOf(each, depth + 1));
}
