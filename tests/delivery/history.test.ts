import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Bug, plans, play } from "./history.ts";

const runs = 5 * Number(process.env.PROPERTY_RUNS ?? 200);

describe("D-hist: random histories of messages, failures, outages and deaths of the worker", () => {
  test("nothing is lost, nothing invented, nothing acknowledged before all is confirmed, and no more is done twice than was killed in flight", async () => {
    const seen = { killedInFlight: 0, duplicates: 0, deadLetters: 0 };
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const { killedInFlight, duplicates, deadLetters } = await play(plan);
        seen.killedInFlight += killedInFlight;
        seen.duplicates += duplicates;
        seen.deadLetters += deadLetters;
      }),
      { numRuns: runs },
    );
    console.log(`D-hist ${runs} histories: killed in flight ${seen.killedInFlight}, outputs written again ${seen.duplicates}, dead letters ${seen.deadLetters}, lost 0`);
    expect(Math.min(seen.killedInFlight, seen.duplicates, seen.deadLetters)).toBeGreaterThan(0); // or nothing was tried
  });

  const bugs: readonly Bug[] = ["ack on read", "fire and forget", "ack before the dead letter", "dead letter in an outage", "an output that is swallowed"];
  for (const bug of bugs) {
    test(`D-bugs: they find "${bug}"`, async () => {
      const { failed, counterexample } = await fc.check(fc.asyncProperty(plans, async (plan) => void (await play(plan, bug))), { numRuns: 1_000, endOnFailure: true });
      expect([failed, counterexample !== null]).toEqual([true, true]);
    });
  }
});
