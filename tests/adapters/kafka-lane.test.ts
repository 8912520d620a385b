import { EventEmitter } from "node:events";
import { MultipleErrors, NetworkError, ResponseError } from "@platformatic/kafka";
import { describe, expect, test } from "vitest";
import type { KafkaPackage } from "../../src/adapters/kafka/client.ts";
import { Lane, Waiting } from "../../src/adapters/kafka/lane.ts";
import { checked } from "../../src/adapters/kafka/options.ts";
import { transactions } from "../../src/adapters/kafka/transactions.ts";
import { isMillraceError } from "../../src/index.ts";

const notLeader = 6;
const tooLarge = 10;
const afterAppend = 20;
const invalidRecord = 87;
const unknownTopic = 3;

/** What the client throws when brokers answer that some partitions failed: error codes and offsets, by partition. */
const answered = (partitions: Readonly<Record<number, readonly [code: number, offset: bigint]>>): Error => {
  const partitionResponses = Object.entries(partitions).map(([index, [errorCode, baseOffset]]) => ({ index: Number(index), errorCode, baseOffset }));
  const errors = partitionResponses.flatMap(({ errorCode }, n) => (errorCode === 0 ? [] : [[`/responses/0/partition_responses/${n}`, [errorCode, null] satisfies [number, null]] as const]));
  return new ResponseError(0, 11, Object.fromEntries(errors), { responses: [{ name: "t", partitionResponses }] });
};
const cut = (): Error => new NetworkError("Connection closed", { syscall: "read" });
const refused = (): Error => new NetworkError("Connection refused", { syscall: "connect" });
/** The error of a batch that went to several brokers; `produced`: what those of them have stored whose answers were good. */
const batch = (errors: readonly Error[], produced: Readonly<Record<number, bigint>> = {}): Error =>
  Object.assign(new MultipleErrors("Producing messages failed.", [...errors]), { produced: { offsets: Object.entries(produced).map(([partition, offset]) => ({ topic: "t", partition: Number(partition), offset })) } });

interface Sent {
  readonly partition: number;
  readonly key: string;
}

/** A lane to a topic of three partitions, with a client that answers each batch as it is told, and stores all when it is told nothing. */
const laneTo = (answers: readonly Error[]) => {
  const batches: Sent[][] = [];
  const clients: { readonly repeatOnStaleMetadata?: boolean }[] = [];
  const left = [...answers];
  class Producer extends EventEmitter {
    readonly connections = new EventEmitter();
    producerId: bigint | undefined;
    constructor(options: object) {
      super();
      clients.push(options);
    }
    async initIdempotentProducer(): Promise<void> {
      this.producerId = 1n;
    }
    async metadata(): Promise<object> {
      return { topics: new Map([["t", { partitionsCount: 3 }]]) };
    }
    async send({ messages }: { messages: { partition: number; key: Buffer }[] }): Promise<object> {
      batches.push(messages.map(({ partition, key }) => ({ partition, key: key.toString() })));
      const error = left.shift();
      if (error !== undefined) throw error;
      return { offsets: [...new Set(messages.map(({ partition }) => partition))].map((partition) => ({ topic: "t", partition, offset: 100n })) };
    }
    async close(): Promise<void> {}
  }
  // the lane asks for these two alone
  const stub = { Producer, murmur2: (key: Buffer) => Number(key.toString()[0]) } as unknown as KafkaPackage;
  const lane = new Lane(checked({ brokers: "127.0.0.1:9", topic: "t" }), async () => stub);
  /** What becomes of a message to each of these partitions, sent at once. */
  const send = (...partitions: number[]): Promise<string[]> =>
    Promise.all(
      partitions.map((partition, n) => {
        const { promise, resolve, reject } = Promise.withResolvers<{ offset: bigint }>();
        lane.push(new Waiting({ key: `${partition}${"abc"[n]}`, value: Uint8Array.of(1), headers: new Map() }, resolve, reject));
        return promise.then(({ offset }) => String(offset), (error: unknown) => (isMillraceError(error) ? error.code : String(error)));
      }),
    );
  return { send, batches, clients };
};

test("a transaction whose batch was refused is not sent again by the client that has counted it", async () => {
  let sent = 0;
  class Producer extends EventEmitter {
    readonly connections = new EventEmitter();
    async metadata(): Promise<object> {
      return { topics: new Map([["t", { partitionsCount: 1 }]]) };
    }
    async beginTransaction(): Promise<object> {
      const send = async (): Promise<never> => {
        sent += 1;
        throw batch([answered({ 0: [unknownTopic, -1n] })]);
      };
      return { send, abort: async () => {}, cancel: async () => {} };
    }
    async close(): Promise<void> {}
  }
  const stub = { Producer } as unknown as KafkaPackage;
  const all = transactions(checked({ brokers: "127.0.0.1:9", topic: "jobs" }), async () => stub, { topic: "t", transactionalId: "x", unique: true, transactionMs: 10_000 });
  const transaction = await all.begin();
  await expect(transaction.send([{ key: undefined, value: Uint8Array.of(1), headers: new Map() }])).rejects.toMatchObject({ code: "unavailable" });
  expect(sent).toBe(1);
});

describe("a batch that went to several brokers, of which one failed", () => {
  test.each([
    ["lost its connection", cut(), "interrupted"],
    ["was not reached", refused(), "unavailable"],
    ["refuses it", answered({ 1: [invalidRecord, -1n] }), "invalid_input"],
  ])("is told of as stored where the others have it, when one %s", async (_, error, code) => {
    const { send, batches } = laneTo([batch([error], { 0: 7n, 2: 9n })]);
    expect(await send(0, 1, 2)).toEqual(["7", code, "9"]);
    expect(batches.length).toBe(1);
  });

  test("is sent again to where it was refused alone, by a client that looks anew for the leaders", async () => {
    const { send, batches, clients } = laneTo([batch([answered({ 1: [notLeader, -1n], 2: [0, 3n] })], { 0: 7n })]);
    expect(await send(0, 1, 2)).toEqual(["7", "100", "3"]);
    expect(batches.slice(1)).toEqual([[{ partition: 1, key: "1b" }]]);
    expect(clients).toMatchObject([{ repeatOnStaleMetadata: false }, { repeatOnStaleMetadata: false }]); // the client would send all of it to one broker
  });

  test("gives no partition the answer of another: too large is one, unknown the other, and a third is stored later", async () => {
    const { send } = laneTo([batch([answered({ 0: [tooLarge, -1n], 2: [notLeader, -1n] }), cut()])]);
    expect(await send(0, 1, 2)).toEqual(["too_large", "interrupted", "100"]);
  });

  test("counts as not known what was appended before its leader was none any more, or before too few had it", async () => {
    const { send, batches } = laneTo([batch([answered({ 0: [notLeader, 40n], 1: [afterAppend, 5n], 2: [notLeader, -1n] })])]);
    expect(await send(0, 1, 2)).toEqual(["interrupted", "interrupted", "100"]);
    expect(batches.slice(1).flat().map(({ partition }) => partition)).toEqual([2]);
  });

  test("is sent again to a broker that does not know of the topic yet", async () => {
    const { send } = laneTo([batch([answered({ 0: [unknownTopic, -1n] })])]);
    expect(await send(0)).toEqual(["100"]);
  });
});
