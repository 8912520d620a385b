/**
 * What an error of Redis and of its client means.
 *
 * A server's reply says its kind in the first word. Errors of the client (`redis` 6) have the name of no class, so their text must do.
 *
 * Source: redis.io/docs/latest/develop/reference/protocol-spec (simple errors), `src/server.c` and `src/cluster.c` of Redis,
 * `lib/errors` of @redis/client 6.
 *
 * @module
 */
import { fieldOf, textOf } from "./error-fields.ts";
import { connectionFault, type ServiceFault } from "./service-fault.ts";

const unavailable: ServiceFault = { code: "unavailable" };
const unauthorized: ServiceFault = { code: "unauthorized" };
/** The node is right, the client is not made for a cluster. */
const otherNode: ServiceFault = { code: "missing_config" };

const words: ReadonlyMap<string, ServiceFault> = new Map<string, ServiceFault>([
  ["LOADING", unavailable],
  ["READONLY", unavailable], // a replica, or a primary just demoted
  ["MASTERDOWN", unavailable],
  ["CLUSTERDOWN", unavailable],
  ["TRYAGAIN", unavailable],
  ["BUSY", unavailable], // a script runs
  ["OOM", unavailable],
  ["MISCONF", unavailable], // cannot write to its disk, so takes no writes
  ["NOREPLICAS", unavailable],
  ["NOAUTH", unauthorized],
  ["WRONGPASS", unauthorized],
  ["NOPERM", unauthorized],
  ["WRONGTYPE", { code: "conflict", scope: "dependency" }], // a key that something else uses: keys come from options
  ["NOGROUP", { code: "not_found" }],
  ["BUSYGROUP", { code: "conflict" }],
  ["NOSCRIPT", { code: "not_found" }],
  ["MOVED", otherNode],
  ["ASK", otherNode],
  ["CROSSSLOT", { code: "invalid_input", scope: "process" }],
]);

/** Any other reply: a command of ours that the server refuses, every time. */
const refused: ServiceFault = { code: "bad_response", retryable: false };

/** Texts of the clients, whole or as they begin. */
const ofClient: readonly (readonly [RegExp, ServiceFault])[] = [
  [/^(?:The client is closed|Disconnects client)$/, { code: "closed" }],
  [/^(?:The client is offline|Socket closed unexpectedly|Connection timeout|All the root nodes are unavailable|Too many Cluster redirections)$/, unavailable],
  [/^(?:Socket|Command) timeout\b/, unavailable],
  [/^Connection is closed\.$|^Stream isn't writeable|^Reached the max retries per request limit/, unavailable], // ioredis
  [/^One \(or more\) of the watched keys has been changed$/, { code: "conflict", retryable: true }],
];

/** Classes of replies: of `redis` and of ioredis. */
const replyClasses: ReadonlySet<unknown> = new Set(["ErrorReply", "SimpleError", "BlobError", "ReplyError"]);

/** Replies of a transaction that are looked at. */
const maxReplies = 1_000;

/** The fault of an error of Redis; undefined for one that neither server, client nor network made, and for an abort. */
export function redisFault(error: unknown): ServiceFault | undefined {
  const replies = fieldOf(error, "replies");
  if (Array.isArray(replies)) return faultOfFirst(replies);
  const message = textOf(error, "message") ?? "";
  if (textOf(error, "name") === "AbortError" || message === "The command was aborted") return undefined;
  const word = /^([A-Z][A-Z0-9]+)(?: |$)/.exec(message)?.[1];
  const known = word === undefined ? undefined : words.get(word);
  if (known !== undefined) return known;
  if (word === "ERR" || (word !== undefined && isReply(error))) return refused;
  return ofClient.find(([pattern]) => pattern.test(message))?.[1] ?? connectionFault(error);
}

/** Of several commands, some of which failed. */
function faultOfFirst(replies: readonly unknown[]): ServiceFault {
  const first = replies.slice(0, maxReplies).find((reply) => reply instanceof Error && !Array.isArray(fieldOf(reply, "replies")));
  return redisFault(first) ?? refused;
}

function isReply(error: unknown): boolean {
  return replyClasses.has(fieldOf(error, "name")) || replyClasses.has(fieldOf(fieldOf(error, "constructor"), "name"));
}
