import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import { dialing } from "../../src/adapters/rabbitmq/dial.ts";
import { type AmqpConfirmChannel, type AmqpConnection, rabbitmq } from "../../src/adapters/rabbitmq/index.ts";
import { Sender } from "../../src/adapters/rabbitmq/sender.ts";
import { systemClock } from "../../src/core/clock.ts";
import { MillraceError, text } from "../../src/index.ts";

/** A channel that confirms what is published, as long as it is open. */
function channelOf(connection: EventEmitter): EventEmitter & AmqpConfirmChannel {
  let isOpen = true;
  const channel: EventEmitter & AmqpConfirmChannel = Object.assign(new EventEmitter(), {
    async prefetch() {},
    consume: () => Promise.reject(new Error("not here")),
    async cancel() {},
    async checkQueue() {},
    async assertQueue() {},
    ack() {},
    nack() {},
    async close() {},
    publish(_exchange: string, _key: string, _content: unknown, _options: object, confirmed: (error: unknown) => void) {
      if (!isOpen) throw new Error("Channel closed");
      setImmediate(() => confirmed(null));
      return true;
    },
  });
  channel.on("close", () => (isOpen = false));
  connection.on("close", () => (isOpen = false));
  return channel;
}

/** Connections of a client that emits as `amqplib` does; `made` happens to each channel in the turn in which it is there. */
function client(made: (connection: EventEmitter, channel: EventEmitter, count: number) => void) {
  const connections: EventEmitter[] = [];
  return {
    connections,
    async connect(): Promise<AmqpConnection> {
      const connection = new EventEmitter();
      const count = connections.push(connection);
      return Object.assign(connection, {
        createChannel: () => Promise.reject(new Error("not here")),
        createConfirmChannel: () =>
          new Promise<AmqpConfirmChannel>((resolve) => {
            const channel = channelOf(connection);
            resolve(channel);
            made(connection, channel, count);
          }),
        async close() {},
      });
    },
  };
}

describe("the sender of rabbitmq", () => {
  test("whose broker goes in the moment in which the channel is there fails once, and sends by another connection then", async () => {
    const { connections, connect } = client((connection, channel, count) => {
      if (count > 1) return;
      const forced = Object.assign(new Error("Connection closed: 320 (CONNECTION-FORCED)"), { code: 320 });
      channel.emit("close");
      connection.emit("close", forced);
    });
    await using queue = rabbitmq({ connect, queue: "q" });
    await expect(queue.send([text("a")])).rejects.toMatchObject({ code: "unavailable", retryable: true });
    await queue.send([text("b")]);
    expect(connections).toHaveLength(2);
  });

  test("keeps nothing of sends that were given up while the broker is blocked, and lets the others go on when it is not", async () => {
    const { connections, connect } = client(() => {});
    const sender = new Sender(dialing({ connect }), systemClock);
    const send = (signal?: AbortSignal): Promise<void> => sender.send("q", { place: "p", body: Buffer.alloc(0), properties: {} }, signal);
    await send();
    connections[0]?.emit("blocked", "low on memory");
    const controller = new AbortController();
    const given = Promise.allSettled(Array.from({ length: 100 }, () => send(controller.signal)));
    const patient = send();
    expect(sender.held).toBe(101);
    controller.abort("enough");
    expect((await given).every((outcome) => outcome.status === "rejected" && outcome.reason === "enough")).toBe(true);
    expect(sender.held).toBe(1);
    connections[0]?.emit("unblocked");
    await patient;
    expect(sender.held).toBe(0);
    await sender.close(new MillraceError("closed", "closed"));
  });
});
