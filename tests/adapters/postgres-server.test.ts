import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket, connect as connectTo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext, TLSSocket } from "node:tls";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgres, type PostgresOptions } from "../../src/adapters/postgres/index.ts";
import { isText, run } from "../../src/index.ts";
import { insert } from "../../src/kinds/insert.ts";
import { type Host, openHost } from "../services/host.ts";
import { answers, type PostgresServer, startPostgres } from "../services/postgres.ts";
import { libraryPath } from "../services/postgres-tree.ts";
import { service, titled } from "../services.ts";
import { numbers } from "../streams/support.ts";

const known = await service("postgres");
const notOurs = known.skip ?? (known.from === "DATABASE_URL" ? "the server of DATABASE_URL is not ours to kill" : undefined);

describe.skipIf(notOurs !== undefined)(titled("postgres, its server killed", notOurs === undefined ? known : { skip: notOurs }), () => {
  let host: Host;
  let server: PostgresServer;
  beforeAll(async () => {
    host = openHost();
    server = await startPostgres(host);
  }, 120_000);
  afterAll(() => host?.close());

  /** Kills it as a power cut would, and starts it again on its data. */
  const restart = async (): Promise<void> => {
    const { child } = server.process;
    const [command = "", ...args] = child.spawnargs;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    // its children end a moment later, and hold the memory that the next one would use until then
    for (let tries = 0; ; tries += 1) {
      const next = host.launch("postgres", command, args, { env: { ...process.env, ...libraryPath(server.tree.root) }, signal: "SIGINT" });
      try {
        await host.ready(next, () => answers(server.url));
        server = { ...server, process: next };
        return;
      } catch (error) {
        if (tries === 20) throw error;
      }
    }
  };

  test("a stream that is read is unavailable and never an end, and the next one needs no new adapter", async () => {
    const sql = postgres({ connectionString: server.url });
    await sql.execute({ text: "create table numbers as select n from generate_series(1, 50000) as n" });
    let seen = 0;
    const reading = (async () => {
      for await (const _ of sql.query({ text: "select n from numbers order by n" }, { batch: 100 })) {
        seen += 1;
        if (seen === 1_000) await restart();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "unavailable", retryable: true });
    expect(seen).toBeLessThan(1_200);
    expect((await sql.execute({ text: "select count(*)::integer as n from numbers" })).rows).toEqual([{ n: 50_000 }]);
    await sql.close();
  }, 120_000);

  /** Stores 2,000 numbers in batches of 100; when half of them are stored the server is killed. */
  const storedAround = async (table: string): Promise<{ readonly handed: number; readonly rows: number; readonly error: unknown }> => {
    const sql = postgres({ connectionString: server.url });
    const storing = insert(sql, { table, columns: { words: { type: "text", value: (part) => (isText(part) ? part.text : null) } }, batch: 100 });
    let handed = 0;
    let restarted: Promise<void> | undefined;
    let error: unknown;
    await run(storing, numbers(2_000)).forEach(async () => {
      handed += 1;
      if (handed === 1_000) restarted = restart();
      if (handed === 1_000 && table === "betweens") await restarted;
    }).catch((thrown: unknown) => (error = thrown));
    await restarted;
    const [row] = (await sql.execute({ text: `select count(*)::integer as n from ${table}` })).rows;
    await sql.close();
    return { handed, rows: Number(row?.n), error };
  };

  test("killed within a batch, nothing of that batch is stored, and what was handed on is", async () => {
    const sql = postgres({ connectionString: server.url });
    await sql.execute({ text: "create table within (words text)" });
    await sql.execute({ text: "create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(10); return new; end'" });
    await sql.execute({ text: "create trigger waits before insert on within for each row when (new.words = '1050') execute function wait()" });
    await sql.close();
    expect(await storedAround("within")).toMatchObject({ handed: 1_000, rows: 1_000, error: { code: "unavailable" } });
  }, 120_000);

  test("killed between two batches, the run does not notice", async () => {
    const sql = postgres({ connectionString: server.url });
    await sql.execute({ text: "create table betweens (words text)" });
    await sql.close();
    expect(await storedAround("betweens")).toEqual({ handed: 2_000, rows: 2_000, error: undefined });
  }, 120_000);
});

/** Certificates made for this run: none in the repository that will have expired. */
function certificates(folder: string): { readonly ca: string; readonly cert: string; readonly key: string } | string {
  const words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key -out cert";
  const made = spawnSync("openssl", words.split(" "), { cwd: folder });
  if (made.status !== 0) return "no openssl to make a certificate with";
  const [cert, key] = [readFileSync(join(folder, "cert"), "utf8"), readFileSync(join(folder, "key"), "utf8")];
  return { ca: cert, cert, key };
}

const folder = mkdtempSync(join(tmpdir(), "millrace-tls-"));
const pem = certificates(folder);
rmSync(folder, { recursive: true });
const noTls = known.skip ?? (typeof pem === "string" ? pem : undefined);

describe.skipIf(noTls !== undefined)(titled("postgres through TLS", noTls === undefined ? known : { skip: noTls }), () => {
  if (typeof pem === "string" || known.url === undefined) return;
  const target = new URL(known.url);
  const sockets = new Set<Socket>();
  /** Speaks TLS in front of the server: what is sent before it is counted. */
  let plainBytes = 0;
  const front = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", (asked) => {
      plainBytes += asked.length;
      socket.write("S"); // yes to the SSLRequest
      const secure = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext(pem) });
      const server = connectTo({ port: Number(target.port), host: target.hostname });
      sockets.add(server);
      server.on("error", () => secure.destroy());
      secure.on("error", () => server.destroy());
      secure.pipe(server).pipe(secure);
    });
  });
  let port = 0;
  beforeAll(async () => {
    front.listen(0, "127.0.0.1");
    await once(front, "listening");
    const address = front.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    front.close();
  });
  const ask = async (host: string, query: string, options: Partial<PostgresOptions> = {}): Promise<unknown> => {
    const url = new URL(`${target.href}${query}`);
    url.host = `${host}:${port}`;
    url.password = "hunter2";
    await using sql = postgres({ connectionString: url.href, ...options });
    return (await sql.execute({ text: "select 1 as n" })).rows;
  };

  test("a server whose authority is known is talked to", async () => {
    expect(await ask("localhost", "", { ssl: { ca: pem.ca } })).toEqual([{ n: 1 }]);
    expect(await ask("localhost", "?sslmode=require", { ssl: { ca: pem.ca } })).toEqual([{ n: 1 }]);
  });

  test.each([
    ["an authority nobody knows", "localhost", {}],
    ["a certificate for another host", "127.0.0.1", { ssl: { ca: pem.ca } }],
  ])("%s is unavailable, not to be tried again, and nothing was said to it", async (_, host, options) => {
    plainBytes = 0;
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"; // somebody meant another connection by that
    try {
      const error: unknown = await ask(host, "?sslmode=require", options).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "unavailable", retryable: false });
      expect(inspect(error, { depth: 10 })).not.toContain("hunter2");
      expect(plainBytes).toBe(8); // the request for TLS alone
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });
});
