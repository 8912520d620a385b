import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const folder = join(import.meta.dirname, "..", "samples");
const samples = readdirSync(folder).filter((file) => /^\d\d-.*\.ts$/.test(file));

describe("every numbered sample prints what it says", () => {
  test("there are at least six", () => expect(samples.length).toBeGreaterThanOrEqual(6));

  for (const name of samples) {
    test(name, () => {
      const source = readFileSync(join(folder, name), "utf8");
      const expected = [...source.matchAll(/^\/\/ prints: (.*)$/gm)].map((match) => match[1]);
      expect(expected.length, "a sample says what it prints").toBeGreaterThan(0);
      const printed = execFileSync(process.execPath, ["--conditions=millrace-source", join(folder, name)], { encoding: "utf8" });
      expect(printed.trim().split("\n")).toEqual(expected);
    });
  }
});
