import { describe, expect, test } from "vitest";
import {
  batch,
  buffer,
  each,
  filter,
  interleave,
  isMillraceError,
  isolate,
  parallel,
  pipe,
  route,
  run,
  skip,
  split,
  take,
  tap,
  window,
} from "../../src/index.ts";

const wrong = (value: unknown): never => value as never;
const badNumbers = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "3", null, {}];
const refused = (build: () => unknown, says: RegExp): void => {
  let caught: unknown;
  try {
    build();
  } catch (error) {
    caught = error;
  }
  expect(isMillraceError(caught, "invalid_input"), `${String(caught)} is invalid_input`).toBe(true);
  expect(String(caught)).toMatch(says);
};

describe("bad options are refused when the stage is built, by name", () => {
  for (const bad of badNumbers) {
    test(`${typeof bad} ${String(bad)} where a whole number is needed`, () => {
      refused(() => each((part) => part, { concurrency: wrong(bad) }), /each: concurrency must be a whole number/);
      refused(() => buffer(wrong(bad)), /buffer: count/);
      refused(() => take(wrong(bad)), /take: count/);
      refused(() => skip(wrong(bad)), /skip: count/);
      refused(() => split("a", wrong(bad)), /split: count/);
      refused(() => split("a", 1, { lag: wrong(bad) }), /split: lag/);
      refused(() => batch({ count: wrong(bad) }, pipe()), /batch: count/);
      refused(() => batch({ bytes: wrong(bad) }, pipe()), /batch: bytes/);
      refused(() => batch({ maxWaitMs: wrong(bad === 1.5 ? 0 : bad) }, pipe()), /batch: maxWaitMs/);
      refused(() => window({ count: wrong(bad) }, pipe()), /window: count/);
      refused(() => window({ count: 1, step: wrong(bad) }, pipe()), /window: step/);
    });
  }

  test("0 is refused where one is needed, and fine where it means none", () => {
    refused(() => each((part) => part, { concurrency: 0 }), /concurrency/);
    refused(() => split("a", 0), /count/);
    refused(() => batch({ count: 0 }, pipe()), /count/);
    refused(() => window({ count: 0 }, pipe()), /count/);
    expect([take(0), skip(0), buffer(0)].every((stage) => typeof stage === "function")).toBe(true);
  });

  test("a batch without any limit would never run", () => refused(() => batch({}, pipe()), /count, bytes or maxWaitMs/));

  test("what is no function is named by its place", () => {
    refused(() => each(wrong("x")), /each: fn must be a function, got "x"/);
    refused(() => each((part) => part, { match: wrong(1) }), /each: match/);
    refused(() => each((part) => part, { ordered: wrong("no") }), /each: ordered/);
    refused(() => filter(wrong(undefined)), /filter: test/);
    refused(() => tap(wrong(null)), /tap: fn/);
    refused(() => pipe(pipe(), wrong(7)), /pipe: argument 2/);
    refused(() => parallel(pipe(), wrong([])), /parallel: argument 2 .* an array of 0/);
    refused(() => interleave(wrong("a")), /interleave: argument 1/);
    refused(() => isolate(wrong(undefined)), /isolate: argument 1/);
    refused(() => isolate(pipe(), { onError: wrong("ignore") }), /isolate: onError/);
    refused(() => route(wrong(1), { routes: {} }), /route: select/);
    refused(() => route(() => "a", { routes: wrong(null) }), /route: routes/);
    refused(() => route(() => "a", { routes: { a: wrong(2) } }), /route: argument 1/);
    refused(() => run(wrong({ process: 1 }), "a"), /run: needs a processor, got an object with process/);
  });
});
