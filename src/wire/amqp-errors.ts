/**
 * What an error of an AMQP broker means: reply codes of connections, channels and returned messages, and words of the clients.
 *
 * Source: AMQP 0-9-1 §1.3 (constants), rabbitmq.com/amqp-0-9-1-reference; where amqplib 2.3 and rabbitmq-client 5 keep them.
 *
 * @module
 */
import { fieldOf, numberOf, textOf } from "./error-fields.ts";
import { connectionFault, type ServiceFault } from "./service-fault.ts";

const badResponse: ServiceFault = { code: "bad_response" };
const unavailable: ServiceFault = { code: "unavailable" };
/** A queue or an exchange that is not as it was declared: no other message fares better. */
const otherThanDeclared: ServiceFault = { code: "conflict", scope: "process" };

const replies: ReadonlyMap<number, ServiceFault> = new Map<number, ServiceFault>([
  [311, { code: "too_large" }], // CONTENT_TOO_LARGE
  [312, { code: "no_route" }], // NO_ROUTE
  [320, unavailable], // CONNECTION_FORCED: the broker shuts down, or an operator closed it
  [403, { code: "unauthorized" }], // ACCESS_REFUSED
  [404, { code: "not_found", scope: "dependency" }], // NOT_FOUND: names come from options
  [405, otherThanDeclared], // RESOURCE_LOCKED
  [406, otherThanDeclared], // PRECONDITION_FAILED
  [501, badResponse], // FRAME_ERROR
  [502, badResponse], // SYNTAX_ERROR
  [503, badResponse], // COMMAND_INVALID
  [504, badResponse], // CHANNEL_ERROR
  [505, badResponse], // UNEXPECTED_FRAME
  [506, unavailable], // RESOURCE_ERROR
  [530, { code: "unauthorized" }], // NOT_ALLOWED: the virtual host is not there, or not for this user
  [540, { code: "missing_config" }], // NOT_IMPLEMENTED
  [541, unavailable], // INTERNAL_ERROR
]);

const unknown: ServiceFault = { code: "bad_response", retryable: false };

/** The same by name, as rabbitmq-client has them, and its own. */
const names: ReadonlyMap<string, number | ServiceFault> = new Map<string, number | ServiceFault>([
  ["CONTENT_TOO_LARGE", 311],
  ["NO_ROUTE", 312],
  ["CONNECTION_FORCED", 320],
  ["ACCESS_REFUSED", 403],
  ["NOT_FOUND", 404],
  ["RESOURCE_LOCKED", 405],
  ["PRECONDITION_FAILED", 406],
  ["FRAME_ERROR", 501],
  ["SYNTAX_ERROR", 502],
  ["COMMAND_INVALID", 503],
  ["CHANNEL_ERROR", 504],
  ["UNEXPECTED_FRAME", 505],
  ["RESOURCE_ERROR", 506],
  ["NOT_ALLOWED", 530],
  ["NOT_IMPLEMENTED", 540],
  ["INTERNAL_ERROR", 541],
  ["NACK", unavailable],
  ["CH_CLOSE", unavailable],
  ["CONN_CLOSE", unavailable],
  ["READ_END", unavailable],
  ["TIMEOUT", unavailable],
  ["CONNECTION_TIMEOUT", unavailable],
  ["SOCKET_TIMEOUT", unavailable],
  ["CANCEL_FORCED", 404], // the queue was deleted under its consumer
  ["CODEC", badResponse],
  ["VERSION_MISMATCH", 540],
  ["CLOSED", { code: "closed" }],
  ["CLOSING", { code: "closed" }],
]);

/** What amqplib says without a code: a publish that was not confirmed, a channel or connection that is gone. */
const lost =
  /^(?:message nacked|channel closed|Channel (?:closed|closing|ended)\b|Connection (?:closed|closing)\b|Unexpected close|Heartbeat timeout|Socket closed abruptly|connect ETIMEDOUT)/i;

/** `Handshake terminated by server: 403 (ACCESS-REFUSED) with message …`, where the number is in the text alone. */
const handshake = /^Handshake terminated by server: (\d{3}) /;

/** The broker ends the handshake where it was to open the virtual host; amqplib keeps no number of that. */
const refusedHost = /^Expected ConnectionOpenOk; got <ConnectionClose\b/;

/** The fault of an error, or of a message that came back; undefined for one that neither broker, client nor network made. */
export function amqpFault(error: unknown): ServiceFault | undefined {
  const message = textOf(error, "message") ?? "";
  const told = handshake.exec(message)?.[1];
  const reply = numberOf(error, "code") ?? returnedCode(error) ?? (told === undefined ? undefined : Number(told));
  if (reply !== undefined) return replies.get(reply) ?? (reply >= 300 && reply <= 599 ? unknown : undefined);
  const name = textOf(error, "code");
  const named = name === undefined ? undefined : names.get(name);
  if (named !== undefined) return typeof named === "number" ? replies.get(named) : named;
  if (refusedHost.test(message)) return replies.get(530);
  return connectionFault(error) ?? (lost.test(message) ? unavailable : undefined);
}

/** Of a message that came back: beside its content (rabbitmq-client) or among its fields (amqplib). */
function returnedCode(message: unknown): number | undefined {
  return numberOf(message, "replyCode") ?? numberOf(fieldOf(message, "fields"), "replyCode");
}
