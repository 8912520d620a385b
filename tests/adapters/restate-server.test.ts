import { afterAll, describe, expect, test } from "vitest";
import { type Durable, durableBatch, keyed, restate, type RestateOptions } from "../../src/adapters/restate/index.ts";
import { derive, each, isJson, isText, json, MillraceError, type Part, pipe, type Processor, run } from "../../src/index.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { service, titled } from "../services.ts";
import { faultProxy } from "../services/fault-proxy.ts";
import { addressesOf, open, own, query, until } from "./restate/server.ts";

const answer = await service("restate");
const at = addressesOf(answer.url ?? "http://127.0.0.1:1");

const opened: AsyncDisposable[] = [];
afterAll(async () => {
  for (const it of opened.splice(0)) await it[Symbol.asyncDispose]();
});

/** A pipeline of its own with one worker in this process. */
async function served(options: Omit<RestateOptions, "name" | "baseUrl" | "adminUrl"> & Partial<RestateOptions>): Promise<Durable & { readonly name: string }> {
  const all = { ...own(at), ...options };
  const durable = restate(all);
  opened.push(durable);
  await durable.deploy((await durable.serve({ graceMs: 1_000 })).url);
  return { ...durable, name: all.name };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`);
const upper = each((part) => (isText(part) ? derive(part, { text: `<${part.text}>` }) : part), { name: "upper" });
/** Waits for its signal, and counts who began and who was stopped. */
function stuck(): { readonly began: Part[]; stopped: number; readonly stage: Processor } {
  const state = {
    began: [] as Part[],
    stopped: 0,
    stage: each(async (part, { signal }) => {
      state.began.push(part);
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))).catch((error: unknown) => {
        state.stopped += 1;
        throw error;
      });
    }, { name: "stuck" }),
  };
  return state;
}

describe.skipIf(answer.skip !== undefined)(titled("a durable run", answer), () => {
  test("is complete and in order, and no step is done twice", async () => {
    const steps: string[] = [];
    const noting = (name: string): Processor => each((part, context) => {
      if (isText(part)) steps.push(`${name}${durableBatch(context)?.seq}`);
      return part;
    }, { name });
    const durable = await served({ batch: 5, ahead: 4, stages: [noting("a"), upper, noting("b")] });
    const parts = await durable.run(numbers(103)).collect();
    expect(parts.map((part) => isText(part) && part.text)).toEqual(numbers(103).map((it) => `<${it}>`));
    const once = (name: string): string[] => numbers(21).flatMap((seq) => Array.from({ length: seq === "20" ? 3 : 5 }, () => `${name}${seq}`));
    expect(steps.filter((it) => it.startsWith("a")).toSorted()).toEqual(once("a").toSorted());
    expect(steps.filter((it) => it.startsWith("b")).toSorted()).toEqual(once("b").toSorted());
  });

  test("of nothing is nothing", async () => {
    const durable = await served({ stages: [upper] });
    expect(await durable.run([]).collect()).toEqual([]);
  });

  test("hands on results while the input goes on", async () => {
    const durable = await served({ batch: 1, stages: [upper] });
    let more = (): void => {};
    const source = async function* (): AsyncGenerator<string> {
      yield "a";
      await new Promise<void>((resolve) => (more = resolve));
      yield "b";
    };
    const read: unknown[] = [];
    for await (const part of durable.run(source())) {
      read.push(isText(part) && part.text);
      more(); // which nobody would come to if the first result had waited for the second part
    }
    expect(read).toEqual(["<a>", "<b>"]);
  });

  test("does not mix with another one of the same pipeline", async () => {
    const durable = await served({ batch: 3, ahead: 4, stages: [upper] });
    const [a, b] = await Promise.all(["a", "b"].map((it) => durable.run(numbers(40).map((n) => `${it}${n}`)).collect()));
    expect(a?.map((part) => isText(part) && part.text)).toEqual(numbers(40).map((n) => `<a${n}>`));
    expect(b?.map((part) => isText(part) && part.text)).toEqual(numbers(40).map((n) => `<b${n}>`));
  });

  test("keeps the order of each key and what a stage keeps for it, for this run alone", async () => {
    const counted = keyed(async function* counted(input, context) {
      const batch = context === undefined ? undefined : durableBatch(context);
      let count = Number(batch?.get() ?? 0);
      for await (const part of input) {
        count += 1;
        yield json([isText(part) ? part.text : "", count]);
      }
      batch?.set(count);
    });
    const keyOf = (part: Part): string => (isText(part) ? String(Number(part.text) % 3) : "");
    const durable = await served({ batch: 4, ahead: 8, key: keyOf, stages: [each((part) => part), counted] });
    for (const _ of ["first", "second"]) {
      const pairs = (await durable.run(numbers(50)).collect()).map((part) => (isJson(part) ? (part.value as [string, number]) : ["", 0]));
      for (const key of [0, 1, 2]) {
        const own = numbers(50).filter((it) => Number(it) % 3 === key);
        expect(pairs.filter(([it]) => Number(it) % 3 === key)).toEqual(own.map((it, index) => [it, index + 1]));
      }
    }
  });

  test("forgets what was kept for its keys when nobody has needed it for as long as results are kept", async () => {
    const counted = keyed(each((part, context) => {
      durableBatch(context)?.set(1);
      return part;
    }));
    const durable = await served({ key: () => "k", retentionMs: 1_000, stages: [counted] });
    const kept = async (): Promise<number> => (await query(at.adminUrl, `select key from state where service_name = '${durable.name}'`)).length;
    await durable.run(["a"]).collect();
    expect(await kept()).toBe(2); // the value, and when it was used
    await until(async () => (await kept()) === 0);
  });

  test("of one id is done once: its results are there again, and another input is refused", async () => {
    let calls = 0;
    const counting = each((part) => {
      calls += 1;
      return part;
    });
    const durable = await served({ batch: 2, stages: [counting] });
    expect(await durable.run(["a", "b", "c"], { id: "r-1" }).text()).toBe("abc");
    expect(await durable.run(["a", "b", "c"], { id: "r-1" }).text()).toBe("abc");
    expect(calls).toBe(3);
    await expect(durable.run(["a", "b", "x"], { id: "r-1" }).collect()).rejects.toMatchObject({ code: "conflict", message: "restate: run r-1 had another input before: batch 1 differs" });
  });

  test("is a stage of another pipeline, named by its context", async () => {
    const ids = new Set<string | undefined>();
    const durable = await served({ stages: [each((part, context) => {
      ids.add(durableBatch(context)?.run);
      return part;
    })] });
    const whole = pipe(upper, durable.processor({ id: ({ correlationId }) => `of-${correlationId}` }), upper);
    expect(await run(whole, ["a", "b"], { correlationId: "order-7" }).text()).toBe("<<a>><<b>>");
    expect([...ids]).toEqual(["of-order-7"]);
  });

  test("that no worker was deployed for is not_found", async () => {
    const durable = restate({ ...own(at), stages: [upper] });
    await expect(durable.run("a").collect()).rejects.toMatchObject({ code: "not_found", status: 404, service: "restate" });
    await durable.close();
  });
});

describe.skipIf(answer.skip !== undefined)(titled("an error of a stage of a durable run", answer), () => {
  const failing = (error: () => unknown): Processor => each((part) => {
    if (isText(part) && part.text === "3") throw error();
    return part;
  }, { name: "failing" });

  test("comes in its place with all that it says, and what was before it has come", async () => {
    const heard: unknown[] = [];
    const error = new MillraceError("too_large", "thing: 7 is too many", { service: "thing", status: 413, retryAfterMs: 5, scope: "delivery" });
    const durable = await served({ batch: 2, stages: [failing(() => error)], onFailure: (failure, batch) => heard.push(failure, { ...batch, run: "" }) });
    const read: unknown[] = [];
    const reading = durable.run(numbers(20)).forEach((part) => read.push(isText(part) && part.text));
    await expect(reading).rejects.toMatchObject({ code: "too_large", message: "thing: 7 is too many", service: "thing", status: 413, retryAfterMs: 5, scope: "delivery", retryable: false });
    expect(read).toEqual(["0", "1"]);
    expect(heard).toEqual([error, { run: "", seq: 1, stage: "1-failing" }]);
  });

  test("that is foreign tells its kind alone, and is not tried again", async () => {
    let tries = 0;
    const durable = await served({ batch: 2, stages: [failing(() => {
      tries += 1;
      return new TypeError("canary-4c1b");
    })] });
    const error: unknown = await durable.run(numbers(4)).collect().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "bad_response", message: "restate: 1-failing failed at batch 1: TypeError", retryable: false });
    expect(JSON.stringify([error, String((error as Error).cause), (error as Error).stack])).not.toContain("canary");
    expect(tries).toBe(1);
  });

  test("that may pass is tried again, and only the step that failed", async () => {
    let [before, tries] = [0, 0];
    const counting = each((part) => {
      before += 1;
      return part;
    });
    const durable = await served({ batch: 4, stages: [counting, each((part) => {
      if (isText(part) && part.text === "3" && ++tries < 3) throw new MillraceError("unavailable", "thing: away", tries === 1 ? { retryAfterMs: 10 } : {});
      return part;
    })] });
    expect(await durable.run(numbers(4)).text()).toBe("0123");
    expect([before, tries]).toEqual([4, 3]);
  });

  test("that does not pass is the last one, after so many tries", async () => {
    let tries = 0;
    const durable = await served({ batch: 4, attempts: 3, stages: [failing(() => new MillraceError("rate_limited", `thing: no, ${++tries}`))] });
    await expect(durable.run(numbers(4)).collect()).rejects.toMatchObject({ code: "rate_limited", message: "thing: no, 3", retryable: true });
    expect(tries).toBe(3);
  });

  test("that says unavailable is the stage's, not the engine's: its result is asked for once", async () => {
    let asked = 0;
    const durable = await served({ attempts: 1, stages: [failing(() => new MillraceError("unavailable", "thing: away"))], fetch: (input, init) => {
      if (String(input).endsWith("/attach")) asked += 1;
      return fetch(input, init);
    } });
    await expect(durable.run("3").collect()).rejects.toMatchObject({ code: "unavailable", message: "thing: away" });
    expect(asked).toBe(1);
  });

  test("is not that a step took too long: it is stopped and tried again", async () => {
    const stopped: unknown[] = [];
    let tries = 0;
    const durable = await served({ stepMs: 1_000, stages: [each(async (part, { signal }) => {
      tries += 1;
      if (tries === 1) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(void stopped.push(signal.aborted))));
      return part;
    })] });
    expect(await durable.run("a").text()).toBe("a");
    expect([tries, stopped]).toEqual([2, [true]]);
  });

  test("ends the other batches too", async () => {
    const waiting = stuck();
    const durable = await served({ batch: 1, ahead: 4, stages: [each((part, context) => {
      if (isText(part) && part.text === "0") throw new MillraceError("refused", "thing: no");
      return run(waiting.stage, part, { signal: context.signal });
    })] });
    await expect(durable.run(numbers(4)).collect()).rejects.toMatchObject({ code: "refused" });
    await until(async () => (await open(at.adminUrl, durable.name)) === 0);
    await until(() => waiting.stopped === waiting.began.length);
  });

  test("of a batch in a form that is not known is invalid_input, and the worker goes on", async () => {
    const durable = await served({ stages: [upper] });
    for (const body of ['{"v":2}', '{"v":1,"run":"r","seq":0,"digest":"d","parts":[{"kind":"unheard-of"}]}', "null", '"x"', "{nope"]) {
      const response = await fetch(`${at.baseUrl}/${durable.name}/r%2F0/batch`, { method: "POST", headers: { "content-type": "application/json" }, body });
      const said = JSON.parse(await response.text());
      expect([response.ok, said.source]).toEqual([false, "invocation"]);
      if (body !== "{nope") expect(said.metadata.code).toBe("invalid_input");
    }
    expect(await durable.run("a").text()).toBe("<a>");
  });

  test("is interrupted for whoever waits when somebody cancels a batch", async () => {
    const waiting = stuck();
    const durable = await served({ stages: [waiting.stage] });
    const reading = durable.run("a").collect();
    reading.catch(() => {});
    await until(() => waiting.began.length === 1);
    const [call] = await query(at.adminUrl, `select id from sys_invocation where target_service_name = '${durable.name}' and target_handler_name = 'batch'`);
    await fetch(`${at.adminUrl}/invocations/${String(call?.["id"])}/cancel`, { method: "PATCH" });
    await expect(reading).rejects.toMatchObject({ code: "interrupted", retryable: false });
  });
});

describe.skipIf(answer.skip !== undefined)(titled("a durable run that is left", answer), () => {
  for (const how of ["aborted", "broken off", "closed"]) {
    test(`and ${how} is cancelled in the engine and in the stage at work`, async () => {
      const waiting = stuck();
      const durable = await served({ batch: 1, ahead: 3, stages: [upper, each((part, context) => (isText(part) && part.text === "<0>" ? part : run(waiting.stage, part, { signal: context.signal })))] });
      const controller = new AbortController();
      const reason = new Error("enough");
      const reading = (async () => {
        for await (const _ of durable.run(numbers(9), { signal: controller.signal })) {
          await until(() => waiting.began.length === 3);
          if (how === "broken off") break;
          if (how === "aborted") controller.abort(reason);
          if (how === "closed") void durable.close();
        }
      })();
      if (how === "aborted") await expect(reading).rejects.toBe(reason);
      else if (how === "closed") await expect(reading).rejects.toMatchObject({ code: "closed" });
      else await reading;
      await until(() => waiting.stopped === waiting.began.length);
      await until(async () => (await open(at.adminUrl, durable.name)) === 0);
      await durable.close();
    });
  }

  test("has not read further than it was told to run ahead", async () => {
    const waiting = stuck();
    const durable = await served({ batch: 2, ahead: 3, stages: [waiting.stage] });
    let read = 0;
    const source = async function* (): AsyncGenerator<string> {
      for (;;) yield `${read++}`;
    };
    const controller = new AbortController();
    const reading = durable.run(source(), { signal: controller.signal }).collect();
    reading.catch(() => {});
    await until(() => waiting.began.length === 3);
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(read).toBeLessThanOrEqual((3 + 1) * 2 + 1); // a batch may wait to be taken, and a part of the next
    controller.abort();
    await durable.close();
  });
});

describe.skipIf(answer.skip !== undefined)(titled("the way to the engine", answer), () => {
  const through = async (options: Partial<RestateOptions> = {}) => {
    const proxy = await faultProxy(Number(new URL(at.baseUrl).port));
    opened.push(proxy);
    const durable = await served({ batch: 2, ahead: 4, stages: [upper], baseUrl: `http://127.0.0.1:${proxy.port}`, ...options });
    return { proxy, durable };
  };

  test("may be cut at any time: nothing is lost, nothing is done twice", async () => {
    let calls = 0;
    const { proxy, durable } = await through({ stages: [each((part) => {
      calls += 1;
      return part;
    })] });
    const read: unknown[] = [];
    for await (const part of durable.run(numbers(60))) {
      read.push(isText(part) && part.text);
      if (read.length % 16 === 0) proxy.cut();
    }
    expect(read).toEqual(numbers(60));
    expect(calls).toBe(60);
  });

  test("may be refused for a while: few look whether it is back, and the run goes on", async () => {
    const { proxy, durable } = await through();
    const read: unknown[] = [];
    let came = 0;
    for await (const part of durable.run(numbers(40))) {
      read.push(isText(part) && part.text);
      if (read.length !== 8) continue;
      proxy.faults.refuse = true;
      proxy.cut();
      const before = proxy.connections;
      setTimeout(() => {
        came = proxy.connections - before;
        proxy.heal();
      }, 1_000);
    }
    expect(read).toEqual(numbers(40).map((it) => `<${it}>`));
    expect(came).toBeGreaterThan(0);
    expect(came).toBeLessThanOrEqual(4 + 5); // each batch that is out, then one for all
  });

  test("may be half-open, which looks like a step that is slow: it is asked anew, and the run goes on", async () => {
    const clock = fakeClock();
    const { proxy, durable } = await through({ clock });
    const read: unknown[] = [];
    let isOver = false;
    let ticking = Promise.resolve();
    for await (const part of durable.run(numbers(40))) {
      read.push(isText(part) && part.text);
      if (read.length !== 8) continue;
      proxy.faults.silent = "both";
      const before = proxy.connections;
      ticking = (async () => {
        while (proxy.connections === before) await clock.advance(1_000); // nothing else ends the wait
        proxy.heal();
        while (!isOver) {
          await clock.advance(50);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
    }
    isOver = true;
    await ticking;
    expect(read).toEqual(numbers(40).map((it) => `<${it}>`));
    expect(clock.pending).toBe(0);
  });

  test("that stays closed is unavailable after so long, and nobody looks any more", async () => {
    const { proxy, durable } = await through({ awayMs: 300 });
    proxy.faults.refuse = true;
    await expect(durable.run("a").collect()).rejects.toMatchObject({ code: "unavailable", service: "restate" });
    const before = proxy.connections;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(proxy.connections).toBe(before);
  });

  test("does not help where the engine cannot reach the workers: it says so at once, in its own words", async () => {
    const asked: string[] = [];
    const durable = restate({ ...own(at), stages: [upper], fetch: (input, init) => {
      asked.push(new URL(String(input)).pathname);
      return fetch(input, init);
    } });
    const error: unknown = await durable.deploy("http://127.0.0.1:9").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "unavailable", status: 500, service: "restate", message: expect.stringMatching(/^restate: deploy 127\.0\.0\.1:9: answered 500: .*refused/) });
    expect(asked).toEqual(["/deployments"]);
    await durable.close();
  });
});
