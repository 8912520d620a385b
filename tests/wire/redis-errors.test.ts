import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { redisFault } from "../../src/wire/redis-errors.ts";
import { hostile } from "./hostile.ts";

/** As `redis` 6 has them: the class says what it is, the name is that of every error. */
class ErrorReply extends Error {}
class SimpleError extends ErrorReply {}

function meant(error: unknown): readonly [code: string, scope: string, retryable: boolean] | undefined {
  const fault = redisFault(error);
  if (fault === undefined) return undefined;
  const made = new MillraceError(fault.code, "x", fault);
  return [made.code, made.scope, made.retryable];
}

describe("E4: a reply of Redis", () => {
  test.each([
    ["LOADING Redis is loading the dataset in memory", "unavailable", "dependency", true],
    ["READONLY You can't write against a read only replica.", "unavailable", "dependency", true],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "unavailable", "dependency", true],
    ["CLUSTERDOWN The cluster is down", "unavailable", "dependency", true],
    ["TRYAGAIN Multiple keys request during rehashing of slot", "unavailable", "dependency", true],
    ["BUSY Redis is busy running a script.", "unavailable", "dependency", true],
    ["OOM command not allowed when used memory > 'maxmemory'.", "unavailable", "dependency", true],
    ["NOAUTH Authentication required.", "unauthorized", "dependency", false],
    ["WRONGPASS invalid username-password pair or user is disabled.", "unauthorized", "dependency", false],
    ["NOPERM User app has no permissions to run the 'xadd' command", "unauthorized", "dependency", false],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "conflict", "dependency", false],
    ["NOGROUP No such key 'jobs' or consumer group 'workers'", "not_found", "delivery", false],
    // beyond the table
    ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "unavailable", "dependency", true],
    ["NOREPLICAS Not enough good replicas to write.", "unavailable", "dependency", true],
    ["BUSYGROUP Consumer Group name already exists", "conflict", "delivery", false],
    ["NOSCRIPT No matching script. Please use EVAL.", "not_found", "delivery", false],
    ["MOVED 3999 127.0.0.1:6381", "missing_config", "process", false],
    ["ASK 3999 127.0.0.1:6381", "missing_config", "process", false],
    ["CROSSSLOT Keys in request don't hash to the same slot", "invalid_input", "process", false],
  ] as const)("%s", (message, ...meaning) => {
    expect(meant(new SimpleError(message))).toEqual(meaning);
    expect(meant(Object.assign(new Error(message), { name: "ReplyError", command: { name: "xadd" } }))).toEqual(meaning); // ioredis
    expect(meant(new SimpleError(message.split(" ")[0]))).toEqual(meaning);
  });

  test.each(["ERR unknown command 'FOO', with args beginning with:", "EXECABORT Transaction discarded because of previous errors.", "NOPROTO unsupported protocol version", "UNBLOCKED client unblocked via CLIENT UNBLOCK", "MYOWN word of a script"])(
    "%s has no row, and is not sent again",
    (message) => expect(meant(new SimpleError(message))).toEqual(["bad_response", "delivery", false]),
  );

  test("the word is a whole one, in capitals, at the start", () => {
    for (const message of ["BUSYNESS", "loading the dataset", "got LOADING", " OOM x", "OOM: x", "WRONGTYPES x"]) expect(meant(new Error(message))).toBeUndefined();
  });

  test("of a transaction, the first reply that failed counts", () => {
    const replies = ["OK", new SimpleError("OOM command not allowed"), new SimpleError("NOAUTH x")];
    expect(meant(Object.assign(new ErrorReply("2 commands failed"), { replies, errorIndexes: [1, 2] }))?.[0]).toBe("unavailable");
    expect(meant(Object.assign(new ErrorReply("failed"), { replies: [] }))).toEqual(["bad_response", "delivery", false]);
    const round = new ErrorReply("round");
    expect(meant(Object.assign(round, { replies: [round] }))).toEqual(["bad_response", "delivery", false]);
  });
});

describe("an error of the client", () => {
  test.each([
    ["The client is closed", "closed"],
    ["Disconnects client", "closed"],
    ["The client is offline", "unavailable"],
    ["Socket closed unexpectedly", "unavailable"],
    ["Connection timeout", "unavailable"],
    ["Socket timeout timeout. Expecting data, but didn't receive any in 5000ms.", "unavailable"],
    ["Command timeout during maintenance. Waited to write command for more than 10ms.", "unavailable"],
    ["All the root nodes are unavailable", "unavailable"],
    ["Too many Cluster redirections", "unavailable"],
    ["Connection is closed.", "unavailable"],
  ])("%s: %s", (message, code) => expect(meant(new Error(message))?.[0]).toBe(code));

  test("a watched key that changed is tried again", () => {
    expect(meant(new Error("One (or more) of the watched keys has been changed"))).toEqual(["conflict", "delivery", true]);
  });

  test("a connection that failed is what the network says", () => {
    expect(meant(Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:6379"), { code: "ECONNREFUSED" }))).toEqual(["unavailable", "dependency", true]);
    expect(meant(Object.assign(new AggregateError([], ""), { code: "ECONNREFUSED" }))).toEqual(["unavailable", "dependency", true]);
    expect(meant(Object.assign(new Error("getaddrinfo ENOTFOUND redis.invalid"), { code: "ENOTFOUND" }))).toEqual(["unavailable", "dependency", false]);
  });

  test("an abort is none", () => {
    expect(redisFault(new Error("The command was aborted"))).toBeUndefined();
    expect(redisFault(new DOMException("LOADING", "AbortError"))).toBeUndefined();
  });
});

test.each(hostile)("%s is no fault of Redis", (_, value) => expect(redisFault(value)).toBeUndefined());
