import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { nats, type NatsOptions, type NatsQueue } from "../../src/adapters/nats/index.ts";
import { consume, isMillraceError, type Part, pipe, text } from "../../src/index.ts";
import type { Delivery } from "../../src/kinds/queue.ts";
import { reading, textsIn } from "../../src/testing/contracts/queue-reading.ts";
import { type FaultProxy, faultProxy, refused } from "../services/fault-proxy.ts";
import { type Host, openHost } from "../services/host.ts";
import { type NatsServer, startNats } from "../services/nats.ts";
import { service, titled } from "../services.ts";
import { type Outages, outages } from "./outages.ts";

const reachable = await service("nats");
const words = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => String(from + i));

describe.skipIf(reachable.skip !== undefined)(titled("nats, its server or the way there at fault", reachable), () => {
  let host: Host;
  let server: NatsServer;
  let proxy: FaultProxy;
  let count = 0;
  beforeAll(async () => {
    host = openHost();
    server = await startNats(host);
    proxy = await faultProxy(server.port);
  }, 120_000);
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await host?.close();
  });
  const opened = async (options: Partial<NatsOptions> = {}): Promise<NatsQueue> => {
    proxy.heal();
    const queue = nats({ url: `nats://127.0.0.1:${proxy.port}`, stream: `s${(count += 1)}`, leaseMs: 5_000, ...options });
    onTestFinished(() => queue.close());
    await queue.setup();
    return queue;
  };
  /** Sends as a careful sender does: the same id until it is confirmed. */
  const sendAll = async (queue: NatsQueue, all: readonly string[]): Promise<void> => {
    for (const word of all) {
      for (let sent = false; !sent; ) {
        try {
          await queue.send([text(word)], { id: `${queue.name}-${word}` });
          sent = true;
        } catch (error) {
          if (!isMillraceError(error, "interrupted") && !isMillraceError(error, "unavailable")) throw error;
        }
      }
    }
  };
  /** A worker that keeps what it has seen. */
  const working = (queue: NatsQueue): { readonly seen: Set<string>; readonly away: Outages; readonly stop: () => Promise<unknown> } => {
    const seen = new Set<string>();
    const away = outages();
    const sink = async (part: Part): Promise<void> => void (part.kind === "text" && seen.add(part.text));
    const worker = consume(queue, pipe(), sink, { concurrency: 16, maxInFlight: 16, onEvent: away.tell });
    onTestFinished(() => void worker.stop());
    return { seen, away, stop: () => worker.stop() };
  };
  const complete = (seen: ReadonlySet<string>, all: readonly string[]): Promise<void> =>
    expect.poll(() => all.filter((word) => !seen.has(word)), { timeout: 15_000 }).toEqual([]);

  test("a server that is killed and started again loses nothing; worker and sender go on by themselves, and the worker tells so once", async () => {
    const queue = await opened();
    const all = words(600);
    await sendAll(queue, all.slice(0, 300));
    const { seen, away, stop } = working(queue);
    const sending = sendAll(queue, all.slice(300));
    await expect.poll(() => seen.size).toBeGreaterThan(20);
    await server.process.stop("SIGKILL");
    server = await startNats(host, server);
    await sending;
    await complete(seen, all);
    await stop();
    expect(away.all).toHaveLength(1);
  }, 120_000);

  test("a server that comes back with an older state gives out again what it has forgotten; who holds it hears that", async () => {
    const queue = await opened({ leaseMs: 600_000 });
    await sendAll(queue, ["a", "b"]);
    const messages = queue.open({ signal: new AbortController().signal, maxInFlight: 2 })[Symbol.asyncIterator]();
    const held = [(await messages.next()).value as Delivery, (await messages.next()).value as Delivery];
    await server.process.stop("SIGKILL");
    rmSync(join(server.directory, "jetstream", "$G", "streams", queue.name, "obs", "millrace", "o.dat"), { force: true }); // as if not written yet
    const acknowledged = held.map((delivery) => delivery.ack().catch((error: unknown) => error));
    server = await startNats(host, server);
    for (const error of await Promise.all(acknowledged)) expect(error).toMatchObject({ code: "closed" });
    for (const { signal } of held) expect(signal.reason).toMatchObject({ code: "closed", message: expect.stringContaining("the server has forgotten") });
    const again = [(await messages.next()).value as Delivery, (await messages.next()).value as Delivery];
    expect(again.map(({ id }) => id)).toEqual(held.map(({ id }) => id));
    for (const delivery of again) await delivery.ack();
  }, 120_000);

  test("connections that are cut come back, each told once, and what was out is settled or comes again", async () => {
    const queue = await opened({ leaseMs: 2_000 });
    const all = words(200);
    const { seen, away, stop } = working(queue);
    const before = proxy.connections;
    const sending = sendAll(queue, all);
    for (const size of [10, 60, 120]) {
      await expect.poll(() => seen.size, { timeout: 10_000 }).toBeGreaterThan(size);
      const told = away.all.length;
      proxy.cut();
      await expect.poll(() => away.all.length, { timeout: 10_000 }).toBeGreaterThan(told); // or all may be done before it is cut again
    }
    await sending;
    await complete(seen, all);
    expect(proxy.connections - before).toBeLessThan(10);
    expect([away.all.length, away.apart]).toEqual([3, true]);
    await stop();
  }, 120_000);

  test("while connections are refused it tries fewer than five times a second, and is back when they are not, which is one outage", async () => {
    const queue = await opened();
    const { seen, away, stop } = working(queue);
    await sendAll(queue, ["before"]);
    await complete(seen, ["before"]);
    const tookMs = await refused(proxy, 5);
    expect(tookMs).toBeGreaterThan((5 / 5) * 1_000);
    expect(away.all).toEqual([]);
    proxy.heal();
    await sendAll(queue, ["after"]);
    await complete(seen, ["before", "after"]);
    await stop();
    expect(away.all).toHaveLength(1);
    expect(away.all[0]).toBeGreaterThan(tookMs / 2); // since the first that it noticed, whatever was tried meanwhile
  }, 120_000);

  test("a connection on which nothing comes any more is given up, and another takes its place", async () => {
    const queue = await opened();
    const { seen, away, stop } = working(queue);
    await sendAll(queue, ["before"]);
    await complete(seen, ["before"]);
    const before = proxy.connections;
    proxy.faults.silent = "both";
    await expect.poll(() => proxy.connections, { timeout: 15_000, interval: 20 }).toBeGreaterThan(before);
    proxy.heal();
    await sendAll(queue, ["after"]);
    await complete(seen, ["before", "after"]);
    await stop();
    expect(away.all).toHaveLength(1);
  }, 120_000);

  test("a send whose answer is lost is interrupted, and the same id again finds out that it was stored", async () => {
    const queue = await opened();
    await queue.send([text("a")], { id: "a" });
    proxy.faults.silent = "down";
    const lost = queue.send([text("b")], { id: "b" });
    lost.catch(() => {});
    await using direct = nats({ url: server.url, stream: queue.name, leaseMs: 5_000 });
    expect(textsIn(await reading(direct).settle(2))).toEqual(["a", "b"]); // so it has arrived
    proxy.cut();
    await expect(lost).rejects.toMatchObject({ code: "interrupted", retryable: false, message: expect.stringContaining("connection was lost") });
    proxy.heal();
    expect(await queue.send([text("b")], { id: "b" })).toMatchObject({ id: `${queue.name}/2` });
  });

  test("a send without an answer in time is interrupted too, and one that is aborted rejects with the reason, at once", async () => {
    const queue = await opened({ timeoutMs: 300 });
    proxy.faults.silent = "both";
    const controller = new AbortController();
    const reason = Object.assign(new Error("enough"), { code: "ECONNRESET" }); // not to be taken for the network's
    const aborted = queue.send([text("b")], { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 50);
    await expect(aborted).rejects.toBe(reason);
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "interrupted" });
  });

  test("without a connection nothing is sent, so it is unavailable after connectMs", async () => {
    const queue = await opened({ connectMs: 100 });
    proxy.faults.refuse = true;
    const before = proxy.connections;
    proxy.cut();
    await expect.poll(() => proxy.connections).toBeGreaterThan(before);
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "unavailable", retryable: true });
    await expect(reading(queue).raw()).rejects.toMatchObject({ code: "unavailable" });
  }, 5_000);

  test("an abort while a reader waits rejects with the reason, and close ends the connection, also one that is silent", async () => {
    const queue = await opened();
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = reading(queue, { signal: controller.signal }).raw();
    proxy.faults.silent = "both";
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await queue.close();
    proxy.heal(); // or what is held back would keep the proxy's own half open
    await expect.poll(() => proxy.open).toBe(0);
  });

  test("an ack that is cut off is said again, and confirmed once the connection is back", async () => {
    const queue = await opened();
    await queue.send([text("a")]);
    const delivery = await reading(queue).next();
    proxy.faults.silent = "down";
    const acked = delivery.ack();
    proxy.cut();
    proxy.heal();
    await acked;
    await queue.send([text("b")]);
    await using direct = nats({ url: server.url, stream: queue.name, leaseMs: 5_000 });
    expect(textsIn(await reading(direct).settle(1))).toEqual(["b"]);
  });

  test("bytes that come one by one, and late, are the same messages", async () => {
    const queue = await opened();
    Object.assign(proxy.faults, { sliceBytes: 11, latencyMs: 2 });
    await sendAll(queue, ["añ", "b"]);
    expect(textsIn(await reading(queue).settle(2))).toEqual(["añ", "b"]);
  });

  test("a server that does not greet is a timeout of connecting, and the next send tries again", async () => {
    proxy.heal();
    proxy.faults.silent = "both";
    const queue = nats({ url: `nats://127.0.0.1:${proxy.port}`, stream: "s", connectMs: 200 });
    onTestFinished(() => queue.close());
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "timeout", phase: "connect" });
    proxy.cut();
    proxy.heal();
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "not_found" }); // so it has asked
  });
});
