import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "./side-folder.ts";

/** Test files that pass all their tests, and what they leave behind. */
const files: Readonly<Record<string, string>> = {
  "a server": `import { createServer } from "node:http"; test("a", () => new Promise((done) => createServer().listen(0, "127.0.0.1", () => done())));`,
  "a timer": `test("a", () => { setInterval(() => {}, 10_000); });`,
  "a file": `import { openSync } from "node:fs"; test("a", () => { openSync(import.meta.filename, "r"); });`,
  "a child process": `import { spawn } from "node:child_process"; test("a", () => { spawn(process.execPath, ["-e", "setTimeout(() => {}, 6000)"], { stdio: "ignore" }); });`,
  "an unhandled rejection": `test("a", async () => { void Promise.reject(new Error("nobody hears")); await new Promise((done) => setTimeout(done, 20)); });`,
  nothing: `import { createServer } from "node:http"; import { openSync, closeSync } from "node:fs";
    test("a", async () => {
      clearTimeout(setTimeout(() => {}, 10_000));
      closeSync(openSync(import.meta.filename, "r"));
      const server = createServer();
      await new Promise((done) => server.listen(0, "127.0.0.1", () => done()));
      await new Promise((done) => server.close(() => done()));
    });`,
};

interface Outcome {
  readonly code: number;
  readonly printed: string;
}

describe("a test file that leaves something behind fails, though its tests pass", () => {
  const outcomes = new Map<string, Outcome>();
  let folder = "";

  beforeAll(async () => {
    mkdirSync(join(root, ".cache"), { recursive: true });
    folder = mkdtempSync(join(root, ".cache", "guards-"));
    await Promise.all(Object.entries(files).map(async ([name, code]) => outcomes.set(name, await outcome(join(folder, name.replaceAll(" ", "-")), code))));
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const cases = [
    ["a server", /left open after this file: TCPServerWrap/],
    ["a timer", /left open after this file: Timeout/],
    ["a child process", /left open after this file: ProcessWrap/],
    ["an unhandled rejection", /Unhandled Rejection[\s\S]*nobody hears/],
  ] as const;
  for (const [name, message] of cases) {
    test(name, () => {
      expect(outcomes.get(name)?.code).not.toBe(0);
      expect(outcomes.get(name)?.printed).toMatch(message);
    });
  }

  test.skipIf(process.platform !== "linux")("a file (seen on Linux only)", () => {
    expect(outcomes.get("a file")?.code).not.toBe(0);
    expect(outcomes.get("a file")?.printed).toMatch(/left open after this file: .*a-file.*\.test\.ts/);
  });

  test("one that closes what it opens passes", () => expect(outcomes.get("nothing")).toMatchObject({ code: 0 }));
});

/** Runs one test file under the setup of this project. */
function outcome(folder: string, code: string): Promise<Outcome> {
  mkdirSync(folder);
  writeFileSync(join(folder, `${basename(folder)}.test.ts`), `import { test } from "vitest";\n${code}\n`);
  const setup = JSON.stringify(join(root, "tests", "setup.ts"));
  writeFileSync(join(folder, "vitest.config.ts"), `export default { test: { include: ["*.test.ts"], setupFiles: [${setup}] } };\n`);
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, "node_modules", "vitest", "vitest.mjs"), "run", "--root", folder], { cwd: root, env: { ...process.env, NO_COLOR: "1" } }, (error, out, err) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, printed: out + err });
    });
  });
}
