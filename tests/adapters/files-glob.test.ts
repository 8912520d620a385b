import fc from "fast-check";
import { matchesGlob } from "node:path";
import { describe, expect, test } from "vitest";
import { glob } from "../../src/adapters/files/glob.ts";

function matches(pattern: string, path: string): boolean {
  const matcher = glob("test", "pattern", [pattern]);
  return matcher.accepts(path.split("/").reduce((state, name) => matcher.step(state, name), matcher.start));
}

describe("glob", () => {
  test.each([
    ["*", "a", true], ["*", "a/b", false], ["*", ".a", false], [".*", ".a", true], ["**", "a/b/c", true], ["**/*", "a", true], ["**/c", "a/b/c", true],
    ["a/**/c", "a/c", true], ["a/**/c", "a/b/b/c", true], ["a/**/c", "a/.b/c", false], ["a/**", "a/b", true], ["**/.x/*", "a/.x/b", true],
    ["?.md", "a.md", true], ["?.md", "ab.md", false], ["?.md", "🙂.md", true], ["[a-c].x", "b.x", true], ["[!a-c].x", "b.x", false], ["[!a-c].x", "d.x", true], ["[]a]", "]", true],
    ["[a", "[a", true], ["{a,b}/*.{md,txt}", "b/x.txt", true], ["{a,b}/*.{md,txt}", "c/x.txt", false], ["a{b{1,2},c}", "ab2", true], ["a{,b}", "a", true], ["{a", "{a", true], ["{a}", "a", true],
    ["\\*", "*", true], ["\\*", "a", false], ["a\\{b,c}", "a{b,c}", true], ["*a*b*", "xxaxxbxx", true], ["*a*b*", "xxbxxaxx", false],
    ["**/a/**/b", "a/a/x/b/b", true], ["**/**/a", "a", true],
  ])("%s on %s: %s", (pattern, path, expected) => {
    expect(matches(pattern, path)).toBe(expected);
  });

  test("agrees with the runtime's own matcher on random patterns without dots", () => {
    const piece = fc.constantFrom("a", "b", "*", "?", "[ab]", "ab");
    const segment = fc.oneof({ weight: 3, arbitrary: fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join("").replace(/\*+/g, "*")) }, { weight: 1, arbitrary: fc.constant("**") });
    const pattern = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
    const path = fc.array(fc.stringMatching(/^[ab]{1,4}$/), { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
    fc.assert(fc.property(pattern, path, (pattern, path) => {
      // "a/**" matches "a" itself there; here a file is matched by a name, so at least one segment must follow
      if (/(^|\/)\*\*$/.test(pattern)) return;
      expect(matches(pattern, path)).toBe(matchesGlob(path, pattern));
    }), { numRuns: 2_000 });
  });

  test("takes no longer on hostile patterns: a pattern of stars against a name of 20,000 characters ends", () => {
    expect(matches(`${"*a".repeat(30)}*b`, "a".repeat(20_000))).toBe(false);
    expect(matches(`${"**/a/".repeat(12)}b`, Array(60).fill("a").join("/"))).toBe(false);
    expect(() => glob("test", "pattern", ["{a,b}".repeat(20)])).toThrow(/alternatives/);
  });
});
