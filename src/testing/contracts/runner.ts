/**
 * What a contract needs of a test runner. Vitest, `node:test`, Bun and Jest all have it.
 *
 * @module
 */

/** The runner's own `describe` and `it`. */
export interface TestRunner {
  describe(name: string, define: () => void): unknown;
  readonly it: TestFunction;
}

/** Declares one test, or one that is skipped. */
export interface TestFunction {
  (name: string, test: () => Promise<void>): unknown;
  skip(name: string, test: () => Promise<void>): unknown;
}
