/**
 * What a gRPC status means, the same for every adapter whose service speaks gRPC.
 *
 * Source: https://grpc.github.io/grpc/core/md_doc_statuscodes.html; the texts about message sizes are those of grpc-js and of the C core.
 *
 * @module
 */
import { fieldOf, numberOf, textOf } from "./error-fields.ts";
import { retryHint } from "./retry-hint.ts";
import { headersIn, type ServiceFault } from "./service-fault.ts";

const statuses: ReadonlyMap<number, ServiceFault> = new Map<number, ServiceFault>([
  [1, { code: "unavailable" }], // CANCELLED: by the server, as an abort of ours never gets as far as this table
  [2, { code: "unavailable" }], // UNKNOWN
  [3, { code: "invalid_input" }], // INVALID_ARGUMENT
  [4, { code: "timeout" }], // DEADLINE_EXCEEDED
  [5, { code: "not_found" }], // NOT_FOUND
  [6, { code: "conflict" }], // ALREADY_EXISTS
  [7, { code: "unauthorized" }], // PERMISSION_DENIED
  [8, { code: "rate_limited" }], // RESOURCE_EXHAUSTED
  [9, { code: "conflict" }], // FAILED_PRECONDITION
  [10, { code: "conflict", retryable: true }], // ABORTED: the whole transaction again
  [11, { code: "invalid_input" }], // OUT_OF_RANGE
  [12, { code: "missing_config" }], // UNIMPLEMENTED: another version of the service, or another service
  [13, { code: "unavailable" }], // INTERNAL
  [14, { code: "unavailable" }], // UNAVAILABLE
  [15, { code: "bad_response" }], // DATA_LOSS
  [16, { code: "unauthorized" }], // UNAUTHENTICATED
]);

const unknown: ServiceFault = { code: "bad_response", retryable: false };

const messageSize = /message larger than max|message with a size larger than|message length .{0,40}exceeds/i;

/** Details of a status that are looked at. */
const maxDetails = 32;

/**
 * The fault of an error that carries a gRPC status as a number in `code`; undefined for one that does not, for OK and for an abort.
 *
 * A number that no status has is `bad_response`, not retryable.
 */
export function grpcFault(error: unknown): ServiceFault | undefined {
  const status = numberOf(error, "code");
  if (status === undefined || status === 0 || textOf(error, "name") === "AbortError") return undefined; // a DOMException has numbers of its own
  const said = textOf(error, "details") ?? textOf(error, "message") ?? "";
  if (status === 8 && messageSize.test(said)) return { code: "too_large" };
  return { ...(statuses.get(status) ?? unknown), ...grpcHint(error) };
}

/** When to come again, as metadata (`grpc-retry-pushback-ms`) and status details (`google.rpc.RetryInfo`) say it. */
export function grpcHint(error: unknown): Pick<ServiceFault, "retryable" | "retryAfterMs"> {
  const headers = headersIn(fieldOf(error, "metadata"));
  return retryHint({ ...(headers === undefined ? {} : { headers }), body: { details: retryInfos(fieldOf(error, "statusDetails")) } });
}

/** Details as JSON has them: decoded from bytes they have no type, and spans are seconds with nanoseconds. */
function retryInfos(details: unknown): unknown[] {
  if (!Array.isArray(details)) return [];
  return details.slice(0, maxDetails).flatMap((detail: unknown) => {
    const type = textOf(detail, "@type");
    const delay = fieldOf(detail, "retryDelay");
    if ((type !== undefined && !type.endsWith("RetryInfo")) || delay === undefined || delay === null) return [];
    return [{ "@type": "google.rpc.RetryInfo", retryDelay: typeof delay === "string" ? delay : spanOf(delay) }];
  });
}

/** `{ seconds, nanos }` as the text of it; seconds may be a number, digits or a 64 bit integer of protobuf's. */
function spanOf(span: unknown): string | undefined {
  const seconds = fieldOf(span, "seconds") ?? 0;
  const nanos = fieldOf(span, "nanos") ?? 0;
  const low = fieldOf(seconds, "high") === 0 ? fieldOf(seconds, "low") : seconds;
  const whole = typeof low === "string" && /^\d{1,9}$/.test(low) ? Number(low) : low;
  if (typeof whole !== "number" || typeof nanos !== "number" || !(whole >= 0 && whole < 1e9 && nanos >= 0 && nanos < 1e9)) return undefined;
  return `${(whole + nanos / 1e9).toFixed(3)}s`;
}
