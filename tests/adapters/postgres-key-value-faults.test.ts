import { connect, createServer, type Server, type Socket } from "node:net";
import pg from "pg";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { postgresKeyValue, type PostgresKeyValue, type PostgresKeyValueOptions } from "../../src/adapters/postgres/key-value.ts";
import { ownDatabase, service, titled } from "../services.ts";
import { openHost } from "../services/host.ts";
import { answers, ask, startPostgres } from "../services/postgres.ts";
import { libraryPath } from "../services/postgres-tree.ts";
import { seen } from "./seen.ts";

const server = await service("postgres");
const value = Uint8Array.of(1);

/** What a call that waits for its row is made of, each way in which it can. */
const calls: Readonly<Record<string, (store: PostgresKeyValue, signal?: AbortSignal) => Promise<unknown>>> = {
  set: (store, signal) => store.set("held", value, signal === undefined ? {} : { signal }),
  delete: (store, signal) => store.delete("held", signal === undefined ? {} : { signal }),
  advance: (store, signal) => store.advance("held", { a: { byMs: 1_000 } }, signal === undefined ? {} : { signal }),
};

describe.skipIf(server.skip !== undefined)(titled("postgresKeyValue, when the server does not play along", server), async () => {
  if (server.url === undefined) return;
  const database = await ownDatabase(server.url);
  const gate = await openGate(new URL(database.url));
  const table = "kept";
  const opened = (options: Partial<PostgresKeyValueOptions> = {}): PostgresKeyValue => postgresKeyValue({ connectionString: gate.url, table, ...options });
  const waiting = async (): Promise<number> =>
    (await database.query("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).length;
  afterAll(async () => {
    await gate.close();
    await database[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await using store = opened();
    await store.setup();
    await store.set("held", value);
    await store.advance("held", { a: { atLeastMs: 1_000_000 } });
  });

  /** Holds the rows of the key while `body` runs. */
  async function held(body: () => Promise<void>): Promise<void> {
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    try {
      await other.query("begin");
      await other.query(`select from ${table} where key = 'held' for update`);
      await body();
    } finally {
      await other.end();
    }
  }

  for (const [name, call] of Object.entries(calls)) {
    test(`${name}: an abort rejects at once with its reason, cancels the statement, and the connection is had again`, async () => {
      await using store = opened({ connections: 1 });
      await held(async () => {
        const controller = new AbortController();
        const reason = new Error("enough");
        const calling = call(store, controller.signal);
        await seen(async () => (await waiting()) === 1);
        controller.abort(reason);
        await expect(calling).rejects.toBe(reason);
        await seen(async () => (await waiting()) === 0);
        expect(await store.get("held")).toEqual(value);
      });
      expect((await store.advance("held", {})).aheadMs["a"]).toBeLessThanOrEqual(1_000_000);
    });

    test(`${name}: a connection that is ended, by the server or on the way, is unavailable; the next call has another one`, async () => {
      await using store = opened({ connections: 1 });
      const ends: (() => unknown)[] = [
        () => database.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"),
        () => gate.cut(),
      ];
      for (const end of ends) {
        await held(async () => {
          const calling = expect(call(store)).rejects.toMatchObject({ code: "unavailable", retryable: true, service: "postgres" });
          await seen(async () => (await waiting()) === 1);
          await end();
          await calling;
          expect(await store.get("held")).toEqual(value);
          // what was cut off on the way only is still waiting at the server
          await database.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
        });
      }
    });

    test(`${name}: a statement that takes too long is a timeout, and nothing came of it`, async () => {
      await using store = opened({ timeoutMs: 100 });
      await held(() => expect(call(store)).rejects.toMatchObject({ code: "timeout", service: "postgres" }));
      expect(await store.get("held")).toEqual(value);
      const { aheadMs } = await store.advance("held", {});
      expect(aheadMs["a"]).toBeLessThanOrEqual(1_000_000);
    });

    test(`${name}: closing ends a call in progress as closed, and the server hears of it`, async () => {
      const store = opened();
      await held(async () => {
        const calling = expect(call(store)).rejects.toMatchObject({ code: "closed" });
        await seen(async () => (await waiting()) === 1);
        await store.close();
        await calling;
        await seen(async () => (await waiting()) === 0);
      });
    });
  }

  test("a pool that is used up is unavailable after connectMs, and has room again afterwards", async () => {
    await using store = opened({ connections: 1, connectMs: 100 });
    let calling: Promise<unknown> = Promise.resolve();
    await held(async () => {
      calling = store.set("held", Uint8Array.of(2));
      await seen(async () => (await waiting()) === 1);
      await expect(store.get("held")).rejects.toMatchObject({ code: "unavailable", retryable: true });
    });
    expect(await calling).toBe(true);
    expect(await store.get("held")).toEqual(Uint8Array.of(2));
  });

  test("a server that is away is unavailable, and the same store goes on when it is back", async () => {
    await using store = opened();
    expect(await store.get("held")).toEqual(value);
    await gate.shut();
    for (const call of await Promise.allSettled([store.get("held"), store.set("held", value), store.advance("held", {})])) {
      expect(call).toMatchObject({ status: "rejected", reason: { code: "unavailable", message: expect.not.stringContaining("s3cret") } });
    }
    await gate.open();
    expect(await store.get("held")).toEqual(value);
  });

  test("an abort does not wait for a server that says nothing any more", async () => {
    await using store = opened({ connections: 1 });
    await store.get("held");
    const swallowed = gate.silence();
    const controller = new AbortController();
    const reason = new Error("enough");
    const calling = expect(store.get("held", { signal: controller.signal })).rejects.toBe(reason);
    await swallowed;
    controller.abort(reason);
    await calling;
    await gate.shut(); // also what was to cancel the statement
    await gate.open();
    expect(await store.get("held")).toEqual(value);
  });
});

const skip = server.skip ?? (server.from === "DATABASE_URL" ? "the server is not ours to kill" : undefined);
describe.skipIf(skip !== undefined)(titled("a server that is killed", skip === undefined ? server : { skip }), () => {
  test("is unavailable to the call in progress; restarted, it has what was logged, and the same store goes on", async () => {
    const host = openHost();
    try {
      const { url, tree, process } = await startPostgres(host);
      await using logged = postgresKeyValue({ connectionString: url, table: "logged" });
      await using unlogged = postgresKeyValue({ connectionString: url, table: "unlogged", unlogged: true });
      for (const store of [logged, unlogged]) {
        await store.setup();
        await store.set("held", value);
        await store.advance("held", { a: { byMs: 3_600_000 } });
      }
      const other = new pg.Client({ connectionString: url });
      other.on("error", () => {});
      await other.connect();
      await other.query("begin");
      await other.query("select from logged where key = 'held' for update");
      const inProgress = Object.values(calls).map((call) => expect(call(logged)).rejects.toMatchObject({ code: "unavailable" }));
      await seen(async () => (await ask(url, "select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'")) === inProgress.length);
      await process.stop("SIGKILL");
      await Promise.all(inProgress);
      await other.end().catch(() => {});
      await expect(unlogged.get("held")).rejects.toMatchObject({ code: "unavailable" });

      const [program = "", ...args] = process.child.spawnargs;
      await seen(async () => {
        // its children need a moment to notice, and until then it does not start again
        const again = host.launch("postgres", program, args, { env: { ...globalThis.process.env, ...libraryPath(tree.root) }, signal: "SIGINT" });
        return host.ready(again, () => answers(url)).then(() => true, () => false);
      });
      expect(await logged.get("held")).toEqual(value);
      expect((await logged.advance("held", {})).aheadMs["a"]).toBeGreaterThan(3_000_000);
      expect(await unlogged.get("held")).toBeUndefined();
      expect(await unlogged.set("held", value, { ifAbsent: true })).toBe(true);
    } finally {
      await host.close();
    }
  });
});

/** A way to the server that can be cut, shut, and made to swallow what goes through. */
interface Gate {
  readonly url: string;
  /** Until it is shut; resolves when something was swallowed. */
  silence(): Promise<void>;
  cut(): void;
  shut(): Promise<void>;
  open(): Promise<void>;
  close(): Promise<void>;
}

async function openGate(target: URL): Promise<Gate> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  let swallow: (() => void) | undefined;
  const url = new URL(target);
  const gate: Gate = {
    get url() {
      return url.href;
    },
    silence: () => new Promise<void>((resolve) => (swallow = resolve)),
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async shut() {
      gate.cut();
      swallow = undefined;
      await new Promise((resolve) => server?.close(resolve));
    },
    async open() {
      server = createServer((near) => {
        const far = connect(Number(target.port), target.hostname);
        for (const [from, to] of [[near, far], [far, near]] as const) {
          sockets.add(from);
          from.on("error", () => {}).on("close", () => {
            sockets.delete(from);
            to.destroy();
          });
          from.on("data", (data) => {
            if (swallow === undefined) to.write(data);
            else swallow();
          });
        }
      });
      await new Promise<void>((resolve) => server?.listen(port, "127.0.0.1", resolve));
      const address = server.address();
      port = typeof address === "object" && address !== null ? address.port : 0;
      url.port = String(port);
      url.password = "s3cret"; // nobody asks for it, and nobody may read it
    },
    close: () => gate.shut(),
  };
  await gate.open();
  return gate;
}
