/**
 * What an error of NATS and of JetStream means, and of their clients.
 *
 * JetStream numbers what it refuses (`code` of the client's errors, of five digits); what a request for messages ends with has a status
 * of three. Errors of the client are told apart by their name: they have no code.
 *
 * Source: `server/errors.json` of nats-server 2.9 to 2.12, `lib/errors` of @nats-io/nats-core 3 and @nats-io/jetstream 3.
 *
 * @module
 */
import { fieldOf, numberOf, textOf } from "./error-fields.ts";
import { connectionFault, type ServiceFault } from "./service-fault.ts";

const unavailable: ServiceFault = { code: "unavailable" };
const unauthorized: ServiceFault = { code: "unauthorized" };
const missingConfig: ServiceFault = { code: "missing_config" };
/** The name came from options. */
const notThere: ServiceFault = { code: "not_found", scope: "dependency" };
/** A stream or a consumer that is not as it was declared: no other message fares better. */
const otherThanDeclared: ServiceFault = { code: "conflict", scope: "process" };
const badRequest: ServiceFault = { code: "invalid_input", scope: "process" };
/** Any other refusal: a request of ours that the server does not take, every time. */
const refused: ServiceFault = { code: "bad_response", retryable: false };

const answers: ReadonlyMap<number, ServiceFault> = new Map<number, ServiceFault>([
  [10_002, unavailable], // the account has used up what it may
  [10_003, badRequest],
  [10_004, unavailable], // a cluster that did not answer in full
  [10_008, unavailable], // a cluster without a leader
  [10_009, unavailable], // not the leader any more
  [10_013, otherThanDeclared], // a consumer has the name
  [10_014, notThere], // consumer
  [10_023, unavailable], // resources of the server
  [10_025, badRequest],
  [10_028, unavailable], // its memory
  [10_037, { code: "not_found" }], // message
  [10_039, missingConfig], // JetStream is not for this account
  [10_047, unavailable], // storage
  [10_052, badRequest], // a stream that cannot be
  [10_054, { code: "too_large" }], // more than the stream takes
  [10_058, otherThanDeclared], // a stream has the name
  [10_059, notThere], // stream
  [10_060, otherThanDeclared], // the subject is another stream's
  [10_065, otherThanDeclared], // some of the subjects are
  [10_070, { code: "conflict" }], // not the last message id
  [10_071, { code: "conflict" }], // not the last place
  [10_074, badRequest], // more replicas than servers
  [10_076, missingConfig], // no JetStream
  [10_077, unavailable], // full, or the message could not be stored
  [10_097, { code: "too_large" }], // headers
  [10_099, otherThanDeclared], // a work queue that another consumer reads
  [10_100, otherThanDeclared],
  [10_109, { code: "refused", scope: "dependency" }], // sealed: takes nothing, for good
  [10_118, unavailable], // the stream is offline
  [10_119, unavailable], // the consumer is
  [10_148, otherThanDeclared], // a consumer has the name, and is another
]);

/** What a request for messages ended with. */
const statuses: ReadonlyMap<number, ServiceFault> = new Map<number, ServiceFault>([
  [400, badRequest],
  [404, notThere],
  [408, { code: "timeout" }],
  [409, unavailable], // too many wait, the leader has changed
  [503, notThere], // nobody is there by this name
]);

/** Classes of the client. */
const names: ReadonlyMap<string, ServiceFault> = new Map<string, ServiceFault>([
  ["AuthorizationError", unauthorized],
  ["UserAuthenticationExpiredError", { ...unauthorized, refreshable: true }],
  ["PermissionViolationError", unauthorized],
  ["ClosedConnectionError", { code: "closed" }],
  ["DrainingConnectionError", { code: "closed" }],
  ["ConnectionError", unavailable],
  ["TimeoutError", { code: "timeout" }],
  ["NoResponders", unavailable], // JetStream has no leader, or is not there
  ["JetStreamNotEnabled", unavailable], // what the client makes of it
  ["ProtocolError", { code: "bad_response" }],
  ["InvalidSubjectError", badRequest],
  ["InvalidNameError", badRequest],
  ["InvalidArgumentError", badRequest],
]);

/** What servers say in words, and the client hands on as a protocol error. */
const said: readonly (readonly [RegExp, ServiceFault])[] = [
  [/maximum payload|max_payload/i, { code: "too_large" }],
  [/maximum connections|slow consumer|stale connection|server shutdown/i, unavailable],
  [/authorization|authentication|permissions violation/i, unauthorized],
  [/secure connection|tls/i, missingConfig],
  [/^connection (?:closed|disconnected)$/i, unavailable],
];

/** Causes that are looked at: a request that failed has its reason there. */
const maxDepth = 4;

/** The fault of an error of NATS; undefined for one that neither server, client nor network made. */
export function natsFault(error: unknown): ServiceFault | undefined {
  let plain: ServiceFault | undefined;
  for (let each = error, depth = 0; each !== undefined && depth < maxDepth; each = fieldOf(each, "cause"), depth += 1) {
    const fault = faultOf(each);
    if (fault === undefined) continue;
    if (fault !== unavailable) return fault; // a cause that says more than that it failed
    plain ??= fault;
  }
  return plain ?? connectionFault(error);
}

function faultOf(error: unknown): ServiceFault | undefined {
  const code = numberOf(error, "code");
  if (code !== undefined && code >= 10_000 && code < 20_000) return answers.get(code) ?? refused;
  if (code !== undefined && code >= 400 && code < 600) return statuses.get(code) ?? refused;
  const message = textOf(error, "message") ?? "";
  const words = said.find(([pattern]) => pattern.test(message))?.[1];
  const name = textOf(error, "name") ?? "";
  if (name === "RequestError" || name === "ProtocolError" || name === "InvalidArgumentError") return words ?? names.get(name);
  const known = names.get(name);
  return known === unavailable ? (connectionFault(error) ?? known) : known;
}
