import { describe, expect, test } from "vitest";
import type { Advanced, MarkSteps } from "../../src/kinds/marks.ts";
import type { LimitMarks } from "../../src/resilience/admission/limit-marks.ts";
import { Limiter } from "../../src/resilience/admission/limiter.ts";
import { fakeClock } from "../../src/testing/clock.ts";
import { turns } from "../streams/support.ts";

const taken: Advanced = { taken: true, waitMs: 0, aheadMs: {} };

/** Marks far away: each question is answered when the test says so. */
function marks(): LimitMarks & { readonly questions: { readonly steps: MarkSteps; left: boolean; answer(advanced: Advanced): void }[]; readonly moved: MarkSteps[] } {
  const questions: { readonly steps: MarkSteps; left: boolean; answer(advanced: Advanced): void }[] = [];
  const moved: MarkSteps[] = [];
  return {
    shared: true,
    processes: 2,
    questions,
    moved,
    ask(steps) {
      const { promise, resolve } = Promise.withResolvers<Advanced>();
      const question = { steps, left: false, answer: resolve };
      questions.push(question);
      return { answer: promise, leave: () => { question.left = true; } };
    },
    move: (steps) => void moved.push(steps),
  };
}

describe("the queue before marks that are far away", () => {
  test("one question at a time, for the first; a call that leaves as its answer comes gives back what it took, and the next is asked for once", async () => {
    const far = marks();
    const clock = fakeClock();
    const limiter = new Limiter(far, { queue: 10, waitMs: 1_000, clock, random: () => 0 });
    const [first, second, third] = [1, 2, 3].map((byMs) => limiter.take({ requests: { byMs } }));
    let served = 0;
    void second?.taken.then(() => { served += 1; });
    expect(far.questions.map(({ steps }) => steps["requests"]?.byMs)).toEqual([1]);
    far.questions[0]?.answer(taken);
    first?.leave();
    await turns(1);
    expect([far.questions[0]?.left, far.moved]).toEqual([true, [{ requests: { byMs: -1 } }]]);
    expect(far.questions.map(({ steps }) => steps["requests"]?.byMs)).toEqual([1, 2]);
    expect([served, limiter.waiting]).toEqual([0, 2]);
    far.questions[1]?.answer(taken);
    await second?.taken;
    expect(far.questions).toHaveLength(3);
    third?.leave();
    expect([far.questions[2]?.left, limiter.waiting, clock.pending]).toEqual([true, 0, 0]);
  });

  test("asks again when there is room, and by chance up to a tenth and 50 ms later; once a second at least", async () => {
    for (const [waitMs, askedMs] of [[400, 440], [800, 850], [5_000, 1_000]] as const) {
      const far = marks();
      const clock = fakeClock();
      const limiter = new Limiter(far, { queue: 10, waitMs: 60_000, clock, random: () => 1 });
      const turn = limiter.take({ requests: { byMs: 1 } });
      far.questions[0]?.answer({ taken: false, waitMs, aheadMs: {} });
      await clock.advance(askedMs - 1);
      expect(far.questions).toHaveLength(1);
      await clock.advance(1);
      expect(far.questions).toHaveLength(2);
      turn?.leave();
    }
  });
});
