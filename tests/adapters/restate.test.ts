import { createServer, type Server } from "node:http";
import { inspect } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { durableBatch, keyed, perBatch, restate, type RestateOptions } from "../../src/adapters/restate/index.ts";
import { derive, each, image, isJson, isolate, isText, json, type Part, pipe, type Processor, run, skip, status, take, text } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { freePort } from "../services/host.ts";

const same = each((part) => part);
const opaque: Processor = async function* opaque(input) {
  yield* input;
};
const building = (options: Partial<RestateOptions>) => (): unknown => restate({ name: "p", stages: [same], ...options });

describe("a durable pipeline", () => {
  const refused: Readonly<Record<string, readonly [Partial<RestateOptions>, RegExp]>> = {
    "a generator that nobody speaks for": [{ stages: [same, opaque] }, /stages\[1\] must work part by part, and "opaque" is not known to/],
    "a stage that counts": [{ stages: [pipe(same, skip(1))] }, /and "skip" is not known to/],
    "a stage that gathers": [{ stages: [take(2)] }, /and "take" is not known to/],
    "isolate, whose ordinals count the whole stream": [{ stages: [isolate(same)] }, /and "isolate" is not known to/],
    "a keyed stage without keys": [{ stages: [keyed(opaque)] }, /stages\[0\] is keyed, so the option key is needed/],
    "no stages": [{ stages: [] }, /stages must be a list of at least one, got an array of 0/],
    "what is no stage": [{ stages: ["x" as unknown as Processor] }, /stages\[0\] must be a processor, perBatch\(\) or keyed\(\), got "x"/],
    "a name of the engine's own": [{ name: "restate-mine" }, /name must be a letter/],
    "a name that is a path": [{ name: "a/b" }, /name must be a letter/],
    "a batch of none": [{ batch: 0 }, /batch must be a whole number from 1 to 10000, got number 0/],
    "messages larger than the engine takes": [{ maxBytes: 33_554_432 }, /maxBytes must be a whole number/],
    "plain http to another host": [{ baseUrl: "http://restate:8080" }, /baseUrl must be https, or http on loopback, got http:\/\/restate:8080/],
    "a password in the address": [{ baseUrl: "https://me:geheim@restate.test" }, /baseUrl must hold no user name or password$/],
    "one in it in a network of one's own": [{ baseUrl: "http://me:geheim@restate:8080", allowHttp: true }, /baseUrl must hold no user name or password$/],
    "a query in it": [{ adminUrl: "https://restate.test?token=geheim" }, /adminUrl must have no query and no fragment$/],
    "a header on two lines": [{ headers: { a: "b\r\nc: d" } }, /the value of header a must be text on one line$/],
  };
  for (const [what, [options, said]] of Object.entries(refused)) {
    test(`refuses ${what} when it is built`, () => expect(building(options)).toThrow(said));
  }

  test("takes part functions, and what perBatch and keyed speak for", () => {
    expect(building({ key: () => "k", stages: [pipe(same, same), perBatch(isolate(same)), keyed(opaque)] })).not.toThrow();
  });

  test("takes plain http to another host in a network of one's own", () => expect(building({ baseUrl: "http://restate:8080", allowHttp: true })).not.toThrow());

  test("refuses an id that could not stand in an address", () => {
    const durable = restate({ name: "p", stages: [same] });
    for (const id of ["", "a/b", "ä", "x".repeat(129)]) {
      expect(() => durable.run("a", { id })).toThrow(/id must be 1 to 128 letters/);
      expect(() => durable.processor({ id })).toThrow(/id must be 1 to 128 letters/);
    }
  });

  test("is closed twice as once, and does nothing afterwards", async () => {
    const durable = restate({ name: "p", stages: [same] });
    await durable.close();
    await durable[Symbol.asyncDispose]();
    await expect(durable.serve()).rejects.toMatchObject({ code: "closed" });
    await expect(durable.deploy("http://127.0.0.1:1")).rejects.toMatchObject({ code: "closed" });
    await expect(durable.run("a").collect()).rejects.toMatchObject({ code: "closed" });
  });
});

describe("in this process, a durable pipeline", () => {
  /** Notes number, key and text of each batch. */
  const seen = (groups: string[]) =>
    perBatch(async function* (input, context) {
      const batch = context === undefined ? undefined : durableBatch(context);
      let all = "";
      for await (const part of input) {
        if (isText(part)) all += part.text;
        yield part;
      }
      groups.push(`${batch?.seq}:${batch?.key === undefined ? "" : `${batch.key}:`}${all}`);
    });

  test("is cut into batches of so many parts, the last may be short", async () => {
    const groups: string[] = [];
    const { local } = restate({ name: "p", batch: 2, stages: [seen(groups)] });
    expect(await run(local, ["a", "b", "c", "d", "e"]).text()).toBe("abcde");
    expect(groups).toEqual(["0:ab", "1:cd", "2:e"]);
  });

  test("is cut where the next part would make a batch too large", async () => {
    const groups: string[] = [];
    const { local } = restate({ name: "p", maxBytes: 1_024, stages: [seen(groups)] });
    await run(local, ["a".repeat(400), "b".repeat(400), "c".repeat(400)]).collect();
    expect(groups.map((group) => group.length)).toEqual([802, 402]);
  });

  test("refuses a part that is larger than a batch, and says what to do", async () => {
    const { local } = restate({ name: "p", maxBytes: 1_024, stages: [same] });
    await expect(run(local, [text("a"), image(new Uint8Array(1_024))]).collect()).rejects.toMatchObject({ code: "too_large", message: expect.stringMatching(/^restate: a bytes part of 1\d\d\d bytes does not fit into a batch of 1024: keep its content in a blob store/) });
  });

  test("refuses what a stage makes above the limit, and names the stage", async () => {
    const swollen = each(() => "x".repeat(600), { name: "swell" });
    const { local } = restate({ name: "p", maxBytes: 1_024, stages: [same, swollen] });
    await expect(run(local, ["a", "b"]).collect()).rejects.toMatchObject({ code: "too_large", message: expect.stringContaining("2-swell made more than 1024 bytes of batch 0") });
  });

  test("goes key by key within a batch, and keeps a value for each key from batch to batch", async () => {
    const groups: string[] = [];
    const counted = keyed(async function* (input, context) {
      const batch = context === undefined ? undefined : durableBatch(context);
      let count = Number(batch?.get() ?? 0);
      for await (const part of input) yield json(`${isText(part) ? part.text : ""}${++count}`);
      batch?.set(count);
    });
    const keyOf = (part: Part): string => (isText(part) ? part.text : "");
    const { local } = restate({ name: "p", batch: 3, key: keyOf, stages: [seen(groups), counted] });
    const values = async (): Promise<unknown[]> => (await run(local, ["a", "b", "a", "b", "a"]).collect()).map((part) => (isJson(part) ? part.value : part.kind));
    expect(await values()).toEqual(["a1", "a2", "b1", "b2", "a3"]);
    expect(groups).toEqual(["0:a:aa", "1:b:b", "2:b:b", "3:a:a"]);
    expect(await values()).toEqual(["a1", "a2", "b1", "b2", "a3"]); // another run, other values
  });

  test("lets only a keyed stage keep a value", async () => {
    const keeping = each((part, context) => {
      durableBatch(context)?.set(1);
      return part;
    }, { name: "keeping" });
    const { local } = restate({ name: "p", stages: [keeping] });
    await expect(run(local, "a").collect()).rejects.toThrow("restate: 1-keeping keeps nothing: only a stage that is keyed() may set a value");
  });

  test("refuses a key that is no text, without quoting a part", async () => {
    const { local } = restate({ name: "p", key: () => 7 as unknown as string, stages: [same] });
    await expect(run(local, "private").collect()).rejects.toThrow(/^restate: key must give text of up to 256 characters, got number 7$/);
  });

  test("gives a step the same id whenever it works on the same batch of the same run", async () => {
    const ids = new Set<string | undefined>();
    const noting = each((part, context) => {
      ids.add(durableBatch(context)?.id);
      return part;
    }, { name: "note" });
    const { local } = restate({ name: "p", batch: 2, stages: [noting, noting] });
    await run(local, ["a", "b", "c"]).collect();
    const [first = ""] = [...ids][0]?.split("/") ?? [];
    expect([...ids]).toEqual([`${first}/0/1-note`, `${first}/0/2-note`, `${first}/1/1-note`, `${first}/1/2-note`]);
  });

  test("changes nothing about a part but what the codec does", async () => {
    const { local } = restate({ name: "p", stages: [same] });
    const parts = [text("a", { role: "assistant", metadata: { n: [1, { b: null }] } }), json({ x: 1 }), image(new Uint8Array([1, 2]), "image/png")];
    expect(await run(local, parts).collect()).toEqual(parts);
  });

  test("hands out the status of a stage, and derives nothing from it", async () => {
    const telling = each((part) => [status("working"), derive(part, { text: "b" })], { name: "tell" });
    const { local } = restate({ name: "p", stages: [telling] });
    expect((await run(local, "a").collect()).map((part) => [part.substream, isText(part) && part.text])).toEqual([["status", "working"], ["", "b"]]);
  });
});

describe("an engine that answers something else", () => {
  const key = "canary-5f1c0b7e9d";
  const answers: Readonly<Record<string, readonly [status: number, type: string, body: string, error: object]>> = {
    "a page of HTML is bad_response": [200, "text/html", "<h1>Welcome</h1>", { code: "bad_response" }],
    "nothing that says which call it is is bad_response": [200, "application/json", "{}", { code: "bad_response" }],
    "401 is unauthorized, though it echoes the key": [401, "application/json", JSON.stringify({ message: `no such key: Bearer ${key}` }), { code: "unauthorized", status: 401 }],
    "404 is not_found": [404, "application/json", JSON.stringify({ message: "service 'p' not found", source: "ingress" }), { code: "not_found", status: 404 }],
    "413 is too_large": [413, "text/plain", "length limit exceeded", { code: "too_large", status: 413 }],
    "a redirect is bad_response, and not followed": [307, "text/plain", "", { code: "bad_response" }],
  };
  for (const [what, [status, type, body, error]] of Object.entries(answers)) {
    test(what, async () => {
      const paths: string[] = [];
      const server = createServer((request, response) => {
        paths.push(request.url ?? "");
        request.resume();
        response.writeHead(status, { "content-type": type, location: "/elsewhere" }).end(body);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const address = server.address();
      const port = typeof address === "object" ? address?.port : 0;
      await using durable = restate({ name: "p", stages: [same], baseUrl: `http://127.0.0.1:${port}`, apiKey: key });
      const thrown: unknown = await durable.run("private", { id: "r" }).collect().catch((reason: unknown) => reason);
      expect(thrown).toMatchObject({ ...error, service: "restate" });
      expect(inspect(thrown, { depth: 9 })).not.toMatch(/canary|private/);
      expect(paths).toEqual(["/p/r%2F0/batch/send"]);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
  }
});

test.each([10_000, 30_000])("an engine that is well and takes no batch is given up, with a time of %i ms for each request", async (timeoutMs) => {
  const clock = fakeClock();
  const fetching: typeof fetch = (input, init) =>
    String(input).endsWith("/restate/health")
      ? Promise.resolve(Response.json({}))
      : new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
  const durable = restate({ name: "p", stages: [same], clock, fetch: fetching, timeoutMs, awayMs: 60_000 });
  let isOver = false;
  const result = durable.run("a").collect().finally(() => (isOver = true));
  result.catch(() => {});
  while (!isOver && clock.now() < 600_000) await clock.advance(1_000);
  await durable.close();
  await expect(result).rejects.toMatchObject({ code: "unavailable", cause: { code: "timeout" } });
  expect(clock.now()).toBeLessThan(150_000);
});

describe("workers are made known to an engine", () => {
  const reply = { none: undefined, failed: 500, gateway: 502, unavailable: 503, known: 201 } as const;
  const opened: Server[] = [];
  afterEach(async () => {
    for (const server of opened.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  /** An admin API: gives its answers in turn, and the last again and again. */
  async function admin(port: number, statuses: readonly (keyof typeof reply)[], bodies: unknown[] = []): Promise<void> {
    const server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      request.on("end", () => {
        const given = reply[statuses[Math.min(bodies.length, statuses.length - 1)] ?? "none"];
        bodies.push(JSON.parse(body));
        if (given !== undefined) response.writeHead(given, { "content-type": "application/json" }).end("{}");
      });
    });
    opened.push(server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  }

  /** Begins to deploy, and tells how often was asked; `until` moves time on, but not while an answer is on its way. */
  function begun(port: number, options: Partial<RestateOptions> = {}, signal?: AbortSignal) {
    const clock = fakeClock();
    const state = { asked: 0, open: 0, isOver: false };
    const durable = restate({
      name: "p",
      stages: [same],
      adminUrl: `http://127.0.0.1:${port}`,
      clock,
      async fetch(input, init) {
        state.asked += 1;
        state.open += 1;
        try {
          const response = await fetch(input, init);
          return new Response(await response.text(), { status: response.status, headers: response.headers });
        } finally {
          state.open -= 1;
        }
      },
      ...options,
    });
    const over = (): boolean => (state.isOver = true);
    const deployed = durable.deploy("http://worker.test:9080", signal === undefined ? {} : { signal });
    deployed.then(over, over);
    const until = async (holds: () => boolean): Promise<void> => {
      while (!holds() && !state.isOver) await (state.open > 0 ? new Promise((resolve) => setTimeout(resolve)) : clock.advance(100));
    };
    return { clock, state, deployed, until };
  }

  test("that refuses, and listens a moment later", async () => {
    const port = await freePort();
    const { clock, state, deployed, until } = begun(port);
    await until(() => state.asked === 1 && state.open === 0);
    const bodies: unknown[] = [];
    await admin(port, ["known"], bodies);
    await until(() => state.isOver);
    await deployed;
    expect(bodies).toEqual([{ uri: "http://worker.test:9080", force: false }]);
    expect([state.asked, clock.pending]).toEqual([2, 0]);
  });

  test("that is behind a proxy, and starts", async () => {
    const port = await freePort();
    await admin(port, ["gateway", "unavailable", "known"]);
    const { clock, state, deployed, until } = begun(port);
    await until(() => state.isOver);
    await deployed;
    expect(state.asked).toBe(3);
    expect(clock.now()).toBeLessThan(2_000);
  });

  test("that cannot reach the worker: that is an answer, and not asked again", async () => {
    const port = await freePort();
    await admin(port, ["failed", "known"]);
    const { state, deployed, until } = begun(port);
    await until(() => state.isOver);
    await expect(deployed).rejects.toMatchObject({ code: "unavailable", status: 500, message: expect.stringContaining("deploy worker.test:9080: answered 500") });
    expect(state.asked).toBe(1);
  });

  test("that stays away: it is unavailable after so long, and told which address was asked", async () => {
    const port = await freePort();
    const { clock, state, deployed, until } = begun(port, { awayMs: 20_000 });
    await until(() => state.isOver);
    const message = `restate: deploy worker.test:9080: no answer from 127.0.0.1:${port} for 20000 ms`;
    await expect(deployed).rejects.toMatchObject({ code: "unavailable", message, service: "restate", cause: { code: "unavailable" } });
    expect(clock.now()).toBeGreaterThanOrEqual(20_000);
    expect(clock.now()).toBeLessThan(21_000);
    expect([state.asked, clock.pending]).toEqual([41, 0]);
  });

  test("that stays away, with no time to wait: it is asked once", async () => {
    const { state, deployed, until } = begun(await freePort(), { awayMs: 0 });
    await until(() => state.isOver);
    await expect(deployed).rejects.toMatchObject({ code: "unavailable" });
    expect(state.asked).toBe(1);
  });

  test("that takes the question and never answers", async () => {
    const port = await freePort();
    await admin(port, ["none"]);
    const { clock, state, deployed } = begun(port, { awayMs: 20_000, timeoutMs: 5_000 });
    while (!state.isOver) await clock.advance(100); // nothing else ends a question
    await expect(deployed).rejects.toMatchObject({ code: "unavailable", cause: { code: "timeout" } });
    expect(clock.now()).toBeLessThan(20_000 + 3 * 5_000);
    expect(clock.pending).toBe(0);
  });

  test("that is left while it is waited for", async () => {
    const controller = new AbortController();
    const { clock, state, deployed, until } = begun(await freePort(), {}, controller.signal);
    await until(() => state.asked === 2 && state.open === 0);
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(deployed).rejects.toBe(reason);
    expect(clock.pending).toBe(0);
  });
});

test("no batch of a durable run is known elsewhere", async () => {
  const known: unknown[] = [];
  await run(each((_, context) => void known.push(durableBatch(context))), "a").collect();
  expect(known).toEqual([undefined]);
});
