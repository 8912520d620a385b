import { afterAll, describe, expect, test } from "vitest";
import { gatheredAcks } from "../../src/adapters/redis/acks.ts";
import { redisSettings, type RedisSettings } from "../../src/adapters/redis/client.ts";
import type { Out } from "../../src/adapters/redis/holdings.ts";
import { redisStreams } from "../../src/adapters/redis/index.ts";
import { Link } from "../../src/adapters/redis/link.ts";
import { StreamGroup } from "../../src/adapters/redis/stream-group.ts";
import { StreamReader } from "../../src/adapters/redis/stream-reader.ts";
import { systemClock } from "../../src/core/clock.ts";
import { publish, run } from "../../src/index.ts";
import { reading as readingOf } from "../../src/testing/contracts/queue-reading.ts";
import { service, titled } from "../services.ts";
import { gate, type Gate, turns } from "../streams/support.ts";
import { eventually, ownNames } from "./redis/names.ts";

const server = await service("redis");
const words = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i));

describe("acknowledgements of a reader", () => {
  /** Calls that the test answers. */
  const opened = (maxInFlight: number) => {
    const calls: { readonly ids: readonly string[]; readonly answer: Gate; readonly after: readonly (readonly string[])[] }[] = [];
    const settled: string[][] = [];
    const ack = gatheredAcks(maxInFlight, async (ids) => {
      const answer = gate();
      calls.push({ ids, answer, after: [...settled] });
      await answer.promise;
      return () => {
        settled.push([...ids]);
        return ids.map((id) => !id.startsWith("lost"));
      };
    });
    return { ack, calls, settled };
  };

  test("go together, half of what may be out in a call, two calls at a time, the rest when one of them is answered", async () => {
    const { ack, calls } = opened(4);
    const all = Promise.all(words(7).map(ack));
    await turns(10);
    expect(calls.map(({ ids }) => ids)).toEqual([["0", "1"], ["2", "3"]]);
    calls[1]?.answer.open();
    await turns(10);
    expect(calls.map(({ ids }) => ids).slice(2)).toEqual([["4", "5"]]);
    calls[0]?.answer.open();
    await turns(10);
    expect(calls.map(({ ids }) => ids).slice(3)).toEqual([["6"]]);
    for (const { answer } of calls) answer.open();
    expect(await all).toEqual(words(7).map(() => true));
  });

  test("that were answered together are worked on apart: what the first one asks for is sent before the second is heard", async () => {
    const { ack, calls } = opened(4);
    const order: string[] = [];
    const heard = words(4).map((id) => ack(id).then(() => order.push(id)));
    await turns(10);
    void heard[1]?.then(() => ack("after").then(() => order.push("after")));
    for (const { answer } of calls) answer.open();
    await eventually(() => calls.length === 3);
    expect(calls[2]).toMatchObject({ ids: ["after"], after: [["0", "1"]] });
    await Promise.all(heard);
    calls[2]?.answer.open();
    await eventually(() => order.length === 5);
    expect(order).toEqual(["0", "1", "2", "3", "after"]);
  });

  test("say each for itself what became of it; a call that fails fails for its own, and the next ones go on", async () => {
    const { ack, calls } = opened(4);
    const some = ["a", "lost b"].map(ack);
    const others = ["c", "d"].map((id) => ack(id).catch((error: unknown) => error));
    await turns(10);
    const failure = new Error("down");
    calls[1]?.answer.fail(failure);
    calls[0]?.answer.open();
    expect([await Promise.all(some), await Promise.all(others)]).toEqual([[true, false], [failure, failure]]);
    const next = ack("e");
    await eventually(() => calls.length === 3);
    calls[2]?.answer.open();
    expect(await next).toBe(true);
  });
});

describe.skipIf(server.skip !== undefined)(titled("acknowledgements that bring the next messages", server), async () => {
  if (server.url === undefined) return;
  const { url } = server;
  const names = await ownNames(url);
  const { ask } = names;
  afterAll(() => names[Symbol.asyncDispose]());
  const links: Link[] = [];
  afterAll(() => {
    for (const link of links) link.close();
  });

  interface Faults {
    /** The connection is lost in place of the next answer to such a command; the server has done it. */
    loses?: RegExp | undefined;
    /** The next such command is sent, or its answer heard, when the gate is open. */
    sendsLate?: { readonly command: RegExp; readonly gate: Gate } | undefined;
    hearsLate?: { readonly command: RegExp; readonly gate: Gate } | undefined;
  }
  interface Call {
    readonly command: string;
    readonly answer: unknown;
  }

  /** A real connection on which answers are lost or come late, and what was asked and answered on it. */
  const faulty = (settings: RedisSettings, faults: Faults, calls: Call[]): RedisSettings => ({
    ...settings,
    async open(lost, own) {
      const connection = await settings.open(lost, own);
      return {
        ...connection,
        async send(args) {
          const command = args.map(String).join(" ");
          const { sendsLate, hearsLate } = faults;
          if (sendsLate?.command.test(command) === true) {
            faults.sendsLate = undefined;
            await sendsLate.gate.promise;
          }
          const answer = await connection.send(args);
          calls.push({ command, answer });
          if (hearsLate?.command.test(command) === true) {
            faults.hearsLate = undefined;
            await hearsLate.gate.promise;
          }
          if (faults.loses?.test(command) !== true) return answer;
          faults.loses = undefined;
          const cut = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
          lost(cut);
          throw cut;
        },
      };
    },
  });

  /** A stream of so many numbers and a reader; faults of the connection it reads by, and of the one that all else goes by. */
  const reading = async (count: number, maxInFlight: number) => {
    const stream = names.name();
    const queue = redisStreams({ url, stream });
    if (count > 0) await run(publish(queue, { concurrency: 50 }), words(count)).collect();
    const settings = redisSettings("test", { url });
    const [reads, others]: [Faults, Faults] = [{}, {}];
    const calls: Call[] = [];
    const link = new Link(faulty(settings, reads, calls));
    const shared = new Link(faulty(settings, others, calls));
    links.push(link, shared);
    const group = new StreamGroup({ stream, group: "millrace", start: "0", field: "body", leaseMs: 600_000, deadMs: 600_000, trim: true }, shared);
    const reader = new StreamReader({ group, link, name: stream, leaseMs: 600_000, clock: systemClock, maxInFlight, tell() {}, left() {} });
    const take = async (upTo: number): Promise<Out[]> => {
      const outs: Out[] = [];
      for (let i = 0; i < upTo; i += 1) {
        const out = await reader.next();
        if (out !== undefined) outs.push(out);
      }
      return outs;
    };
    const ack = async (out: Out): Promise<boolean> => {
      const had = await reader.acknowledge(out.entry.id);
      reader.release(out, had ? undefined : "it is not");
      return had;
    };
    const pending = async (): Promise<number> => Number((await ask("XPENDING", stream, "millrace") as unknown[])[0]);
    return { queue, group, reader, take, ack, pending, reads, others, calls };
  };
  const idsOf = (outs: readonly Out[]): string[] => outs.map(({ entry }) => entry.id);

  test("bring as many as they settle if somebody waits, and none else", async () => {
    const { queue, reader, take, ack, pending, calls } = await reading(30, 10);
    await using _ = queue;
    const first = await take(10);
    for (const out of first.slice(0, 2)) await ack(out); // nobody waits
    expect(await pending()).toBe(8);
    const more = await take(2);
    expect(await pending()).toBe(10);
    const next = take(8);
    await Promise.all(first.slice(2).map(ack));
    expect(new Set(idsOf([...first, ...more, ...(await next)])).size).toBe(20);
    expect([await pending(), calls.filter(({ command }) => command.startsWith("XREADGROUP")).length]).toEqual([10, 2]);
    await reader.leave({ error: undefined });
  });

  test("bring it also when what was acknowledged is taken for lost meanwhile", async () => {
    const { queue, reader, take, ack, others } = await reading(2, 1);
    await using _ = queue;
    const [out] = await take(1);
    if (out === undefined) throw new Error("nothing came");
    const next = take(1);
    const late = gate();
    others.hearsLate = { command: /^EVAL/, gate: late };
    const acked = ack(out);
    await eventually(() => others.hearsLate === undefined);
    reader.release(out, "its lease is over");
    await turns(5);
    late.open();
    expect([await acked, (await next).length]).toEqual([true, 1]);
    await reader.leave({ error: undefined });
  });

  test("a message that is due does not wait for those that are new", async () => {
    const count = 2_000;
    const { queue, group, reader, take, ack } = await reading(count, 1);
    await using _ = queue;
    const [back] = await take(1);
    if (back === undefined) throw new Error("nothing came");
    await group.giveBack(reader.consumer, [back.entry.id], 10, true);
    reader.release(back);
    reader.expect(10);
    const acks: Promise<boolean>[] = [];
    const order: string[] = [];
    while (order.length < count) {
      for (const out of await take(1)) {
        order.push(out.entry.id);
        acks.push(ack(out)); // somebody always waits for the next
      }
    }
    expect((await Promise.all(acks)).every((had) => had)).toBe(true);
    expect(order.indexOf(back.entry.id)).toBeLessThan(count - 500);
    await reader.leave({ error: undefined });
  });

  test("what a lost answer brought comes without waiting for a lease, once, and what it settled is settled", async () => {
    const { queue, reader, take, ack, pending, others } = await reading(30, 10);
    await using _ = queue;
    const first = await take(10);
    const rest = take(20);
    others.loses = /^EVAL/;
    const answers = await Promise.allSettled(first.map(ack));
    expect(answers.filter(({ status }) => status === "rejected").length).toBeGreaterThan(0);
    const again = first.filter((_, at) => answers[at]?.status === "rejected");
    let most = 0;
    for (const out of again) {
      await eventually(async () => {
        try {
          await ack(out);
          most = Math.max(most, await pending());
          return true;
        } catch {
          return false; // there is no connection yet
        }
      });
    }
    expect(most).toBeLessThanOrEqual(10); // what is settled already makes no room again
    const outs: Out[] = [];
    void rest.then((all) => outs.push(...all));
    await eventually(async () => {
      for (const out of Array.from(reader.held)) if (out.handed) await ack(out).catch(() => {});
      return outs.length === 20 && (await pending()) === 0;
    });
    expect(new Set(idsOf([...first, ...outs])).size).toBe(30);
    await reader.leave({ error: undefined });
  });

  test("a reader that is drained gives back what comes after, as if it had not been out", async () => {
    const { queue, reader, take, ack, pending } = await reading(30, 10);
    await using _ = queue;
    const first = await take(10);
    const next = take(1);
    const acked = Promise.all(first.map(ack));
    await new Promise((resolve) => setImmediate(resolve)); // they are on their way
    reader.drain();
    expect([await acked, await next]).toEqual([first.map(() => true), []]);
    const other = readingOf(queue);
    expect((await other.settle(20)).map(({ attempt }) => attempt)).toEqual(words(20).map(() => 1));
    await other.leave();
    expect(await pending()).toBe(0);
  });

  test("what a lost read held fills the reader, which then asks for no more", async () => {
    const { queue, reader, take, ack, pending, reads } = await reading(30, 10);
    await using _ = queue;
    await Promise.all((await take(10)).map(ack));
    reads.loses = /^XREADGROUP/;
    expect(idsOf(await take(10))).toHaveLength(10);
    expect(await pending()).toBe(10);
    await reader.leave({ error: undefined });
  });

  test("what is on its way is not asked for as if it had been lost", async () => {
    const { queue, group, reader, take, ack, reads, others, calls } = await reading(30, 10);
    await using _ = queue;
    const first = await take(10);
    const rest = take(10);
    others.hearsLate = { command: /^EVAL.* millrace-\S+ \d+ 4 /, gate: gate() };
    const { gate: late } = others.hearsLate;
    const acked = Promise.all(first.slice(0, 4).map(ack));
    await eventually(() => others.hearsLate === undefined);
    reads.loses = /^XREADGROUP/;
    await group.giveBack(reader.consumer, idsOf(first.slice(4)), 600_000, false);
    for (const out of first.slice(4)) reader.release(out);
    await eventually(() => reads.loses === undefined);
    const asked = calls.length;
    await eventually(() => calls.slice(asked).some(({ command }) => command.startsWith("CLIENT ID")));
    await turns(20);
    late.open();
    expect(await acked).toEqual([true, true, true, true]);
    expect(new Set(idsOf(await rest)).size).toBe(10);
    await reader.leave({ error: undefined });
  });

  test("a read that is still on its way when its reader leaves is woken when it has arrived", async () => {
    const { queue, reader, reads, others, calls } = await reading(0, 10);
    await using _ = queue;
    const [late, heard] = [gate(), gate()];
    reads.sendsLate = { command: /^XREADGROUP.* BLOCK/, gate: late };
    others.hearsLate = { command: /^CLIENT UNBLOCK/, gate: heard };
    const left = new Error("left");
    const next = reader.next();
    void next.catch(() => {});
    await eventually(() => reads.sendsLate === undefined);
    const leaving = reader.leave({ error: left });
    await eventually(() => others.hearsLate === undefined);
    late.open();
    heard.open();
    await leaving;
    await expect(next).rejects.toBe(left);
    const woken = calls.filter(({ command }) => command.startsWith("CLIENT UNBLOCK")).map(({ answer }) => answer);
    expect([woken[0], woken.at(-1)]).toEqual([0, 1]);
  });
});
