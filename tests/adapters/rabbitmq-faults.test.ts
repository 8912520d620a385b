import { Socket } from "node:net";
import { inspect } from "node:util";
import { type ChannelModel, connect as connectTo } from "amqplib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rabbitmq, type RabbitmqOptions } from "../../src/adapters/rabbitmq/index.ts";
import { consume, isText, type Part, pipe, text } from "../../src/index.ts";
import { service, titled } from "../services.ts";
import { faultProxy, type FaultProxy } from "../services/fault-proxy.ts";
import { outages } from "./outages.ts";
import { lost, type OwnQueues, ownQueues, pulled } from "./rabbitmq-own.ts";

const nowhere = "amqp://u:hunter2-canary@127.0.0.1:1/x";

describe("rabbitmq", () => {
  test("opens nothing until it is asked, and refuses options that cannot work", async () => {
    await rabbitmq({ url: nowhere, queue: "q" }).close();
    const bad: Partial<Record<keyof RabbitmqOptions, unknown>>[] = [
      { queue: "" }, { queue: "amq.x" }, { queue: "a\0b" }, { queue: "é".repeat(101) }, { connectMs: 0 }, { heartbeatMs: 500 }, { heartbeatMs: 1_500 },
      { maxMessageBytes: 0 }, { type: "stream" }, { deliveryLimit: 0 }, { deliveryLimit: 3, type: "classic" }, { deadLetterExchange: "" }, { delayQueues: 1 },
      { url: "http://host" }, { url: "amqp://" }, { url: "amqp://host?heartbeat=1" },
    ]; // prettier-ignore
    for (const options of bad) expect(() => rabbitmq({ url: nowhere, queue: "q", ...options } as RabbitmqOptions), inspect(options)).toThrow(expect.objectContaining({ code: "invalid_input" }));
    expect(() => rabbitmq({ queue: "q" })).toThrow(expect.objectContaining({ code: "missing_config" }));
    expect(() => rabbitmq({ url: nowhere, connect: () => Promise.reject(new Error("no")), queue: "q" })).toThrow(expect.objectContaining({ code: "missing_config" }));
    for (const maxInFlight of [0, -1]) expect(() => rabbitmq({ url: nowhere, queue: "q" }).open({ signal: new AbortController().signal, maxInFlight })).toThrow(/maxInFlight/);
  });

  test("a broker that is not there is unavailable, and neither errors nor the queue show the password", async () => {
    const queue = rabbitmq({ url: nowhere, queue: "q" });
    const errors: unknown[] = [];
    for (const work of [() => queue.send([]), () => pulled(queue).next(), () => queue.setup()]) errors.push(await work().catch((error: unknown) => error));
    for (const error of errors) expect(error).toMatchObject({ code: "unavailable", retryable: true, message: expect.stringContaining("ECONNREFUSED") });
    for (const shown of [inspect(errors, { depth: 10 }), JSON.stringify(errors), inspect(queue, { depth: 10, showHidden: true })]) expect(shown).not.toContain("canary");
    await queue.close();
  });
});

const server = await service("rabbitmq");
describe.skipIf(server.skip !== undefined)(titled("rabbitmq, at fault", server), () => {
  const url = new URL(server.url ?? "amqp://none");
  let own: OwnQueues;
  let proxy: FaultProxy;
  const opened: FaultProxy[] = [];
  beforeAll(async () => {
    if (server.url !== undefined) own = await ownQueues(server.url);
  });
  afterAll(async () => {
    await own?.[Symbol.asyncDispose]();
    for (const each of opened) await each[Symbol.asyncDispose]();
  });
  const proxied = async (): Promise<string> => {
    proxy = await faultProxy(Number(url.port || 5672), url.hostname);
    opened.push(proxy);
    return Object.assign(new URL(url), { host: `127.0.0.1:${proxy.port}` }).href;
  };
  const address = (changes: Partial<URL>): string => Object.assign(new URL(url), changes).href;

  test("a wrong password and a virtual host that is not there are unauthorized, and not shown", async () => {
    for (const changes of [{ username: "nobody", password: "hunter2-canary" }, { pathname: "/nowhere" }]) {
      const queue = await own.fresh({ url: address(changes) }, false);
      const error: unknown = await queue.setup().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "unauthorized" });
      expect(inspect(error, { depth: 10 })).not.toContain("canary");
      await queue.close(); // nothing is left to delete
    }
  });

  test("a queue that is not there is told, by who sends and by who reads, and neither declares it", async () => {
    const queue = await own.fresh({}, false);
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "no_route", scope: "dependency", message: expect.stringContaining(queue.name) });
    await expect(pulled(queue).next()).rejects.toMatchObject({ code: "not_found", scope: "dependency" });
    await expect(pulled(await own.fresh({ delayQueues: true, queue: (await own.fresh()).name }, false)).next()).rejects.toMatchObject({ code: "not_found" });
    await queue.setup();
    await queue.send([text("a")]); // on the same client
  });

  test("a queue that is deleted under its reader is not_found, not the end of the messages", async () => {
    const queue = await own.fresh();
    const reader = pulled(queue);
    await queue.send([text("a")]);
    await (await reader.next()).ack();
    const next = reader.next();
    const failed = expect(next).rejects.toMatchObject({ code: "not_found", scope: "dependency" });
    await own.channel.deleteQueue(queue.name);
    await failed;
  });

  test("a queue that is there and otherwise is a conflict, and so is one that another connection has for itself", async () => {
    const queue = await own.fresh();
    const classic = await own.fresh({ queue: queue.name, type: "classic" }, false);
    await expect(classic.setup()).rejects.toMatchObject({ code: "conflict" });
    await queue.setup(); // twice is fine
    const locked = await own.fresh({}, false);
    await own.channel.assertQueue(locked.name, { exclusive: true });
    await expect(pulled(locked).next()).rejects.toMatchObject({ code: "conflict" });
  });

  test("a message above maxMessageBytes is too_large, sent or received, and the next one comes", async () => {
    const queue = await own.fresh({ maxMessageBytes: 1_000 });
    await expect(queue.send([text("x".repeat(1_000))])).rejects.toMatchObject({ code: "too_large" });
    await own.put(queue.name, "x".repeat(1_001));
    await queue.send([text("fine")]);
    const reader = pulled(queue);
    const large = await reader.next();
    expect([large.unreadable?.code, large.parts]).toEqual(["too_large", []]);
    await large.ack();
    expect((await reader.next()).unreadable).toBeUndefined();
  });

  test("a delay without queues for delays is refused, and leaves the delivery as it was", async () => {
    const queue = await own.fresh();
    await queue.send([text("a")]);
    const delivery = await pulled(queue).next();
    await expect(delivery.nack({ delayMs: 1 })).rejects.toMatchObject({ code: "invalid_input" });
    await delivery.ack();
    const delaying = await own.fresh({ delayQueues: true });
    await expect(delaying.send([], { delayMs: 262_144_001 })).rejects.toMatchObject({ code: "invalid_input" });
  });

  test("a cut connection voids what is out, and the reader connects again, tells so once, and gets it again, under the same id", async () => {
    const queue = await own.fresh({ url: await proxied() });
    await queue.send([text("a")]);
    const { all: away, tell } = outages();
    const reader = pulled(queue, { tell });
    const first = await reader.next();
    expect(away).toEqual([]);
    proxy.cut();
    await lost(first);
    await expect(first.ack()).rejects.toMatchObject({ code: "closed" });
    await expect(first.nack({ counted: false })).rejects.toMatchObject({ code: "closed" });
    const again = await reader.next();
    expect([again.id, again.attempt, away.length]).toEqual([first.id, 2, 1]);
    await again.ack();
    await queue.send([text("b")]); // on a new connection too
    await (await reader.next()).ack();
    await reader.leave();
    expect(await own.waiting(queue.name)).toBe(0);
    await queue.close();
    await expect.poll(() => proxy.open).toBe(0);
  });

  test("of a delivery that went with its reader no copy is made", async () => {
    const queue = await own.fresh();
    await queue.send([text("a")]);
    const controller = new AbortController();
    const held = await pulled(queue, { signal: controller.signal }).next();
    controller.abort(new Error("enough"));
    await expect(held.nack({ counted: false })).rejects.toMatchObject({ code: "closed" });
    await queue.send([text("b")]);
    const reader = pulled(queue);
    expect([(await reader.next()).parts, (await reader.next()).parts]).toMatchObject([[{ text: "a" }], [{ text: "b" }]]);
  });

  test("a connection that is lost before the confirmation is interrupted: the message may be there, and is", async () => {
    const queue = await own.fresh({ url: await proxied() });
    proxy.faults.silent = "down";
    const sending = expect(queue.send([text("a")])).rejects.toMatchObject({ code: "interrupted", retryable: false, cause: { code: "unavailable" } });
    await expect.poll(() => own.waiting(queue.name), { timeout: 10_000 }).toBe(1);
    proxy.cut();
    await sending;
    proxy.heal();
    await queue.send([text("b")]);
    expect(await own.waiting(queue.name)).toBe(2);
  });

  test("a half-open connection is found out by its silence, and a worker loses nothing by it, nor by being refused", async () => {
    const queue = await own.fresh({ url: await proxied(), heartbeatMs: 1_000 });
    const seen = new Set<string>();
    const all = Promise.withResolvers<void>();
    const words = Array.from({ length: 60 }, (_, n) => String(n));
    const put = (word: string | undefined): Promise<void> => own.put(queue.name, JSON.stringify({ millrace: 1, parts: [{ kind: "text", text: word }] }));
    const holder = pulled(queue, { maxInFlight: 1 }); // holds a message meanwhile
    await put(words[0]);
    const held = await holder.next();
    const sink = async (part: Part): Promise<void> => {
      const before = seen.size;
      if (isText(part)) seen.add(part.text);
      if (before === 19 && seen.size === 20) proxy.faults.silent = "both";
      if (seen.size === words.length) all.resolve();
    };
    const { all: away, tell } = outages();
    await using worker = consume(queue, pipe(), sink, { onEvent: tell });
    for (const word of words.slice(1, 40)) await put(word);
    await lost(held);
    proxy.faults.refuse = true;
    const before = proxy.connections;
    await expect.poll(() => proxy.connections, { timeout: 20_000 }).toBeGreaterThan(before + 1);
    proxy.heal();
    await holder.leave();
    for (const word of words.slice(40)) await queue.send([text(word)]);
    await all.promise;
    await worker.stop();
    expect([...seen].sort()).toEqual([...words].sort());
    expect(away).toHaveLength(1); // however often it was refused
    await expect.poll(() => own.waiting(queue.name)).toBe(0);
  });

  test("abort, break and close each close every socket, also while nothing answers", async () => {
    const queue = await own.fresh({ url: await proxied() });
    await expect.poll(() => proxy.open).toBe(1); // of setup, kept for sending
    const [controller, reason] = [new AbortController(), new Error("enough")];
    const waiting = pulled(queue, { signal: controller.signal });
    const aborted = expect(waiting.next()).rejects.toBe(reason);
    await expect.poll(() => proxy.open).toBe(2);
    controller.abort(reason);
    await aborted;
    await expect.poll(() => proxy.open).toBe(1);
    const reader = pulled(queue);
    await queue.send([text("a")]);
    await reader.next();
    await reader.leave();
    await expect.poll(() => proxy.open).toBe(1);
    proxy.faults.silent = "both";
    const sending = expect(queue.send([text("b")])).rejects.toMatchObject({ code: "closed" });
    const opening = expect(pulled(queue).next()).rejects.toMatchObject({ code: "closed" });
    await expect.poll(() => proxy.connections).toBe(4);
    await queue.close();
    await Promise.all([sending, opening]);
    proxy.heal(); // what was silent hears of the end
    await expect.poll(() => proxy.open).toBe(0);
  });

  test("a socket whose other side is silent is destroyed, not left to its end", async () => {
    const at = await proxied();
    const sockets: Socket[] = [];
    const connect = async (): Promise<ChannelModel> => {
      const connection = await connectTo(at);
      sockets.push(Object.assign({ stream: new Socket() }, connection.connection).stream);
      return connection;
    };
    const { name } = await own.fresh();
    const queue = rabbitmq({ connect, queue: name });
    await queue.send([text("a")]);
    await pulled(queue).next();
    proxy.faults.silent = "both";
    await queue.close();
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });
});
