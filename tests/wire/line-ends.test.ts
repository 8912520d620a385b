import fc from "fast-check";
import { expect, test } from "vitest";
import { lineEnds } from "../../src/wire/line-ends.ts";

test("the next line end is that at or behind the place, whichever sign it is, or the length", () => {
  const bytes = fc.array(fc.constantFrom(10, 13, 65), { maxLength: 30 });
  const places = fc.array(fc.nat(30)).map((all) => all.toSorted((a, b) => a - b));
  fc.assert(
    fc.property(bytes, places, (signs, froms) => {
      const lineEnd = lineEnds(Uint8Array.from(signs));
      for (const from of froms.filter((place) => place <= signs.length)) {
        const found = signs.findIndex((sign, at) => at >= from && sign !== 65);
        expect(lineEnd(from)).toBe(found < 0 ? signs.length : found);
      }
    }),
    { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 500) },
  );
});
