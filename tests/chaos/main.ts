/**
 * `npm run chaos`: every broker, and everything that can go wrong with it.
 *
 * `--only=redis,nats` or `--without=kafka` choose, and `--rows=kill,effects,broker,network,messages,stop,idle`; `--messages=100000` is the size of the rows that kill; `--write` keeps the results of the
 * rows that were run, beside those of others from before, and puts the table into the README. A broker that cannot be started is a failure, unless it is left out by name.
 *
 * @module
 */
import { openHost } from "../services/host.ts";
import { brokerOf, brokers } from "./brokers.ts";
import { badMessages, brokerKilled, comingAndGoing, effectsOnce, networkBroken, type RowResult, workersKilled } from "./rows.ts";
import { idleReaders } from "./idle.ts";
import { type BrokerResult, line, writeTable } from "./table.ts";

const option = (name: string): string | undefined => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const names = (value: string | undefined): readonly string[] => value?.split(",").filter(Boolean) ?? [];

const only = names(option("only"));
const without = new Set(names(option("without")));
const messages = Number(option("messages") ?? 100_000);
const chosen = brokers.filter(({ service }) => (only.length === 0 || only.includes(service)) && !without.has(service));
for (const name of [...only, ...without]) brokerOf(name); // throws for one that is none
if (!Number.isSafeInteger(messages) || messages < 1_000) throw new Error(`--messages takes a whole number from 1000 on, got ${option("messages")}`);

const rows = { kill: workersKilled, effects: effectsOnce, broker: brokerKilled, network: networkBroken, messages: badMessages, stop: comingAndGoing };
const played = Object.entries(rows).filter(([name]) => (option("rows") ?? name).split(",").includes(name));
const host = openHost();
const results: BrokerResult[] = [];
let failed = 0;
try {
  for (const name of without) console.log(`${name}: left out`);
  for (const broker of chosen) {
    const { name } = broker;
    try {
      const server = await broker.start(host);
      console.log(`${name}: ${server.from}; ${broker.durability}`);
      const done: RowResult[] = [];
      for (const [, row] of played) {
        const result = await row({ broker, server, host, messages });
        console.log(line(name, result));
        done.push(result);
        failed += result.complaints.length > 0 ? 1 : 0;
      }
      if (broker.service === "nats" && (option("rows") ?? "idle").split(",").includes("idle")) {
        const result = await idleReaders(server.url);
        console.log(line(name, result));
        done.push(result);
        failed += result.complaints.length > 0 ? 1 : 0;
      }
      results.push({ broker: name, from: server.from, rows: done });
    } catch (error) {
      failed += 1;
      console.log(`${name}: FAILED, ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
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
