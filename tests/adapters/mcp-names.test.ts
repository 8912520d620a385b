import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toolNames } from "../../src/adapters/mcp/names.ts";
import { plain } from "../../src/adapters/mcp/plain.ts";

const numRuns = Number(process.env.PROPERTY_RUNS ?? 200);
const remote = fc.oneof(fc.string({ maxLength: 90 }), fc.constantFrom("a.b", "a_b", "a/b", "__proto__", "constructor", "7", "x".repeat(64), "x".repeat(65), `${"x".repeat(64)}y`));

describe("names", () => {
  test("a name that fits stays, other characters become `_`, with the prefix before all of them", () => {
    expect(toolNames("", ["read_file", "issues.list", "a b", "7up", "über"])).toEqual(["read_file", "issues_list", "a_b", "_7up", "_ber"]);
    expect(toolNames("far", ["read", "7up"])).toEqual(["far_read", "far_7up"]);
  });

  test("of names that come to the same, the one that fits stays, and the others say which they are", () => {
    const [dot, fits, slash] = toolNames("", ["a.b", "a_b", "a/b"]);
    expect(fits).toBe("a_b");
    expect([dot, slash]).toEqual([expect.stringMatching(/^a_b_[\da-z]{7}$/), expect.stringMatching(/^a_b_[\da-z]{7}$/)]);
    expect(toolNames("", ["a/b", "a_b", "a.b"])).toEqual([slash, fits, dot]);
  });

  test("over any names: all fit, all differ, and the order of the list decides nothing", () => {
    fc.assert(
      fc.property(fc.uniqueArray(remote, { maxLength: 12 }), fc.constantFrom("", "far"), (remotes, prefix) => {
        const names = toolNames(prefix, remotes);
        for (const name of names) expect(name).toMatch(/^(?!(?:__proto__|constructor|prototype)$)[A-Za-z_][\w-]{0,63}$/);
        expect(new Set(names).size).toBe(remotes.length);
        expect(toolNames(prefix, remotes.toReversed())).toEqual(names.toReversed());
      }),
      { numRuns },
    );
  });
});

describe("words of a server", () => {
  test("nothing is left in them that a model sees and people do not; lines and joined signs stay", () => {
    const hidden = [..."ignore"].map((sign) => String.fromCodePoint(0xe0000 + sign.charCodeAt(0))).join("");
    expect(plain(`a${hidden}\u0000\u001b[31m\u202eb\u200b\u2066\ufeff\u2028`, 100)).toBe("a[31mb");
    expect(plain("one\n\ttwo 👩\u200d🔬", 100)).toBe("one\n\ttwo 👩\u200d🔬");
  });

  test("over any text: never longer than said, well-formed, and the same when it is done twice", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.integer({ min: 1, max: 50 }), (text, max) => {
        const once = plain(text, max);
        expect(once.length).toBeLessThanOrEqual(max);
        expect(once.isWellFormed()).toBe(true);
        expect(plain(once, max)).toBe(once);
      }),
      { numRuns },
    );
  });
});
