/**
 * What every model must do. Runs under any runner: it takes `describe` and `it`.
 *
 * The model is asked directly, not through `run`, which would do by itself much of what a model must do.
 *
 * @module
 */
import { asks } from "../../core/asks.ts";
import { codec } from "../../core/codec.ts";
import { debug, errorPart, finish, json, status, text } from "../../core/constructors.ts";
import { isMillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { run } from "../../core/run.ts";
import { pipe } from "../../streams/pipe.ts";
import { stalledSource, watchedSource } from "../watched-source.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { ModelBench, ModelRequest } from "./model-bench.ts";
import type { TestRunner } from "./runner.ts";
import { withOpen } from "./with-open.ts";
import { contextOf, countedSignal, frozen, outcomeOf, patienceMs, streamOf, turn, unheard, within } from "./watch.ts";

/** What a model may be unable to show. */
export type ModelLack = "usage" | "truncation" | "refusal";

/** The model under test. */
export interface ModelSubject {
  readonly name: string;
  /** Its errors' `service`. */
  readonly service: string;
  /** A key, made up for the test, that the bench gives the model: it must turn up nowhere. */
  readonly apiKey: string;
  /** Opens a model and its service; called once for each test, which closes both. */
  open(): Promise<ModelBench> | ModelBench;
  /** What it cannot do, with the reason: those tests are skipped. */
  readonly lacks?: Readonly<Partial<Record<ModelLack, string>>>;
  /** Milliseconds for a connection to close. @default 20000 */
  readonly patienceMs?: number;
}

const deltas = ["Mince ", "the ", "garlic 👩‍🍳."];
const prompt = "What is the secret ingredient of grandmother's soup?";

/**
 * The contract of the model kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * const apiKey = "key-of-the-test";
 * const chunk = (delta: object, finish_reason: string | null = null): object => ({ choices: [{ index: 0, delta, finish_reason }] });
 * const open = (): Promise<ModelBench> =>
 *   wireModelBench({
 *     model: (url) => openaiChat({ model: "m", baseUrl: url, apiKey }),
 *     answer: (deltas) => sseAnswer(chatFrames([...deltas.map((words) => chunk({ content: words })), chunk({}, "stop"), { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } }])),
 *     framesBefore: 0,
 *     refusal: (message) => errorAnswer(401, { message }),
 *     apiKey,
 *   });
 * modelContract({ describe, it }, { name: "openai", service: "openai", apiKey, open });
 */
export function modelContract({ describe, it }: TestRunner, subject: ModelSubject): void {
  const { service, apiKey, lacks = {}, patienceMs: patience = patienceMs } = subject;
  const test = (name: string, body: (bench: ModelBench) => Promise<void>, needs?: ModelLack): void => {
    const reason = needs === undefined ? undefined : lacks[needs];
    const attempt = (): Promise<void> =>
      unheard(async () => {
        // what a test waits for has a name of its own mostly
        await withOpen(await subject.open(), (bench) => withOpen(bench.model, () => within(3 * patience, body(bench), "the test")));
      });
    if (reason === undefined) it(name, attempt);
    else it.skip(`${name} (${reason})`, attempt);
  };
  const soon = <T>(promise: PromiseLike<T>, what: string): Promise<T> => within(patience, promise, what);
  const asked = (part = text(prompt)): AsyncIterable<Part> => streamOf(part);

  describe(`model contract: ${subject.name}`, () => {
    test("asks nothing before the first pull, and nothing when there is nothing to say", async ({ model, requests, script }) => {
      script({ deltas, then: "end" }, { deltas, then: "end" });
      const source = watchedSource(["a"]);
      model(source)[Symbol.asyncIterator]();
      await turn();
      equal([requests.length, source.pulls], [0, 0], "requests and pulls before the first pull");
      const aside = ["sources", "tools", "partial"].map((substream) => text("t", { substream }));
      const unsaid = [status("s"), debug("d"), finish({ reason: "stop" }), text(""), ...aside];
      for (const parts of [[], unsaid]) equal((await soon(outcomeOf(model(streamOf(...parts))), "no input")).parts, [], "parts");
      equal(requests.length, 0, "requests");
    });

    test("gives the answer in its deltas as they come, and one finish part, last", async ({ model, requests, script }) => {
      script({ deltas, then: "end" });
      const { parts, error } = await soon(outcomeOf(model(asked())), "the answer");
      if (error !== undefined) throw error;
      equal(textsOf(parts), deltas, "texts of the main stream");
      equal(parts.filter((part) => part.kind === "finish").length, 1, "finish parts");
      const last = parts.at(-1);
      check(last?.kind === "finish", `the last part is the finish part, not ${last?.kind}`);
      equal([last.reason, typeof last.rawReason, typeof last.model], ["stop", "string", "string"], "reason, raw reason and model");
      equal([...new Set(parts.map(({ role }) => role))], ["assistant"], "roles");
      equal(requests.length, 1, "requests");
    });

    test("says what the answer took, as numbers that were sent", async ({ model, script }) => {
      script({ deltas, then: "end" });
      const { parts } = await soon(outcomeOf(model(asked())), "the answer");
      const last = parts.at(-1);
      const usage = last?.kind === "finish" ? last.usage : undefined;
      for (const name of ["inputTokens", "outputTokens"] as const) check(Number.isSafeInteger(usage?.[name]), `${name} in ${JSON.stringify(usage)}`);
      for (const [name, value] of Object.entries(usage ?? {})) check(Number.isSafeInteger(value), `${name} is a whole number, not ${String(value)}`);
    }, "usage");

    test("asks for the tools and the JSON that a wrapper further out asks for, in this turn alone", async ({ model, requests, script }) => {
      script({ deltas, then: "end" }, { deltas, then: "end" });
      const tool = { name: "look_up_recipe", description: "Finds a recipe.", parameters: { type: "object", properties: { dish: { type: "string" } } } };
      const schema = { type: "object", properties: { secretIngredient: { type: "string" } }, required: ["secretIngredient"], additionalProperties: false };
      const wrapped = asks(pipe(asks(model, { tools: [tool], output: { name: "secret", schema } })), { tools: [{ ...tool, name: "not_this_one" }] });
      await soon(run(wrapped, prompt).text(), "the first answer");
      await soon(run(model, prompt).text(), "the second answer");
      const words = ["look_up_recipe", "Finds a recipe.", "dish", "secretIngredient", "not_this_one"];
      const said = requests.map(({ body }) => words.filter((word) => body.includes(word)));
      equal(said, [words.slice(0, 4), []], "what the requests asked for");
    });

    test("gives a delta when it comes, also when nothing follows", async ({ model, script }) => {
      script({ deltas: deltas.slice(0, 1), then: "stall" });
      const parts = model(asked())[Symbol.asyncIterator]();
      const first = await soon(nextText(parts), "the first delta, while the service stalls");
      equal(first, deltas[0], "the first delta");
      await parts.return?.();
    });

    test("hands out plain parts that the codec knows, and changes neither its input nor what it handed out", async ({ model, script }) => {
      script({ deltas, then: "end" });
      const input = [frozen(text("Hello.", { metadata: { note: { n: 1 } } })), frozen(json({ a: [1] })), frozen(text(prompt))];
      const before = JSON.stringify(input);
      const handedOut: string[] = [];
      const parts: Part[] = [];
      for await (const part of model(streamOf(...input))) {
        check(Object.getPrototypeOf(part) === Object.prototype, `a ${part.kind} part is a plain object`);
        parts.push(frozen(part));
        handedOut.push(JSON.stringify(part));
        equal(codec.encode(codec.decode(codec.encode(part))), codec.encode(part), `a ${part.kind} part after a trip through the codec`);
      }
      equal([JSON.stringify(input), parts.map((part) => JSON.stringify(part))], [before, handedOut], "parts afterwards");
      equal(textsOf(parts), deltas, "texts of frozen parts");
    });

    test("sends nothing of status, debug, sources, finish and error parts", async ({ model, requests, script }) => {
      script({ deltas, then: "end" });
      const hidden = "canary-7f3a";
      const unsaid = [status(hidden), debug(hidden), json({ url: hidden }, { substream: "sources" }), errorPart({ code: "timeout", message: hidden, ordinal: 0 })];
      const end = finish({ reason: "stop", model: hidden }, { metadata: { note: hidden } });
      await soon(outcomeOf(model(streamOf(...unsaid, end, text(prompt)))), "the answer");
      const [request] = requests;
      check(request !== undefined && request.body.includes(prompt), "the prompt is sent");
      check(!request.body.includes(hidden), "nothing else is sent");
    });

    test("keeps nothing between runs, and runs at once do not meet", async ({ model, requests, script }) => {
      const names = ["alpha", "beta", "gamma", "delta", "epsilon"];
      script(...names.map((name) => ({ deltas: [`${name}-1 `, `${name}-2`], then: "end" as const })));
      const answers = await soon(Promise.all(names.map((name) => outcomeOf(model(asked(text(`prompt ${name}`)))))), "all answers");
      // which of them was answered first is the service's affair
      equal(answers.map(({ parts }) => textsOf(parts).join("")).sort(), names.map((name) => `${name}-1 ${name}-2`).sort(), "answers");
      for (const { parts } of answers) equal(parts.filter((part) => part.kind === "finish").length, 1, "finish parts of one answer");
      script({ deltas, then: "end" });
      await soon(outcomeOf(model(asked())), "a later answer");
      const bodies = requests.map(({ body }) => body);
      for (const name of names) equal(bodies.filter((body) => body.includes(`prompt ${name}`)).length, 1, `requests with prompt ${name}`);
      equal(bodies.length, names.length + 1, "requests");
    });

    test("works as a stage", async ({ model, script }) => {
      script({ deltas, then: "end" }, { deltas, then: "end" });
      equal(await soon(run(model, prompt).text(), "the text"), deltas.join(""), "text of a run");
      const shout = async function* (input: AsyncIterable<Part>): AsyncGenerator<Part> {
        for await (const part of input) yield part.kind === "text" ? text(part.text.toUpperCase(), { substream: part.substream }) : part;
      };
      equal(await soon(run(pipe(model, shout), prompt).text(), "the text"), deltas.join("").toUpperCase(), "text of a pipeline");
    });

    for (const then of ["truncate", "half"] as const) {
      for (const count of [0, 1, deltas.length]) {
        const where = `${then === "half" ? "inside an event " : ""}after ${count === 0 ? "nothing" : `${count} deltas`}`;
        test(`an answer that ends ${where} is an error, never an end`, async ({ model, script, requests }) => {
          script({ deltas: deltas.slice(0, count), then });
          const { parts, error } = await soon(outcomeOf(model(asked())), "the end");
          check(isMillraceError(error), `expected an error, got ${error === undefined ? "an end" : String(error)}`);
          equal(textsOf(parts), deltas.slice(0, count), "texts before it");
          equal(parts.filter((part) => part.kind === "finish").length, 0, "finish parts");
          equal(error.service, service, "service");
          const fault = count === 0 ? error : error.cause;
          if (count > 0) equal([error.code, error.partial?.parts, error.partial?.text], ["interrupted", count, deltas.slice(0, count).join("")], "the error, and what was delivered");
          check(isMillraceError(fault, "truncated") || isMillraceError(fault, "bad_response"), `the fault is truncated, not ${String(fault)}`);
          equal(requests.length, 1, "requests");
        }, "truncation");
      }
    }

    test("a refused request is one request, unauthorized, and its error shows neither key nor prompt", async ({ model, script, requests }) => {
      script({ deltas: [], then: "refuse" }, { deltas, then: "end" });
      const { parts, error } = await soon(outcomeOf(model(asked())), "the error");
      equal(parts, [], "parts");
      check(isMillraceError(error, "unauthorized"), `expected unauthorized, got ${String(error)}`);
      equal([error.service, error.retryable, requests.length], [service, false, 1], "service, retryable and requests");
      const shown = await shownOf(error);
      check(!shown.includes(apiKey), "the error shows the key");
      check(!shown.includes(prompt), "the error shows the prompt");
    }, "refusal");

    test("the model shows no key", async ({ model }) => {
      check(!(await shownOf(model)).includes(apiKey), "the model shows the key");
    });

    test("leaving closes the connection", async ({ model, script, requests }) => {
      script({ deltas: deltas.slice(0, 1), then: "stall" });
      for await (const part of model(asked())) if (part.kind === "text" && part.text !== "") break;
      await soon(closingOf(requests), "the closing of the connection");
    });

    test("a signal that has aborted rejects with its reason, and nothing is asked or read", async ({ model, requests, script }) => {
      script({ deltas, then: "end" });
      const reason = { why: "enough" };
      const source = watchedSource([text(prompt)]);
      await soon(failsAs(reason, () => drained(model(source, contextOf(AbortSignal.abort(reason)))), "a run"), "the reason");
      equal([requests.length, source.pulls], [0, 0], "requests and pulls");
    });

    for (const [when, count, then] of [["before anything has come", 0, "silence"], ["before the first delta", 0, "stall"], ["between deltas", 1, "stall"]] as const) {
      test(`an abort ${when} rejects with the reason itself, and closes the connection`, async ({ model, script, answered }) => {
        script({ deltas: deltas.slice(0, count), then });
        const { controller, listeners } = countedSignal();
        const reason = { why: "enough" };
        const parts = model(asked(), contextOf(controller.signal))[Symbol.asyncIterator]();
        if (count > 0) await soon(nextText(parts), "the first delta");
        const pending = parts.next();
        pending.catch(() => {}); // looked at below
        const request = await soon(answered(0), "the request");
        controller.abort(reason);
        await soon(failsAs(reason, () => pending, "the pending next"), "the reason");
        equal((await parts.next()).done, true, "done afterwards");
        await soon(request.closed, "the closing of the connection");
        equal(listeners(), 0, "listeners on the signal");
      });
    }

    test("an abort between two pulls rejects the next one with the reason", async ({ model, script }) => {
      script({ deltas, then: "end" });
      const controller = new AbortController();
      const reason = { why: "enough" };
      const parts = model(asked(), contextOf(controller.signal))[Symbol.asyncIterator]();
      await soon(nextText(parts), "the first delta");
      controller.abort(reason);
      await soon(failsAs(reason, () => parts.next(), "the next pull"), "the reason");
    });

    test("an abort while the input is read closes the input, and nothing is asked", async ({ model, requests }) => {
      const controller = new AbortController();
      const reason = { why: "enough" };
      const source = stalledSource([text(prompt)]);
      const reading = outcomeOf(model(source, contextOf(controller.signal)));
      await turn();
      controller.abort(reason);
      check((await soon(reading, "the reason")).error === reason, "rejects with the very reason");
      equal([source.closed, requests.length], [1, 0], "times the input was closed, and requests");
    });

    test("an error of the input comes out as it is, and nothing is asked", async ({ model, requests }) => {
      const broken = new Error("the source broke");
      await soon(failsAs(broken, () => drained(model(watchedSource(["a", "b"], { failAt: 1, error: broken }))), "a run"), "the error");
      equal(requests.length, 0, "requests");
    });

    test("a run that ends leaves no listener on the signal", async ({ model, script }) => {
      const { controller, listeners } = countedSignal();
      script({ deltas, then: "end" }, { deltas: [], then: "truncate" });
      for (const _ of [1, 2]) await soon(outcomeOf(model(asked(), contextOf(controller.signal))), "a run");
      equal(listeners(), 0, "listeners");
    });

    test("close during use ends what runs with closed, and its connection; twice is fine; afterwards nothing is asked", async ({ model, script, requests }) => {
      script({ deltas: deltas.slice(0, 1), then: "stall" }, { deltas, then: "end" });
      const parts = model(asked())[Symbol.asyncIterator]();
      await soon(nextText(parts), "the first delta");
      const pending = parts.next();
      pending.catch(() => {}); // looked at below
      await Promise.all([model.close(), model.close()]);
      await soon(failsWith("closed", () => pending, "what ran"), "closed");
      await soon(closingOf(requests), "the closing of the connection");
      await model[Symbol.asyncDispose]();
      await soon(failsWith("closed", () => drained(model(asked())), "a later run"), "closed");
      equal(requests.length, 1, "requests");
    });
  });
}

async function closingOf(requests: readonly ModelRequest[]): Promise<void> {
  const [request] = requests;
  check(request !== undefined, "there is a request");
  await request.closed;
}

function textsOf(parts: readonly Part[]): string[] {
  return parts.flatMap((part) => (part.kind === "text" && part.substream === "" && part.text !== "" ? [part.text] : []));
}

async function nextText(parts: AsyncIterator<Part>): Promise<string> {
  for (;;) {
    const { done, value } = await parts.next();
    check(done !== true, "a delta, not the end");
    if (value.kind === "text" && value.substream === "" && value.text !== "") return value.text;
  }
}

async function drained(parts: AsyncIterable<Part>): Promise<void> {
  const { error } = await outcomeOf(parts);
  if (error !== undefined) throw error;
}

/** Everything that something shows to anybody who looks. */
async function shownOf(value: unknown): Promise<string> {
  const { inspect } = await import("node:util");
  const json = JSON.stringify(value) ?? ""; // undefined for a function
  return [String(value), value instanceof Error ? value.stack : "", json, inspect(value, { depth: 10, showHidden: true })].join("\n");
}
