import { expect, test } from "vitest";
import { Scope } from "../../src/core/scope.ts";
import { ledgerOf } from "../../src/resilience/sagas/saga-ledger.ts";
import { type DoneStep, stepOutput } from "../../src/resilience/sagas/undo.ts";
import { fakeClock } from "../../src/testing/index.ts";
import { soon } from "../streams/support.ts";

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
      return Promise.all([closing, Promise.resolve().then(() => log.push("closed"))]).then(() => {});
    },
  });
  await soon(Promise.resolve(ledger.undo(root, new Error("no"))));
  expect(log).toEqual(["closed", "outer", "inner"]);
});
