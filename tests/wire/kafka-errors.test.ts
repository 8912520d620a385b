import { describe, expect, test } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { kafkaFault } from "../../src/wire/kafka-errors.ts";
import { hostile } from "./hostile.ts";

function meant(error: unknown, refreshes?: number): readonly [code: string, scope: string, retryable: boolean] | undefined {
  const fault = kafkaFault(error, refreshes);
  if (fault === undefined) return undefined;
  const made = new MillraceError(fault.code, "x", fault);
  return [made.code, made.scope, made.retryable];
}

/** As @platformatic/kafka has an answer of a broker. */
const answer = (apiId: string, canRetry = false): Error => Object.assign(new Error("said the broker"), { code: "PLT_KFK_PROTOCOL", apiId, canRetry });
const client = (code: string, fields: object = {}): Error => Object.assign(new Error("said the client"), { code: `PLT_KFK_${code}`, canRetry: false, ...fields });

describe("E4: an answer of a broker", () => {
  test.each([
    "LEADER_NOT_AVAILABLE", "NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "REPLICA_NOT_AVAILABLE", "NETWORK_EXCEPTION", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR",
    "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "NOT_CONTROLLER", "CONCURRENT_TRANSACTIONS", "KAFKA_STORAGE_ERROR", "FETCH_SESSION_ID_NOT_FOUND", "INVALID_FETCH_SESSION_EPOCH",
    "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE", "PREFERRED_LEADER_NOT_AVAILABLE", "ELIGIBLE_LEADERS_NOT_AVAILABLE", "UNSTABLE_OFFSET_COMMIT", "THROTTLING_QUOTA_EXCEEDED",
    "ONE_THAT_COMES_LATER",
  ])("%s, which may be retried, is an outage", (id) => expect(meant(answer(id, true))).toEqual(["unavailable", "dependency", true]));

  test.each([
    ["MESSAGE_TOO_LARGE", "too_large", "part", false],
    ["TOPIC_AUTHORIZATION_FAILED", "unauthorized", "dependency", false],
    ["GROUP_AUTHORIZATION_FAILED", "unauthorized", "dependency", false],
    ["CLUSTER_AUTHORIZATION_FAILED", "unauthorized", "dependency", false],
    ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "unauthorized", "dependency", false],
    ["DELEGATION_TOKEN_AUTHORIZATION_FAILED", "unauthorized", "dependency", false],
    ["SASL_AUTHENTICATION_FAILED", "unauthorized", "dependency", false],
    ["UNSUPPORTED_SASL_MECHANISM", "unauthorized", "dependency", false],
    ["ILLEGAL_SASL_STATE", "unauthorized", "dependency", false],
    ["INVALID_PRODUCER_EPOCH", "closed", "process", false],
    ["PRODUCER_FENCED", "closed", "process", false],
    ["FENCED_INSTANCE_ID", "closed", "process", false],
    // beyond the table
    ["RECORD_LIST_TOO_LARGE", "too_large", "part", false],
    ["OFFSET_METADATA_TOO_LARGE", "too_large", "part", false],
    ["DELEGATION_TOKEN_EXPIRED", "unauthorized", "dependency", false],
    ["UNKNOWN_SERVER_ERROR", "unavailable", "dependency", true],
    ["BROKER_NOT_AVAILABLE", "unavailable", "dependency", true],
    ["OFFSET_OUT_OF_RANGE", "not_found", "delivery", false],
    ["GROUP_ID_NOT_FOUND", "not_found", "dependency", false],
    ["INVALID_RECORD", "invalid_input", "part", false],
    ["INVALID_TIMESTAMP", "invalid_input", "part", false],
    ["INVALID_TOPIC_EXCEPTION", "invalid_input", "process", false],
    ["INVALID_GROUP_ID", "invalid_input", "process", false],
    ["INVALID_REQUIRED_ACKS", "invalid_input", "process", false],
    ["INVALID_SESSION_TIMEOUT", "invalid_input", "process", false],
    ["UNSUPPORTED_VERSION", "missing_config", "process", false],
    // any other
    ["POLICY_VIOLATION", "bad_response", "delivery", false],
    ["OUT_OF_ORDER_SEQUENCE_NUMBER", "bad_response", "delivery", false],
    ["constructor", "bad_response", "delivery", false],
  ] as const)("%s is %s, scope %s, retryable %s", (id, ...meaning) => expect(meant(answer(id))).toEqual(meaning));

  test("a corrupt message is no outage, though the broker says to try again", () => expect(meant(answer("CORRUPT_MESSAGE", true))).toEqual(["bad_response", "delivery", true]));

  test.each(["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH", "STALE_MEMBER_EPOCH"])("D8: %s says that the lease is lost: the delivery comes again elsewhere", (id) => {
    expect(kafkaFault(answer(id))).toEqual({ code: "conflict", retryable: true, leaseLost: true });
  });

  test.each(["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID"])("%s is an outage until the metadata was refreshed three times", (id) => {
    for (const refreshes of [undefined, 0, 1, 2]) expect(meant(answer(id, true), refreshes)).toEqual(["unavailable", "dependency", true]);
    for (const refreshes of [3, 4]) expect(meant(answer(id, true), refreshes)).toEqual(["not_found", "dependency", false]);
  });

  test("kafkajs says the same in other fields", () => {
    const said = (type: string, retriable: boolean): Error => Object.assign(new Error("x"), { name: "KafkaJSProtocolError", type, retriable, code: 10 });
    expect(meant(said("MESSAGE_TOO_LARGE", false))?.[0]).toBe("too_large");
    expect(meant(said("NOT_COORDINATOR", true))?.[0]).toBe("unavailable");
    expect(meant(Object.assign(new Error("x"), { type: "MESSAGE_TOO_LARGE" }))).toBeUndefined();
  });
});

describe("an error of the client", () => {
  test.each([
    ["AUTHENTICATION", "unauthorized", "dependency", false],
    ["NETWORK", "unavailable", "dependency", true],
    ["TIMEOUT", "timeout", "delivery", true],
    ["OUT_OF_BOUNDS", "bad_response", "delivery", true],
    ["UNEXPECTED_CORRELATION_ID", "bad_response", "delivery", true],
    ["UNFINISHED_WRITE_BUFFER", "bad_response", "delivery", false],
    ["UNSUPPORTED_API", "missing_config", "process", false],
    ["UNSUPPORTED_COMPRESSION", "missing_config", "process", false],
    ["UNSUPPORTED_FORMAT", "missing_config", "process", false],
    ["UNSUPPORTED", "missing_config", "process", false],
    ["USER", "invalid_input", "process", false],
  ] as const)("PLT_KFK_%s is %s, scope %s, retryable %s", (code, ...meaning) => expect(meant(client(code))).toEqual(meaning));

  test("what it says may be retried is an outage", () => expect(meant(client("TIMEOUT", { canRetry: true }))).toEqual(["unavailable", "dependency", true]));
  test("a client that was closed does not come back", () => expect(meant(client("NETWORK", { closed: true }))).toEqual(["closed", "process", false]));
  test("what only gathers others says nothing itself", () => {
    expect(kafkaFault(client("MULTIPLE", { canRetry: undefined }))).toBeUndefined();
    expect(kafkaFault(client("RESPONSE", { canRetry: undefined }))).toBeUndefined();
  });

  test("a cause that says more counts before wrong use", () => {
    const expired = Object.assign(new Error("x"), { code: "CERT_HAS_EXPIRED" });
    expect(meant(Object.assign(client("USER"), { cause: expired }))).toEqual(["unavailable", "dependency", false]);
  });

  test("a host that is not there is not asked again, a refusal is", () => {
    const network = (code: string): Error => client("NETWORK", { canRetry: true, cause: Object.assign(new Error("x"), { code }) });
    expect(meant(network("ENOTFOUND"))).toEqual(["unavailable", "dependency", false]);
    expect(meant(network("ECONNREFUSED"))).toEqual(["unavailable", "dependency", true]);
  });
});

describe("of several errors the gravest counts", () => {
  const gathered = (...errors: readonly Error[]): Error => Object.assign(new AggregateError(errors, "failed 3 times."), { code: "PLT_KFK_MULTIPLE" });
  const outage = answer("NOT_COORDINATOR", true);

  test.each([
    ["closed", answer("PRODUCER_FENCED"), answer("ILLEGAL_GENERATION")],
    ["conflict", answer("REBALANCE_IN_PROGRESS"), client("UNSUPPORTED")],
    ["missing_config", client("UNSUPPORTED"), client("AUTHENTICATION")],
    ["unauthorized", client("AUTHENTICATION"), answer("GROUP_ID_NOT_FOUND")],
    ["not_found", answer("GROUP_ID_NOT_FOUND"), answer("MESSAGE_TOO_LARGE")],
    ["too_large", answer("MESSAGE_TOO_LARGE"), answer("INVALID_RECORD")],
    ["invalid_input", answer("INVALID_RECORD"), answer("POLICY_VIOLATION")],
    ["bad_response", answer("POLICY_VIOLATION"), outage],
  ])("%s before what follows it, in any order and at any depth", (code, graver, lighter) => {
    expect(meant(gathered(graver, lighter))?.[0]).toBe(code);
    expect(meant(gathered(outage, lighter, graver))?.[0]).toBe(code);
    expect(meant(gathered(outage, gathered(lighter, gathered(graver))))?.[0]).toBe(code);
    expect(meant(Object.assign(gathered(lighter), { cause: graver }))?.[0]).toBe(code);
  });

  test("one that holds itself, or thousands, ends", () => {
    const round = gathered();
    Object.assign(round, { errors: [round, round, outage], cause: round });
    expect(meant(round)?.[0]).toBe("unavailable");
    expect(meant(gathered(...Array.from({ length: 10_000 }, () => outage)))?.[0]).toBe("unavailable");
  });
});

test.each(hostile)("%s is no fault of Kafka", (_, value) => expect(kafkaFault(value)).toBeUndefined());
