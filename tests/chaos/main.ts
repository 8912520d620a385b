/**
 * `npm run chaos`: every broker, and everything that can go wrong with it.
 *
 * `--only=redis,nats` or `--without=kafka` choose, and `--rows=kill,effects,broker,network,messages,stop,idle`; `--messages=100000` is the size of the rows that kill; `--long` plays the
 * rows of Kafka's partitions on the move (`rebalance`) and of its transactions (`transactions`) too; `--write` keeps the results of the
 * rows that were run, beside those of others from before, and puts the table into the README. A broker that cannot be started is a failure, unless it is left out by name.
 *
 * @module
 */
import { openHost } from "../services/host.ts";
import { brokerOf, brokers } from "./brokers.ts";
import { badMessages, brokerKilled, comingAndGoing, effectsOnce, type Given, networkBroken, type RowResult, workersKilled } from "./rows.ts";
import { readersWait } from "./idle-row.ts";
import { partitionsOnTheMove } from "./kafka-rebalance.ts";
import { inTransactions } from "./kafka-transactions.ts";
import { type BrokerResult, line, writeTable } from "./table.ts";

const option = (name: string): string | undefined => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const names = (value: string | undefined): readonly string[] => value?.split(",").filter(Boolean) ?? [];

const only = names(option("only"));
const without = new Set(names(option("without")));
const messages = Number(option("messages") ?? 100_000);
const chosen = brokers.filter(({ service }) => (only.length === 0 || only.includes(service)) && !without.has(service));
for (const name of [...only, ...without]) brokerOf(name); // throws for one that is none
if (!Number.isSafeInteger(messages) || messages < 1_000) throw new Error(`--messages takes a whole number from 1000 on, got ${option("messages")}`);

type Row = (given: Given) => Promise<RowResult | readonly RowResult[]>;
const rows: Readonly<Record<string, Row>> = {
  kill: workersKilled,
  effects: effectsOnce,
  idle: ({ broker, server }) => readersWait(broker.service, server.url),
  broker: brokerKilled,
  network: networkBroken,
  messages: badMessages,
  stop: comingAndGoing,
  rebalance: partitionsOnTheMove,
  transactions: inTransactions,
};
/** What waits most of the time is played beside what works. The broker dies, and workers are timed, with nothing beside. */
const acts: readonly (readonly (readonly string[])[])[] = [[["kill", "effects"], ["idle"]], [["broker"]], [["network"], ["messages"]], [["stop"]]];
/** Of one broker, and too long for every day. */
const long = process.argv.includes("--long") ? [[["rebalance"]], [["transactions"]]] : [];
const isWanted = (name: string): boolean => (option("rows") ?? name).split(",").includes(name);
const host = openHost();
const results: BrokerResult[] = [];
let failed = 0;
try {
  for (const name of without) console.log(`${name}: left out`);
  const inMemory = isWanted("idle") && only.length === 0 ? readersWait(undefined, "") : undefined;
  let next = chosen[0]?.start(host);
  for (const [index, broker] of chosen.entries()) {
    const { name } = broker;
    const starting = next;
    next = undefined;
    try {
      const server = await (starting ?? broker.start(host));
      console.log(`${name}: ${server.from}; ${broker.durability}`);
      const done: RowResult[] = [];
      const given: Given = { broker, server, host, messages };
      for (const act of broker.service === "kafka" ? [...acts, ...long] : acts) {
        if (act === acts.at(-2)) (next = chosen[index + 1]?.start(host))?.catch(() => {}); // whoever waits for it hears
        const lanes = act.map(async (lane) => {
          for (const row of lane.filter(isWanted)) {
            for (const result of [await rows[row]?.(given) ?? []].flat()) {
              console.log(line(name, result));
              done.push(result);
              failed += result.complaints.length > 0 ? 1 : 0;
            }
          }
        });
        for (const lane of await Promise.allSettled(lanes)) if (lane.status === "rejected") throw lane.reason;
      }
      results.push({ broker: name, from: server.from, rows: done });
    } catch (error) {
      failed += 1;
      console.log(`${name}: FAILED, ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
  }
  for (const result of (await inMemory) ?? []) {
    console.log(line("memoryQueue", result));
    failed += result.complaints.length > 0 ? 1 : 0;
    results.push({ broker: "memoryQueue", from: "in the process that reads", rows: [result] });
  }
} finally {
  await host.close();
}
const kills = results.flatMap(({ rows }) => rows.filter(({ row }) => row.startsWith("worker killed")));
if (kills.length > 1 && kills.every(({ duplicates }) => duplicates === 0)) {
  failed += 1;
  console.log("no broker gave a single message twice: the kills show nothing");
}
if (process.argv.includes("--write")) writeTable(results.map((result) => ({ ...result, rows: result.rows.filter(({ complaints }) => complaints.length === 0) })));
console.log(failed === 0 ? "all well" : `${failed} not well`);
process.exitCode = failed === 0 ? 0 : 1;
