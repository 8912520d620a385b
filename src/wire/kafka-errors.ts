/**
 * What an error of Kafka and of its clients means.
 *
 * The client names what a broker answered (`apiId` in @platformatic/kafka 2, `type` in kafkajs), says whether it may pass
 * (`canRetry`, `retriable`), and gathers several in one: the gravest of them counts.
 *
 * Source: kafka.apache.org/protocol#protocol_error_codes, `errors` of @platformatic/kafka 2.12.
 *
 * @module
 */
import { fieldOf, textOf } from "./error-fields.ts";
import { connectionFault, type ServiceFault } from "./service-fault.ts";

const unavailable: ServiceFault = { code: "unavailable" };
const unauthorized: ServiceFault = { code: "unauthorized" };
const tooLarge: ServiceFault = { code: "too_large" };
const missingConfig: ServiceFault = { code: "missing_config" };
/** Another of the same name took its place, for good. */
const fenced: ServiceFault = { code: "closed" };
/** The partition belongs to another consumer now, which gets the message once more. */
const leaseLost: ServiceFault = { code: "conflict", retryable: true, leaseLost: true };
/** The name came from options. */
const notThere: ServiceFault = { code: "not_found", scope: "dependency" };
const badRequest: ServiceFault = { code: "invalid_input", scope: "process" };

const answers: ReadonlyMap<string, ServiceFault> = new Map<string, ServiceFault>([
  ["CORRUPT_MESSAGE", { code: "bad_response" }], // retriable says the broker, but no outage
  ["MESSAGE_TOO_LARGE", tooLarge],
  ["RECORD_LIST_TOO_LARGE", tooLarge],
  ["OFFSET_METADATA_TOO_LARGE", tooLarge],
  ["SASL_AUTHENTICATION_FAILED", unauthorized],
  ["UNSUPPORTED_SASL_MECHANISM", unauthorized],
  ["ILLEGAL_SASL_STATE", unauthorized],
  ["DELEGATION_TOKEN_EXPIRED", { ...unauthorized, refreshable: true }],
  ["INVALID_PRODUCER_EPOCH", fenced],
  ["PRODUCER_FENCED", fenced],
  ["FENCED_INSTANCE_ID", fenced],
  ["REBALANCE_IN_PROGRESS", leaseLost],
  ["ILLEGAL_GENERATION", leaseLost],
  ["UNKNOWN_MEMBER_ID", leaseLost],
  ["FENCED_MEMBER_EPOCH", leaseLost],
  ["STALE_MEMBER_EPOCH", leaseLost],
  ["UNKNOWN_SERVER_ERROR", unavailable],
  ["BROKER_NOT_AVAILABLE", unavailable],
  ["OFFSET_OUT_OF_RANGE", { code: "not_found" }],
  ["GROUP_ID_NOT_FOUND", notThere],
  ["INVALID_RECORD", { code: "invalid_input" }],
  ["INVALID_TIMESTAMP", { code: "invalid_input" }],
  ["INVALID_TOPIC_EXCEPTION", badRequest],
  ["INVALID_GROUP_ID", badRequest],
  ["INVALID_REQUIRED_ACKS", badRequest],
  ["INVALID_SESSION_TIMEOUT", badRequest],
  ["UNSUPPORTED_VERSION", missingConfig],
]);

/** A topic that was just made is unknown to some brokers for a moment. */
const unknownTopic: ReadonlySet<string> = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID"]);
const refreshesOfUnknown = 3;

/** Any other answer that does not pass by itself. */
const refused: ServiceFault = { code: "bad_response", retryable: false };

/** What goes wrong in the client itself. What only gathers others has no row. */
const ofClient: ReadonlyMap<string, ServiceFault> = new Map<string, ServiceFault>([
  ["PLT_KFK_AUTHENTICATION", unauthorized],
  ["PLT_KFK_NETWORK", unavailable],
  ["PLT_KFK_TIMEOUT", { code: "timeout" }],
  ["PLT_KFK_OUT_OF_BOUNDS", { code: "bad_response" }],
  ["PLT_KFK_UNEXPECTED_CORRELATION_ID", { code: "bad_response" }],
  ["PLT_KFK_UNFINISHED_WRITE_BUFFER", refused],
  ["PLT_KFK_UNSUPPORTED_API", missingConfig],
  ["PLT_KFK_UNSUPPORTED_COMPRESSION", missingConfig],
  ["PLT_KFK_UNSUPPORTED_FORMAT", missingConfig],
  ["PLT_KFK_UNSUPPORTED", missingConfig],
]);

/** Errors within errors that are looked at. */
const maxErrors = 100;

/** From the gravest: those that no waiting cures. After them come other faults that are not retryable, then the rest. */
const gravity: readonly ServiceFault["code"][] = ["closed", "conflict", "missing_config", "unauthorized", "not_found", "too_large", "invalid_input"];

/**
 * The gravest fault of an error and of all that it gathers; undefined for one that neither broker, client nor network made.
 *
 * An unknown topic may turn up: it is `not_found` when the metadata was refreshed three times.
 */
export function kafkaFault(error: unknown, metadataRefreshes = 0): ServiceFault | undefined {
  let gravest: ServiceFault | undefined;
  let isUsers = false;
  for (const each of withInner(error)) {
    isUsers ||= textOf(each, "code") === "PLT_KFK_USER";
    const fault = faultOf(each, metadataRefreshes);
    if (fault !== undefined && (gravest === undefined || weight(fault) < weight(gravest))) gravest = fault;
  }
  return gravest ?? (isUsers ? badRequest : undefined); // wrong use, unless there is a cause that says more
}

function faultOf(error: unknown, metadataRefreshes: number): ServiceFault | undefined {
  const passes = fieldOf(error, "canRetry") ?? fieldOf(error, "retriable");
  const id = textOf(error, "apiId") ?? (typeof passes === "boolean" ? textOf(error, "type") : undefined);
  if (id !== undefined) {
    if (unknownTopic.has(id)) return metadataRefreshes >= refreshesOfUnknown ? notThere : unavailable;
    const answer = id.endsWith("_AUTHORIZATION_FAILED") ? unauthorized : answers.get(id);
    return answer ?? (passes === true ? unavailable : refused);
  }
  const code = textOf(error, "code");
  if (code?.startsWith("PLT_KFK_") !== true) return connectionFault(error);
  if (fieldOf(error, "closed") === true) return fenced; // used after its end
  return passes === true ? unavailable : ofClient.get(code);
}

function weight({ code, retryable }: ServiceFault): number {
  const place = gravity.indexOf(code);
  if (place >= 0) return place;
  return retryable === false ? gravity.length : gravity.length + 1;
}

/** The error, what it gathers and its causes, each once. */
function withInner(error: unknown): ReadonlySet<unknown> {
  const found = new Set<unknown>([error]);
  for (const each of found) {
    const gathered = fieldOf(each, "errors");
    for (const inner of [...(Array.isArray(gathered) ? gathered.slice(0, maxErrors) : []), fieldOf(each, "cause")]) {
      if (inner !== undefined && found.size < maxErrors) found.add(inner);
    }
  }
  return found;
}
