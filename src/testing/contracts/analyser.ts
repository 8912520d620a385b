/**
 * What every analyser must do: a processor that looks at parts one by one, and gives what it found in their place.
 *
 * Runs under any runner: it takes `describe` and `it`.
 *
 * @module
 */
import { codec } from "../../core/codec.ts";
import { bytes, errorPart, finish, json, text, toolCall, toolResult, uri } from "../../core/constructors.ts";
import { isMillraceError } from "../../core/errors.ts";
import type { Part, PartOptions } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { run } from "../../core/run.ts";
import { isTrustedSystem } from "../../core/system-brand.ts";
import { isolate } from "../../streams/isolate.ts";
import { parallel } from "../../streams/parallel.ts";
import { pipe } from "../../streams/pipe.ts";
import { shapeOf } from "../../wire/json-shape.ts";
import { stalledSource, watchedSource } from "../watched-source.ts";
import { check, equal, failsAs, failsWith } from "./check.ts";
import type { TestRunner } from "./runner.ts";
import { eventually, frozen, patienceMs, turn, unheard, within } from "./watch.ts";

/** An analyser; one that holds something is closed. */
export type Analyser = Processor & { close?(): Promise<void>; [Symbol.asyncDispose]?(): PromiseLike<void> };

/** What an analyser may have no use for. */
export type AnalyserLack = "close" | "unreadable";

/** The analyser under test. */
export interface AnalyserSubject {
  readonly name: string;
  /** Its errors' `service`. */
  readonly service: string;
  /** Opens an analyser; called once for each test, which closes it. */
  open(): Promise<Analyser> | Analyser;
  /** A part that it takes, with these options; a small one, the contract needs dozens. */
  sample(options: PartOptions): Part;
  /** A part that it takes and can make nothing of. Not asked for where `unreadable` is lacking. */
  unreadable?(options: PartOptions): Part;
  /** Does it take this part? Asked for a few parts of every kind. */
  takes(part: Part): boolean;
  /** The kind of part that it gives for each that it takes, at least one. */
  readonly gives: Part["kind"];
  /** What of it is open: threads, connections. It must be back where it was after closing. @default nothing that can be told */
  running?(): number;
  /** What it has no use for, with the reason: those tests are skipped. */
  readonly lacks?: Readonly<Partial<Record<AnalyserLack, string>>>;
  /** Milliseconds for what must happen by itself. @default 20000 */
  readonly patienceMs?: number;
}

/** One of each kind, and of bytes some that nobody knows. */
const others: readonly Part[] = [
  text("words"),
  bytes(Uint8Array.of(1, 2, 3), "application/x-unknown"),
  bytes(Uint8Array.of(1, 2, 3), "video/x-unknown"),
  uri("https://example.com/a", "application/x-unknown"),
  json({ a: [1, null] }),
  toolCall({ id: "c", name: "f", arguments: {} }),
  toolResult({ id: "c", name: "f", result: 1 }),
  errorPart({ code: "timeout", message: "late", ordinal: 0 }),
  finish({ reason: "stop" }),
];

/**
 * The contract of the analyser kind.
 *
 * @example
 * import { describe, it } from "node:test";
 *
 * analyserContract({ describe, it }, {
 *   name: "length",
 *   service: "length",
 *   open: () => each((part) => (isText(part) ? json(part.text.length, { substream: part.substream, metadata: part.metadata }) : part), { match: isText }),
 *   sample: (options) => text("words", options),
 *   takes: isText,
 *   gives: "json",
 *   lacks: { unreadable: "every text has a length", close: "it holds nothing" },
 * });
 */
export function analyserContract({ describe, it }: TestRunner, subject: AnalyserSubject): void {
  const { service, lacks = {}, patienceMs: patience = patienceMs, running = () => 0 } = subject;
  const test = (name: string, body: (analyser: Analyser) => Promise<void>, needs?: AnalyserLack): void => {
    const reason = needs === undefined ? undefined : lacks[needs];
    const attempt = async (): Promise<void> => {
      const before = running();
      await unheard(async () => {
        const analyser = await subject.open();
        try {
          await body(analyser);
        } finally {
          await analyser.close?.();
        }
      });
      await eventually(patience, () => running() <= before, "what it holds is closed");
    };
    if (reason === undefined) it(name, attempt);
    else it.skip(`${name} (${reason})`, attempt);
  };
  const soon = <T>(promise: PromiseLike<T>, what: string): Promise<T> => within(patience, promise, what);
  const passing = others.filter((part) => !subject.takes(part));
  const numbered = (number: number, options: PartOptions = {}): Part => subject.sample({ substream: "in", metadata: { contract: { number } }, ...options });
  const numbers = (parts: readonly Part[]): unknown[] => parts.map((part) => shapeOf(part.metadata["contract"])?.["number"]);
  const once = (values: readonly unknown[]): unknown[] => values.filter((value, at) => at === 0 || value !== values[at - 1]);

  describe(`analyser contract: ${subject.name}`, () => {
    test("takes its sample, and lets by what it does not take: the very parts, in their order", async (analyser) => {
      check(subject.takes(numbered(0)), "the subject says that it takes its sample");
      check(passing.length > 0, "the subject lets some kind of part by");
      const parts = await run(analyser, passing).collect();
      check(parts.length === passing.length && parts.every((part, at) => part === passing[at]), `${passing.length} parts pass by unchanged, got ${parts.map((part) => part.kind).join(", ")}`);
      equal(await run(analyser, []).collect(), [], "parts of nothing");
    });

    test("gives what it found in the place of the part, on its substream, with its metadata", async (analyser) => {
      const input = passing.flatMap((part, at) => [part, numbered(at)]);
      const parts = await run(analyser, input).collect();
      const places = passing.map((part) => parts.indexOf(part));
      equal(places, [...places].sort((a, b) => a - b), "places of the parts that pass by");
      for (const [at, place] of places.entries()) {
        const found = parts.slice(place + 1, places[at + 1] ?? parts.length);
        check(found.some((part) => part.kind === subject.gives), `a ${subject.gives} part for sample ${at}, got ${found.map((part) => part.kind).join(", ") || "nothing"}`);
        equal([once(numbers(found)), [...new Set(found.map((part) => part.substream))]], [[at], ["in"]], `metadata and substream of sample ${at}`);
        equal([...new Set(found.map((part) => part.role))], ["user"], "roles of what the user gave");
      }
    });

    test("what it found never speaks as system", async (analyser) => {
      const found = await run(analyser, [numbered(0, { role: "system" })]).collect();
      check(found.length > 0 && !found.some(isTrustedSystem), "found parts are not trusted as system text");
    });

    test("changes no part that it gets, and gives the same again", async (analyser) => {
      const part = numbered(0);
      const before = JSON.stringify(codec.encode(part));
      const first = (await run(analyser, frozen(part)).collect()).map((it) => codec.encode(it));
      equal(JSON.stringify(codec.encode(part)), before, "the part afterwards");
      equal((await run(analyser, part).collect()).map((it) => codec.encode(it)), first, "what it gives for the same part");
    });

    test("works part by part: a result comes while the source waits for ever", async (analyser) => {
      const source = stalledSource([numbered(0)]);
      const found = run(analyser, source)[Symbol.asyncIterator]();
      const { done, value } = await soon(found.next(), "the first result");
      check(done !== true, "a result, not the end");
      equal(numbers([value]), [0], "the first result");
      await soon(Promise.resolve(found.return?.()), "leaving");
      equal([source.opened, source.closed], [1, 1], "times the source was opened and closed");
    });

    test("keeps the order, in a pipeline, beside another branch, and under many runs at once", async (analyser) => {
      const input = [0, 1, 2, 3, 4].map((number) => numbered(number));
      const alone = (await run(analyser, input).collect()).map((part) => codec.encode(part));
      const same = async (processor: Processor, what: string): Promise<void> => {
        const parts = (await run(processor, input).collect()).filter((part) => !input.includes(part));
        equal(parts.map((part) => codec.encode(part)), alone, what);
      };
      equal(once(numbers(await run(analyser, input).collect())), [0, 1, 2, 3, 4], "the order of the results");
      const bare: Processor = async function* (stream) {
        yield* stream;
      };
      await same(pipe(pipe(), analyser), "results in a pipeline");
      await same(pipe(bare, analyser, bare), "results between bare generators");
      await same(parallel(analyser, pipe()), "results beside another branch");
      const both = await Promise.all([run(analyser, input).collect(), run(analyser, [...input].reverse()).collect()]);
      equal(both.map((parts) => once(numbers(parts))), [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]], "results of two runs at once");
    });

    test("what it cannot read is invalid_input, names the service, and spoils no other part", async (analyser) => {
      const unreadable = subject.unreadable?.({ substream: "in", metadata: { contract: { number: 1 } } });
      check(unreadable !== undefined && subject.takes(unreadable), "the subject has a part that it takes and cannot read");
      const error = await run(analyser, unreadable).collect().then(() => undefined, (why: unknown) => why);
      check(isMillraceError(error, "invalid_input"), `expected invalid_input, got ${String(error)}`);
      equal([error.service, error.scope, error.retryable], [service, "part", false], "service, scope and retryable");
      const parts = await run(isolate(analyser), [numbered(0), unreadable, numbered(2)]).collect();
      equal(once(parts.map((part) => (part.kind === "error" ? part.code : numbers([part])[0]))), [0, "invalid_input", 2], "parts under isolate");
    }, "unreadable");

    test("pulls nothing before it is pulled", async (analyser) => {
      const source = watchedSource([numbered(0)]);
      analyser(source)[Symbol.asyncIterator]();
      void run(analyser, source);
      const before = running();
      await turn();
      equal([source.pulls, running()], [0, before], "pulls, and what is running");
    });

    test("an abort beforehand reads nothing, one in the middle rejects with the reason, and the next run works", async (analyser) => {
      const reason = { why: "enough" };
      const untouched = watchedSource([numbered(0)]);
      await failsAs(reason, () => run(analyser, untouched, { signal: AbortSignal.abort(reason) }).collect(), "a run whose signal has aborted");
      equal(untouched.pulls, 0, "pulls");
      for (const atOnce of [true, false]) {
        const controller = new AbortController();
        const source = watchedSource(endless(numbered), { wait: () => (atOnce ? undefined : turn()) });
        const reading = run(analyser, source, { signal: controller.signal }).forEach(() => (atOnce ? undefined : controller.abort(reason)));
        if (atOnce) queueMicrotask(() => controller.abort(reason));
        await soon(failsAs(reason, () => reading, "an aborted run"), "the reason");
        equal(source.closed, 1, "times the source was closed");
      }
      equal(once(numbers(await run(analyser, numbered(7)).collect())), [7], "results of the next run");
    });

    test("leaving closes the source once, and leaves the analyser as it was", async (analyser) => {
      const source = watchedSource(endless(numbered));
      for await (const part of run(analyser, source)) {
        equal(numbers([part]), [0], "the first result");
        break;
      }
      await turn();
      equal([source.closed, source.inFlight], [1, 0], "times the source was closed, and pulls in flight");
      equal(once(numbers(await run(analyser, numbered(7)).collect())), [7], "results of the next run");
    });

    test("an error of the source comes out as it is, after the results before it", async (analyser) => {
      const broken = new Error("the source broke");
      const found: Part[] = [];
      const reading = run(analyser, watchedSource([numbered(0), numbered(1), numbered(2)], { failAt: 2, error: broken })).forEach((part) => void found.push(part));
      await failsAs(broken, () => reading, "a run");
      equal(once(numbers(found)), [0, 1], "results before it");
    });

    test("is closed twice without harm, and refuses work afterwards", async (analyser) => {
      await run(analyser, numbered(0)).collect();
      check(analyser.close !== undefined && analyser[Symbol.asyncDispose] !== undefined, "it can be closed, by either name");
      await Promise.all([analyser.close(), analyser.close()]);
      await analyser[Symbol.asyncDispose]?.();
      await failsWith("closed", () => run(analyser, numbered(1)).collect(), "a run after closing");
    }, "close");
  });
}

/** More parts than any analyser runs ahead. */
function endless(numbered: (number: number) => Part): readonly Part[] {
  return Array.from({ length: 1_000 }, (_, number) => numbered(number));
}
