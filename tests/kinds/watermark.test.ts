import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Watermark } from "../../src/kinds/watermark.ts";

const runs = Number(process.env.PROPERTY_RUNS ?? 200);

describe("D7: the place to which a log may be committed", () => {
  test("moves when what holds it up is settled, past all that was settled before", () => {
    const mark = new Watermark();
    for (const offset of [5n, 6n, 9n]) mark.begin(offset); // 7 and 8 were compacted away
    expect([mark.settle(6n), mark.settle(9n), mark.size, mark.oldest]).toEqual([undefined, undefined, 3, 5n]);
    expect([5n, 6n, 7n, 9n, 10n].map((offset) => mark.has(offset))).toEqual([true, false, false, false, false]);
    expect([mark.settle(5n), mark.size, mark.oldest]).toEqual([10n, 0, undefined]);
    expect([mark.settle(5n), mark.settle(7n)]).toEqual([undefined, undefined]);
  });

  test("refuses an offset that is not behind the last", () => {
    const mark = new Watermark();
    mark.begin(5n);
    for (const offset of [5n, 4n]) expect(() => mark.begin(offset)).toThrow(/comes after 5/);
  });

  test("D-offset: is never past a message that is not settled, and past all when all are, in any order of settling", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 40 }), fc.infiniteStream(fc.nat()), (gaps, choices) => {
        const mark = new Watermark();
        const unsettled: bigint[] = [];
        let offset = 0n;
        let committed = 0n;
        const settleOne = (): void => {
          const [settled] = unsettled.splice((choices.next().value ?? 0) % unsettled.length, 1);
          const place = settled === undefined ? undefined : mark.settle(settled);
          if (place !== undefined) {
            expect(place).toBeGreaterThan(committed);
            committed = place;
          }
          expect(unsettled.every((it) => it >= committed)).toBe(true);
        };
        for (const gap of gaps) {
          offset += BigInt(gap);
          mark.begin(offset);
          unsettled.push(offset);
          while (unsettled.length > 0 && (choices.next().value ?? 0) % 3 === 0) settleOne();
        }
        while (unsettled.length > 0) settleOne();
        expect([committed, mark.size]).toEqual([offset + 1n, 0]);
      }),
      { numRuns: runs * 50 },
    );
  });
});
