import { describe, expect, it, test } from "vitest";
import { analyserContract } from "../../src/testing/contracts/analyser.ts";
import { modelContract, type ModelSubject } from "../../src/testing/contracts/model.ts";
import type { TestRunner } from "../../src/testing/contracts/runner.ts";
import { verdictOf } from "./contracts/collecting-runner.ts";
import { apiKey, type ModelFlaw, toyBench } from "./contracts/toy-model.ts";
import { type AnalyserFlaw, toySubject } from "./contracts/toy-analyser.ts";

// What is right passes, whatever it is made of.
const toyModel = (flaw?: ModelFlaw): ModelSubject => ({ name: "toy", service: "toy", apiKey, open: () => toyBench(flaw) });
modelContract({ describe, it }, toyModel());
analyserContract({ describe, it }, toySubject());

const patienceMs = 100; // for flaws that hang; what is late besides does no harm here

/** Which tests of a contract fail at least for each flaw. */
type Expected<Flaw extends string> = Readonly<Record<Flaw, readonly string[]>>;

const cut = ["", "inside an event "].flatMap((inside) => ["nothing", "1 deltas", "3 deltas"].map((after) => `an answer that ends ${inside}after ${after} is an error, never an end`));
const aborted = ["before anything has come", "before the first delta", "between deltas"].map((when) => `an abort ${when} rejects with the reason itself, and closes the connection`);
const betweenPulls = "an abort between two pulls rejects the next one with the reason";
const whileReading = "an abort while the input is read closes the input, and nothing is asked";
const beforehand = "a signal that has aborted rejects with its reason, and nothing is asked or read";
const nothing = "asks nothing before the first pull, and nothing when there is nothing to say";
const answer = "gives the answer in its deltas as they come, and one finish part, last";
const usage = "says what the answer took, as numbers that were sent";
const live = "gives a delta when it comes, also when nothing follows";
const plain = "hands out plain parts that the codec knows, and changes neither its input nor what it handed out";
const unsaid = "sends nothing of status, debug, sources, finish and error parts";
const asks = "asks for the tools and the JSON that a wrapper further out asks for, in this turn alone";
const apart = "keeps nothing between runs, and runs at once do not meet";
const stage = "works as a stage";
const refused = "a refused request is one request, unauthorized, and its error shows neither key nor prompt";
const shown = "the model shows no key";
const leaving = "leaving closes the connection";
const inputError = "an error of the input comes out as it is, and nothing is asked";
const listener = "a run that ends leaves no listener on the signal";
const closing = "close during use ends what runs with closed, and its connection; twice is fine; afterwards nothing is asked";

const modelFlaws: Expected<ModelFlaw> = {
  "asks-when-called": [nothing, beforehand, whileReading, inputError],
  "asks-for-nothing": [nothing],
  "text-so-far": [answer, plain, apart, stage],
  "whole-text": [answer, live],
  "no-finish": [answer, usage, apart],
  "finish-first": [answer, ...cut],
  "user-role": [answer],
  "no-usage": [usage],
  "changes-input": [plain],
  "changes-output": [plain],
  "odd-part": [plain],
  "sends-all": [nothing, unsaid],
  "forgets-asks": [asks],
  "keeps-history": [apart],
  "truncated-is-end": cut,
  "truncated-is-plain": cut.filter((name) => !name.includes("nothing")),
  retries: [refused],
  "shows-key-in-error": [refused],
  "shows-prompt-in-cause": [refused],
  "shows-key-in-model": [shown],
  "leaves-connection": [leaving],
  deaf: [beforehand, ...aborted, betweenPulls, whileReading],
  "own-abort-error": [...aborted, betweenPulls, whileReading],
  "ends-on-abort": [...aborted, betweenPulls, whileReading],
  "leaves-input": [whileReading],
  "wraps-input-error": [inputError],
  "leaves-listener": [...aborted, listener],
  "close-ends-normally": [closing],
  "works-when-closed": [closing],
  "unheard-rejection": [answer, stage],
};

const passing = "takes its sample, and lets by what it does not take: the very parts, in their order";
const inPlace = "gives what it found in the place of the part, on its substream, with its metadata";
const system = "what it found never speaks as system";
const unchanged = "changes no part that it gets, and gives the same again";
const partByPart = "works part by part: a result comes while the source waits for ever";
const order = "keeps the order, in a pipeline, beside another branch, and under many runs at once";
const unreadable = "what it cannot read is invalid_input, names the service, and spoils no other part";
const lazy = "pulls nothing before it is pulled";
const abort = "an abort beforehand reads nothing, one in the middle rejects with the reason, and the next run works";
const left = "leaving closes the source once, and leaves the analyser as it was";
const sourceError = "an error of the source comes out as it is, after the results before it";
const closed = "is closed twice without harm, and refuses work afterwards";

const analyserFlaws: Expected<AnalyserFlaw> = {
  "copies-others": [passing],
  "drops-others": [passing, inPlace],
  "others-last": [inPlace],
  "drops-metadata": [inPlace],
  "drops-substream": [inPlace],
  "assistant-role": [inPlace],
  "speaks-as-system": [system],
  "other-kind": [inPlace],
  "finds-nothing": [inPlace, partByPart],
  "changes-part": [unchanged],
  "changes-bytes": [unchanged],
  "counts-on": [unchanged, order],
  gathers: [partByPart, abort, left, sourceError],
  "mixes-order": [inPlace, order],
  "mixes-runs": [order],
  "plain-error": [unreadable],
  "other-service": [unreadable],
  eager: [lazy],
  "ends-with-a-run": [abort, left],
  "wraps-source-error": [sourceError],
  "works-when-closed": [closed],
  "closes-once": [closed],
  "stays-open": [passing, closed],
  "unheard-rejection": [inPlace, abort],
};

/** Keeps the runner from taking a rejection that a test is about for one of its own. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const others = process.rawListeners("unhandledRejection") as ((...args: unknown[]) => void)[];
  process.removeAllListeners("unhandledRejection");
  try {
    return await work();
  } finally {
    for (const listener of others) process.on("unhandledRejection", listener);
  }
}

function proves<Flaw extends string>(name: string, contract: (runner: TestRunner, flaw?: Flaw) => void, expected: Expected<Flaw>): void {
  const flaws = Object.entries<readonly string[]>(expected) as [Flaw, readonly string[]][];
  describe(`the ${name} contract fails`, () => {
    test.each(flaws)("for what %s, in %j", async (flaw, tests) => {
      const { failed } = await alone(() => verdictOf((runner) => contract(runner, flaw)));
      expect(Object.keys(failed)).toEqual(expect.arrayContaining([...tests]));
    });

    test("in each of its tests for some flaw", async () => {
      const names: string[] = [];
      const it = Object.assign((test: string) => void names.push(test), { skip: () => {} });
      contract({ describe: (_, define) => define(), it });
      const failing = new Set(flaws.flatMap(([, tests]) => tests));
      expect(names.filter((test) => !failing.has(test))).toEqual([]);
    });
  });
}
proves<ModelFlaw>("model", (runner, flaw) => modelContract(runner, { ...toyModel(flaw), patienceMs }), modelFlaws);
proves<AnalyserFlaw>("analyser", (runner, flaw) => analyserContract(runner, { ...toySubject(flaw), patienceMs }), analyserFlaws);

test("what a subject lacks is skipped with its reason", async () => {
  const model = await verdictOf((runner) => modelContract(runner, { ...toyModel(), lacks: { usage: "it counts nothing", truncation: "it has no wire" } }));
  expect(model.skipped).toEqual([usage, ...cut].map((name, at) => `${name} (${at === 0 ? "it counts nothing" : "it has no wire"})`));
  expect(model.failed).toEqual({});
  const { unreadable: _, ...subject } = toySubject();
  const analyser = await verdictOf((runner) => analyserContract(runner, { ...subject, lacks: { close: "it holds nothing", unreadable: "it reads all" } }));
  expect(analyser.skipped).toEqual([`${unreadable} (it reads all)`, `${closed} (it holds nothing)`]);
  expect(analyser.failed).toEqual({});
});

test("an analyser without anything that it cannot read fails, unless that is declared", async () => {
  const { unreadable: _, ...subject } = toySubject();
  expect(Object.keys((await verdictOf((runner) => analyserContract(runner, subject))).failed)).toEqual([unreadable]);
});
