/**
 * What goes wrong: a row each, for every broker.
 *
 * @module
 */
import { postgres } from "../../src/adapters/postgres/index.ts";
import { isMillraceError, sqlSink } from "../../src/index.ts";
import type { Host } from "../services/host.ts";
import { type FaultProxy, faultProxy } from "../services/fault-proxy.ts";
import { startPostgres } from "../services/postgres.ts";
import type { Broker, Server } from "./brokers.ts";
import { deadLetters } from "./dead-letters.ts";
import { type Kind, payload } from "./payload.ts";
import { sendAll } from "./senders.ts";
import { maxInFlight, play, type Played } from "./scene.ts";

/**
 * Messages that wait for a worker, at most, where it is not the point that there are many: senders then send all the while, also beside
 * each kill, and a queue in a table need not search past tens of thousands whose keys another worker has.
 */
const ahead = 1_000;

/** How a row came out. */
export interface RowResult {
  readonly row: string;
  readonly messages: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Why there may be so many. */
  readonly explained: string;
  readonly seconds: number;
  /** Why it is not well; none when it is. */
  readonly complaints: readonly string[];
}

/** What rows work with. */
export interface Given {
  readonly broker: Broker;
  readonly host: Host;
  readonly server: Server;
  /** Of the rows that kill; the others have a share of it. */
  readonly messages: number;
}

export function result(row: string, messages: number, played: Played, explained: string, complaints: readonly string[] = []): RowResult {
  const { lost, duplicates, wrong, seconds } = played;
  const bad = [...(lost > 0 ? [`${lost} lost`] : []), ...(wrong > 0 ? [`${wrong} that nobody sent`] : [])];
  return { row, messages, lost, duplicates, explained, seconds, complaints: [...bad, ...played.complaints, ...complaints] };
}

/** Workers are killed. */
export async function workersKilled({ broker, server, messages, workMs = 5 }: Pick<Given, "broker" | "messages"> & { readonly server: Pick<Server, "url">; readonly workMs?: number }, kills = 10): Promise<RowResult> {
  const played = await play({ broker, url: server.url, messages, ahead, settings: { workMs } }, async ({ crew, reached }) => {
    for (let kill = 1; kill <= kills; kill += 1) {
      await reached(kill / (kills + 1));
      await crew.kill();
    }
  });
  const { unconfirmed = 0 } = broker;
  const bound = kills * maxInFlight * (1 + unconfirmed);
  const { killedInFlight, idleKills } = played.crew;
  const each = `${maxInFlight} in flight${unconfirmed === 0 ? "" : ` and ${unconfirmed * maxInFlight} to be confirmed`}`;
  return result(`worker killed ${kills} times`, messages, played, `at most ${kills} kills x ${each}; ${killedInFlight} were`, [
    ...(played.duplicates > bound ? [`${played.duplicates} duplicates, more than ${bound}`] : []),
    ...(idleKills > kills / 10 ? [`${idleKills} of ${kills} kills found nothing in flight: shows nothing`] : []),
  ]);
}

/** Workers are killed whose effects are in one transaction with the id of the message: what comes twice is done once. */
export async function effectsOnce({ broker, server, host, messages }: Given, kills = 5): Promise<RowResult> {
  const count = Math.ceil(messages / 5);
  const database = broker.service === "postgres" ? server : await effectsDatabase(host);
  await using sql = postgres({ connectionString: database.url });
  await sql.execute({ text: "drop table if exists effects, effects_inbox" }); // of the broker before
  await sql.execute({ text: "create table effects (id bigint not null)" });
  await sqlSink(sql, { inbox: "effects_inbox", write: async () => {} }).setup();
  const played = await play({ broker, url: server.url, messages: count, ahead, settings: { effectsUrl: database.url } }, async ({ crew, reached }) => {
    for (let kill = 1; kill <= kills; kill += 1) {
      await reached(kill / (kills + 1));
      await crew.kill();
    }
  });
  const { rows: [done] } = await sql.execute({ text: "select count(*)::int as rows, count(distinct id)::int as ids from effects where id between 0 and $1", values: [count - 1] });
  const [rows, ids] = [Number(done?.["rows"]), Number(done?.["ids"])];
  const attempts = `${played.duplicates} messages were worked on again, and done once`;
  return result(`worker killed ${kills} times, effects with ids in one transaction`, count, { ...played, lost: count - ids, duplicates: rows - ids }, attempts, rows === ids ? [] : [`${rows - ids} effects happened twice`]);
}

const effectsDatabases = new WeakMap<Host, Promise<Server>>();

/** One for all brokers that are no database themselves. */
function effectsDatabase(host: Host): Promise<Server> {
  const database = effectsDatabases.get(host) ?? startPostgres(host);
  effectsDatabases.set(host, database);
  return database;
}

/** The broker is killed and started again. */
export async function brokerKilled({ broker, server, host, messages }: Given, kills = 3): Promise<RowResult> {
  let back = 0;
  const played = await play({ broker, url: server.url, messages }, async ({ oracle, reached }) => {
    let now = server;
    for (let kill = 1; kill <= kills; kill += 1) {
      await reached(kill / (kills + 1));
      await now.process.stop("SIGKILL");
      now = await broker.start(host, now);
      const start = performance.now();
      for (const before = oracle.done; oracle.done === before && oracle.left > 0 && performance.now() - start < 30_000; ) await oracle.news(100);
      back = Math.max(back, performance.now() - start);
    }
  });
  const late = back > 10_000 ? [`went on only ${(back / 1_000).toFixed(1)} s after the broker was back`] : [];
  return result(`broker killed ${kills} times`, messages, played, "confirmed but not told to the worker, or not told to the sender: given again, sent again", late);
}

/** The network breaks in every way, for workers and senders. */
export async function networkBroken({ broker, server, host, messages }: Given): Promise<RowResult> {
  const { url, proxy } = (await broker.startBehind?.(host)) ?? (await before(server));
  await using _ = proxy;
  const slowest: string[] = [];
  const count = Math.ceil(messages / 10);
  const played = await play({ broker, url, messages: count }, async ({ oracle, reached }) => {
    const faults: readonly (readonly [string, number, () => void])[] = [
      ["cut", 0, () => proxy.cut()],
      ["silent to the broker", 3_000, () => (proxy.faults.silent = "up")],
      ["silent to the worker", 3_000, () => (proxy.faults.silent = "down")],
      ["refused", 2_000, () => (proxy.faults.refuse = true, proxy.cut())],
      ["slow", 2_000, () => (proxy.faults.bytesPerSecond = 1_000)],
      ["cut in a message", 0, () => (proxy.faults.cutAfter = { up: 20_000, down: 20_000 })],
      ["cut again", 0, () => proxy.cut()],
    ];
    for (const [index, [name, ms, begin]] of faults.entries()) {
      await reached((index + 1) / (faults.length + 1));
      begin();
      if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
      proxy.heal();
      const start = performance.now();
      for (const before = oracle.done; oracle.done === before && oracle.left > 0 && performance.now() - start < 30_000; ) await oracle.news(100);
      const back = performance.now() - start;
      if (back > 10_000) slowest.push(`went on only ${(back / 1_000).toFixed(1)} s after "${name}"`);
    }
  });
  return result("network cut, silent, slow, refused", count, played, "as after a kill of the broker", slowest);
}

async function before({ url, port }: Server): Promise<{ readonly url: string; readonly proxy: FaultProxy }> {
  const proxy = await faultProxy(port);
  return { url: url.replace(`:${port}`, `:${proxy.port}`), proxy };
}

/** Bad, slow, stuck and large messages among good ones. */
export async function badMessages({ broker, server, messages }: Given): Promise<RowResult> {
  const count = Math.ceil(messages / 20);
  const kindOf = (id: number): Kind => (id % 100 === 7 ? "poison" : id % 250 === 3 ? "slow" : id % 1_000 === 11 ? "stuck" : id % 500 === 9 ? "large" : "plain");
  const poison = Array.from({ length: count }, (_, id) => id).filter((id) => kindOf(id) === "poison");
  const complaints: string[] = [];
  const deadName = `chaos-dead-${Date.now().toString(36)}`;
  await broker.setup(server.url, deadName);
  const settings = { deadName, deliveryTimeoutMs: 3_000 };
  let dead: ReadonlySet<number> = new Set();
  const played = await play({ broker, url: server.url, messages: count, kindOf, unwritten: poison.length, settings }, async ({ name, oracle }) => {
    await using queue = broker.queue(server.url, name);
    const refused = await queue.send([...payload(0, "large"), ...payload(1, "large")]).then(() => undefined, (error: unknown) => error);
    if (!isMillraceError(refused, "too_large")) complaints.push(`a message over the limit was ${refused === undefined ? "taken" : String(refused)}`);
    let over = false;
    const reading = deadLetters(broker, server.url, deadName, poison.length).finally(() => (over = true));
    // good ones go on coming: where bad ones are all there is, a worker takes that for an outage, and waits
    for (let id = count + 1; !over; id += 1) {
      await sendAll(oracle, () => broker.queue(server.url, name), { first: id, count: 1 });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    dead = await reading;
  });
  const missing = poison.filter((id) => !dead.has(id));
  const healthy = [...dead].filter((id) => kindOf(id) !== "poison");
  if (missing.length > 0) complaints.push(`${missing.length} poison messages that are no dead letters`);
  if (healthy.length > 0) complaints.push(`${healthy.length} good messages that are dead letters`);
  return result(`${poison.length} poison, and slow, stuck, large ones`, count, played, `a stuck one is given up and tried again; dead letters: ${dead.size}`, complaints);
}

/** Workers come and go, each stopped within its deadline. */
export async function comingAndGoing({ broker, server, messages }: Given, times = 10): Promise<RowResult> {
  const deadlineMs = 3_000;
  const complaints: string[] = [];
  const count = Math.ceil(messages / 4);
  const played = await play({ broker, url: server.url, messages: count, ahead }, async ({ crew, reached }) => {
    for (let time = 1; time <= times; time += 1) {
      await reached(time / (times + 1));
      const [stopped] = (await Promise.all([crew.stop(deadlineMs, 1), crew.hire()]))[0];
      if (stopped === undefined) complaints.push("a worker ended without stopping");
      else if (stopped.ms > deadlineMs + 250) complaints.push(`a stop took ${Math.round(stopped.ms)} ms`);
    }
  });
  return result(`${times} workers join, ${times} stop`, count, played, "what a stopped worker could not finish", complaints);
}
