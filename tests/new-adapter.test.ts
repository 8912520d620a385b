import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const copied = ["package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json", "vitest.config.ts", "README.md", "CHANGELOG.md", "src"].concat(
  ["setup.ts", "services.ts", "services", "programs.ts", "layout.test.ts", "package.test.ts", "readme.test.ts", "kit.test.ts", "scripts/side-folder.ts"].map((name) => `tests/${name}`),
);

/** An analyser with options, errors and a limit, as short as one can be. */
const adapter = (imports: string): string => `/**
 * Counts the words of texts.
 *
 * Kind: analyser, part by part. Client: none.
 *
 * @module
 */
${imports}
/** How words are counted. */
export interface DummyOptions {
  /** Characters of a text at most. @default 1000 */
  readonly maxChars?: number;
}

/** Gives the number of words of each text, as JSON; an empty text is \`invalid_input\`. */
export function dummy(options: DummyOptions = {}): Processor {
  const maxChars = wholeNumber("dummy", "maxChars", options.maxChars ?? 1_000, 1);
  const isWords = (part: Part): boolean => part.kind === "text" && part.text.length <= maxChars;
  return each(
    (part) => {
      if (part.kind !== "text") return part;
      if (part.text === "") throw new MillraceError("invalid_input", "dummy: an empty text has no words", { service: "dummy" });
      return json(part.text.split(" ").length, { substream: part.substream, metadata: part.metadata });
    },
    { match: isWords, name: "dummy" },
  );
}
`;

const inside = `import { json } from "../../core/constructors.ts";
import { MillraceError, wholeNumber } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import type { Processor } from "../../core/processor.ts";
import { each } from "../../streams/each.ts";
`;

const outside = `import { each, json, MillraceError, type Part, type Processor, run, text } from "millrace";
import { wholeNumber } from "millrace/kit";
import { analyserContract } from "millrace/testing";
`;

const contract = `
  name: "dummy",
  service: "dummy",
  open: () => dummy(),
  sample: (options) => text("two words", options),
  unreadable: (options) => text("", options),
  takes: (part) => part.kind === "text",
  gives: "json",
  lacks: { close: "it holds nothing" },
`;

const suite = `import { describe, expect, it, test } from "vitest";
import { dummy } from "../../src/adapters/dummy/index.ts";
import { text } from "../../src/core/constructors.ts";
import { run } from "../../src/core/run.ts";
import { analyserContract } from "../../src/testing/contracts/analyser.ts";

analyserContract({ describe, it }, {${contract}});

test("dummy counts words", async () => {
  expect(await run(dummy(), "a b c").json()).toBe(3);
});
`;

const program = `${adapter(outside)}
const tests: (() => Promise<void>)[] = [];
const it = Object.assign((_: string, body: () => Promise<void>) => void tests.push(body), { skip: () => {} });
analyserContract({ describe: (_, define) => define(), it }, {${contract}});
for (const body of tests) await body();
console.log(await run(dummy(), "a b c").json(), tests.length > 5);
`;

let project = "";
/** Every file of the copy, with its content. */
function files(): Map<string, string> {
  const entries = readdirSync(project, { recursive: true, withFileTypes: true, encoding: "utf8" }).filter((entry) => entry.isFile() && !entry.parentPath.startsWith(join(project, "node_modules")));
  return new Map(entries.map((entry) => join(entry.parentPath, entry.name)).map((path) => [path.slice(project.length + 1), readFileSync(path, "latin1")]));
}

function node(...args: readonly string[]): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: project, encoding: "utf8", env: { ...process.env, SERVICES: "none", NO_COLOR: "1", TEST_RESULTS: undefined, TEST_EXCLUDE: undefined } });
  return { status, output: `${stdout}${stderr}` };
}

describe("an adapter is one folder and one test file", () => {
  let before = new Map<string, string>();
  const added: Readonly<Record<string, string>> = { "src/adapters/dummy/index.ts": adapter(inside), "tests/adapters/dummy.test.ts": suite };
  beforeAll(() => {
    mkdirSync(join(root, ".cache"), { recursive: true });
    project = mkdtempSync(join(root, ".cache", "new-adapter-"));
    for (const path of copied) cpSync(join(root, path), join(project, path), { recursive: true, filter: (source) => !source.includes("node_modules") });
    symlinkSync(join(root, "node_modules"), join(project, "node_modules"), "junction");
    before = files();
    for (const [path, content] of Object.entries(added)) {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), content);
    }
  });
  afterAll(() => rmSync(project, { recursive: true, force: true }));

  test("its types are right", () => {
    expect(node(join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json")).toEqual({ status: 0, output: "" });
  }, 120_000);

  test("the rules of the project hold, its contract passes, its entry loads", () => {
    const which = "imports point one way|what a source may contain|the table of adapters|every entry|the kit|analyser contract: dummy|dummy counts words";
    const { status, output } = node(join("node_modules", "vitest", "vitest.mjs"), "run", "--reporter=verbose", "-t", which);
    expect(output).toMatch(/✓ .*imports point one way > adapters\/dummy\/index\.ts/);
    expect(output).toMatch(/✓ .*every entry > millrace\/adapters\/dummy loads without opening anything/);
    expect(output).toMatch(/✓ .*the table of adapters names only adapters that there are/);
    expect(output).toMatch(/✓ .*the kit > has all that an adapter uses/);
    expect(output).toMatch(/✓ .*analyser contract: dummy > takes its sample/);
    expect(output).toMatch(/↓ .*analyser contract: dummy > is closed twice .*\(it holds nothing\)/);
    expect(output).toMatch(/✓ .*dummy counts words/);
    expect([status, output.match(/^.*(?:✗|×|FAIL).*$/gm) ?? []]).toEqual([0, []]);
  }, 240_000);

  test("nothing else was changed for it, by hand or by a tool", () => {
    const after = files();
    expect([...after.keys()].filter((path) => !before.has(path)).toSorted()).toEqual(Object.keys(added).toSorted());
    expect([...before].filter(([path, content]) => after.get(path) !== content).map(([path]) => path)).toEqual([]);
  });

  test("an outsider writes the same with millrace, the kit and the contract", () => {
    mkdirSync(join(project, "samples"), { recursive: true });
    writeFileSync(join(project, "samples", "outside.ts"), program);
    expect(node(join("node_modules", "typescript", "bin", "tsc"), "-p", "tsconfig.json")).toEqual({ status: 0, output: "" });
    expect(node("--conditions=millrace-source", join("samples", "outside.ts"))).toEqual({ status: 0, output: "3 true\n" });
  }, 120_000);
});
