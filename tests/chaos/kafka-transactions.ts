/**
 * Kafka to Kafka in transactions, whose workers are killed: who reads what is committed finds each message once, in order.
 *
 * Read back by Kafka's own client: what ours takes for committed is not asked.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import { Consumer } from "@platformatic/kafka";
import { text } from "../../src/index.ts";
import { kafkaProgram } from "../services/kafka.ts";
import { Crew } from "./crew.ts";
import { outOfOrder } from "./kafka-rebalance.ts";
import { Oracle } from "./oracle.ts";
import { readPayload } from "./payload.ts";
import type { Given, RowResult } from "./rows.ts";
import { sendInOrder } from "./senders.ts";

const partitions = 12;
/** Milliseconds without a commit after which it is taken for stuck. */
const patienceMs = 60_000;

/** D-tx: two workers, transactions of 750, nine kills. */
export async function inTransactions({ broker, server: { url }, messages }: Pick<Given, "broker" | "server" | "messages">, kills = 9, count = 750): Promise<RowResult> {
  const name = `chaos-${randomUUID().slice(0, 8)}`;
  const topic = `${name}-results`;
  await broker.setup(url, name);
  await broker.setup(url, topic);
  const oracle = new Oracle();
  await sendInOrder(oracle, () => broker.queue(url, name), messages);
  const group = new Consumer({ clientId: "chaos", bootstrapBrokers: [url], groupId: `${name}-readers`, retries: 10, retryDelay: 500 });
  const crew = new Crew(oracle, { broker: broker.service, url, name, concurrency: 1, maxInFlight: 2 * count, workMs: 5, slowMs: 0, deliveryTimeoutMs: 20_000, transactions: { topic, count } });
  const start = performance.now();
  const complaints: string[] = [];
  try {
    const end = await done(group, name, "end");
    const reached = async (share: number): Promise<void> => {
      let since = performance.now();
      for (let [now, before] = [0, -1]; now < end * share && performance.now() - since < patienceMs; before = now) {
        now = await done(group, name, "committed");
        if (now > before) since = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    await Promise.all([crew.hire(), crew.hire()]);
    for (let kill = 1; kill <= kills; kill += 1) {
      await reached(kill / (kills + 1));
      await crew.killCommitting();
    }
    await reached(1);
    const seconds = (performance.now() - start) / 1_000;
    const stopped = await crew.stop(5_000);
    if (stopped.length < 2) complaints.push("a worker ended without stopping");
    const [committed, all] = [await read(url, topic, "read_committed"), await read(url, topic, "read_uncommitted")];
    for (const { id } of committed) oracle.writes(id);
    const { lost, duplicates, wrong } = oracle.account();
    const disorder = [...Map.groupBy(committed, ({ partition }) => partition).values()].reduce((sum, each) => sum + outOfOrder(each.map(({ id = -1 }) => id)), 0);
    const aborted = all.length - committed.length;
    if (lost > 0) complaints.push(`${lost} lost`);
    if (duplicates > 0) complaints.push(`${duplicates} further copies`);
    if (wrong > 0) complaints.push(`${wrong} that nobody sent`);
    if (disorder > 0) complaints.push(`${disorder} out of order`);
    if (crew.idleKills > 0) complaints.push(`${crew.idleKills} of ${kills} kills found nothing in flight: shows nothing`);
    if (aborted === 0) complaints.push("no kill left a message that was aborted: shows nothing");
    const explained = `nothing may; ${aborted} were stored and aborted, ${crew.killedInFlight} in flight at the kills`;
    return { row: `worker killed ${kills} times, Kafka to Kafka in transactions of ${count}`, messages, lost, duplicates, explained, seconds, complaints: [...complaints, ...crew.failures] };
  } finally {
    await crew.dismiss();
    await group.close(true);
  }
}

/** Messages of all partitions: how many there are, or how many the group is done with. */
async function done(group: Consumer, topic: string, what: "end" | "committed"): Promise<number> {
  const offsets =
    what === "end"
      ? await group.listOffsets({ topics: [topic] })
      : await group.listCommittedOffsets({ topics: [{ topic, partitions: Array.from({ length: partitions }, (_, index) => index) }] });
  return (offsets.get(topic) ?? []).reduce((sum, offset) => sum + Math.max(0, Number(offset)), 0);
}

interface Stored {
  readonly partition: string;
  /** Undefined for what nobody can have sent. */
  readonly id: number | undefined;
}

async function read(url: string, topic: string, isolation: "read_committed" | "read_uncommitted"): Promise<readonly Stored[]> {
  const { java, classPath } = kafkaProgram();
  const args = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classPath, join(import.meta.dirname, "ReadTopic.java"), url, topic, isolation];
  const { stdout } = await promisify(execFile)(java, args, { maxBuffer: 1 << 30 });
  return stdout.split("\n").flatMap((line) => {
    const [, partition, body] = /^(\d+) (.*)$/.exec(line) ?? [];
    if (partition === undefined || body === undefined) return [];
    const { parts } = JSON.parse(body) as { readonly parts: readonly { readonly text: string }[] };
    return [{ partition, id: readPayload(parts.map((part) => text(part.text)))?.id }];
  });
}
