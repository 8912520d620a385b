/** A runner that runs a contract and tells which of its tests failed, and which were skipped. */
import type { TestRunner } from "../../../src/testing/contracts/runner.ts";

export interface Verdict {
  readonly passed: string[];
  /** Name and message. */
  readonly failed: Record<string, string>;
  readonly skipped: string[];
}

export async function verdictOf(declare: (runner: TestRunner) => void): Promise<Verdict> {
  const tests: (readonly [name: string, body: () => Promise<void>])[] = [];
  const verdict: Verdict = { passed: [], failed: {}, skipped: [] };
  const it = Object.assign((name: string, body: () => Promise<void>) => void tests.push([name, body]), { skip: (name: string) => void verdict.skipped.push(name) });
  declare({ describe: (_, define) => define(), it });
  for (const [name, body] of tests) {
    try {
      await body();
      verdict.passed.push(name);
    } catch (error) {
      verdict.failed[name] = error instanceof Error ? error.message : String(error);
    }
  }
  return verdict;
}
