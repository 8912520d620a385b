import { expect, test } from "vitest";
import { Scope } from "../../src/core/scope.ts";
import { ledgerOf } from "../../src/resilience/sagas/saga-ledger.ts";
import { type DoneStep, stepOutput } from "../../src/resilience/sagas/undo.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { gate, soon, turns } from "../streams/support.ts";

const done = (log: string[], step: string): DoneStep => ({
  saga: "s",
  step,
  key: step,
  undo: () => void log.push(step),
  output: stepOutput([]),
  context: { correlationId: "c", runId: "r", state: new Map() },
  settings: { undoMs: 1_000, retries: 0, baseMs: 1, maxMs: 1, clock: fakeClock(), random: () => 0, tell: () => {} },
});

test("a saga whose step closes a scope inside of it while it is cut is waited for, and does not wait for its own undoing", async () => {
  const log: string[] = [];
  const root = new Scope({}, { emit: () => {} });
  const [outer, inside] = [root.child(), root.child().child()];
  const ledger = ledgerOf(inside);
  ledger.enter(inside, done(log, "inner"));
  ledger.begin({
    scope: outer,
    cut(why) {
      const closing = inside.end(why); // as a step does that is made of another pipeline
      ledger.enter(outer, done(log, "outer"));
      return Promise.all([closing, turns(5).then(() => log.push("closed"))]).then(() => {});
    },
  });
  await soon(Promise.resolve(ledger.undo(root, new Error("no"))));
  expect(log).toEqual(["closed", "outer", "inner"]);
});

test("a saga that is cut before anything was done is waited for", async () => {
  const log: string[] = [];
  const root = new Scope({}, { emit: () => {} });
  const scope = root.child();
  const ledger = ledgerOf(scope);
  ledger.begin({ scope, cut: () => turns(5).then(() => void log.push("closed")) });
  await soon(Promise.resolve(ledger.undo(root, new Error("no"))));
  expect(log).toEqual(["closed"]);
});

test("what fails while something is being undone is undone behind it: one step at a time", async () => {
  const log: string[] = [];
  const held = gate();
  const root = new Scope({}, { emit: () => {} });
  const [one, two] = [root.child(), root.child()];
  const ledger = ledgerOf(one);
  const slow = { ...done(log, "one"), undo: () => held.promise.then(() => void log.push("one")) };
  ledger.enter(one, slow);
  ledger.enter(two, done(log, "two"));
  const first = ledger.undo(one, new Error("no"));
  await turns(1);
  const second = ledger.undo(two, new Error("no"));
  await turns(2);
  expect(log).toEqual([]);
  held.open();
  await soon(Promise.all([first, second]));
  expect(log).toEqual(["one", "two"]);
});
