import { expect, test } from "vitest";
import { makeupOf } from "../../src/core/makeup.ts";
import { each, filter, isolate, type Processor, parallel, pipe, retry, route, skip, take, tap, window } from "../../src/index.ts";

const same = each((part) => part, { name: "same" });
const opaque: Processor = async function* opaque(input) {
  yield* input;
};

const perPart: Readonly<Record<string, Processor>> = {
  each: same,
  "each, several at once": each((part) => part, { concurrency: 4, ordered: false }),
  filter: filter(() => true),
  tap: tap(() => {}),
  pipe: pipe(same, pipe(same, same)),
  "an empty pipe": pipe(),
  parallel: parallel(same, pipe(same, same)),
  route: route(() => "a", { routes: { a: same } }),
};
const others: readonly (readonly [what: string, processor: Processor, culprit: string])[] = [
  ["a generator", opaque, "opaque"],
  ["skip", skip(1), "skip"],
  ["take", take(1), "take"],
  ["window", window({ count: 2 }, opaque), "window"],
  ["isolate, which counts", isolate(same), "isolate"],
  ["retry, which is about a whole stream", retry(same), "retry"],
  ["one of a pipe", pipe(same, skip(1), same), "skip"],
  ["a branch of parallel", parallel(same, skip(1)), "parallel"],
  ["a branch of route", route(() => "a", { routes: { a: pipe(same, skip(1)) } }), "route"],
];

for (const [what, processor] of Object.entries(perPart)) {
  test(`${what} of part functions works part by part`, () => expect(makeupOf(processor).notPerPart).toBeUndefined());
}

for (const [what, processor, culprit] of others) {
  test(`${what} is not known to work part by part`, () => expect(makeupOf(processor).notPerPart).toBe(culprit));
}

test("the name is that of the first stage", () => {
  expect(makeupOf(pipe(same, skip(1))).name).toBe("same");
  expect(makeupOf(opaque).name).toBe("opaque");
  expect(makeupOf(pipe()).name).toBe("pipe");
});
