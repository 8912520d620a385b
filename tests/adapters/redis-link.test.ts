import { describe, expect, test } from "vitest";
import { redisSettings, type RedisSettings } from "../../src/adapters/redis/client.ts";
import { type NodeRedisClient, redisKeyValue } from "../../src/adapters/redis/index.ts";
import { Link } from "../../src/adapters/redis/link.ts";

/** A client whose server refuses every connection. */
function refusedClient(): NodeRedisClient {
  const refused = (): Promise<never> => Promise.reject(Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" }));
  return {
    duplicate: refusedClient,
    connect: refused,
    on() {},
    sendCommand: refused,
    subscribe: refused,
    unsubscribe: refused,
    ping: refused,
    destroy() {
      throw new Error("The client is closed");
    },
  };
}

describe("a way to Redis by a client that cannot be destroyed unless it is connected, as redis 6.2 was", () => {
  test("says why there is no connection, not that there is none to destroy", async () => {
    await using store = redisKeyValue({ client: refusedClient() });
    await expect(store.get("x")).rejects.toMatchObject({ code: "unavailable", retryable: true, message: expect.stringContaining("ECONNREFUSED") });
  });

  test("says why the connection was lost, and has another afterwards", async () => {
    let lose: (error: unknown) => void = () => {};
    let opened = 0;
    const settings: RedisSettings = {
      ...redisSettings("test", { url: "redis://127.0.0.1" }),
      async open(lost) {
        opened += 1;
        lose = lost;
        const never = (): Promise<never> => new Promise(() => {});
        const destroy = (): never => {
          throw new Error("The client is closed");
        };
        return { send: never, subscribe: never, unsubscribe: never, ping: async () => "PONG", destroy };
      },
    };
    const link = new Link(settings);
    const line = await link.get();
    lose(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
    expect(line.lost).toMatchObject({ code: "unavailable" });
    await link.get();
    link.close();
    expect(opened).toBe(2);
  });
});
