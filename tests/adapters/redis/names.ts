/**
 * Names of the tests' own on a shared Redis, and a look at it from the other side.
 *
 * @module
 */
import { createClient } from "redis";

/** Looks at a server, and at nothing but names of its own. */
export interface OwnNames extends AsyncDisposable {
  /** A name that nobody else has. */
  name(): string;
  /** A command on a connection of its own. */
  ask(...args: readonly (string | Buffer)[]): Promise<unknown>;
}

/** Connects to a server; what was named here is gone afterwards. */
export async function ownNames(url: string): Promise<OwnNames> {
  const prefix = `t-${crypto.randomUUID()}`;
  const client = createClient({ url, RESP: 2 });
  client.on("error", () => {});
  await client.connect();
  let count = 0;
  return {
    name: () => `${prefix}-${(count += 1)}`,
    ask: (...args) => client.sendCommand([...args]),
    async [Symbol.asyncDispose]() {
      const keys = await client.keys(`*${prefix}*`);
      if (keys.length > 0) await client.del(keys);
      client.destroy();
    },
  };
}

/** Asks until it is so, a moment apart: connections come back in their own time. */
export async function eventually(isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (let asked = 0; asked < 2_000; asked += 1) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("it has not come about");
}
