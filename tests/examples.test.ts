import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asksService, type Example, examples, examplesIn, importsOf, programOf } from "./examples.ts";
import { type Ended, ended, programFolder, promised, root, typesOf } from "./programs.ts";

const inbox = join(root, "samples", "intake", "inbox");
/** Files that the examples name, as a reader may have them. */
const filesOfReader = {
  "contract.pdf": readFileSync(join(inbox, "insurance-policy.pdf")),
  "report.pdf": readFileSync(join(inbox, "staff-handbook.pdf")),
  "reports/2026/may.pdf": readFileSync(join(inbox, "staff-handbook.pdf")),
  "scan.png": readFileSync(join(inbox, "commission-form.png")),
  "docs/guide.md": "# A guide\n\nOf few words.\n",
};

/** Wrong in one way each: what is not found in them would not be found in others. */
const wrong = {
  type: 'const count: number = "two";\nconsole.log(count);',
  name: "console.log(each(nobodyKnowsThis));",
  unused: "console.log(1);\nconst left = run(pipe(), [])",
  output: 'console.log(await run(pipe(), "a").text()); // b',
  throws: "await run(take(-1), []).collect();",
  unheard: 'void Promise.reject(new Error("unheard"));\nawait new Promise((resolve) => setTimeout(resolve));',
  exit: "process.exitCode = 3;",
} as const;
type Fault = keyof typeof wrong;
const faults = Object.keys(wrong) as Fault[];
const planted: readonly Example[] = faults.map((fault) => ({ place: fault, entry: "millrace", code: wrong[fault] }));
const inSources = examples();
const all = [...inSources, ...planted];
const fileOf = (example: Example): string => `${all.indexOf(example)}.ts`;

/** Imports the programs one after the other, each between marks, so that two hundred modules are loaded once, not ninety times. */
const runner = `
let failed = "";
const fail = (error) => (failed ||= String(error?.stack ?? error));
for (const file of FILES) {
  // a package that an example loads may leave a listener that ends the process
  for (const event of ["unhandledRejection", "uncaughtException"]) process.removeAllListeners(event).on(event, fail);
  process.stdout.write("\\u0001" + file + "\\u0002");
  await import("./" + file).catch(fail);
  if (process.exitCode) fail("exit code " + process.exitCode);
  process.stdout.write("\\u0003" + failed);
  failed = "";
  process.exitCode = undefined;
}`;

/** With `node:test` an example is a suite, which ends and prints after the module has. */
const isSuite = ({ code }: Example): boolean => code.includes('from "node:test"');

describe("every example in the comments of the sources compiles, and does what it says", () => {
  let folder = "";
  const complaints = new Map<string, string[]>();
  const results = new Map<string, Ended>();
  beforeAll(async () => {
    const running = all.filter((example) => !asksService(example) && !isSuite(example));
    folder = programFolder({ ...filesOfReader, ...Object.fromEntries(all.map((example) => [fileOf(example), programOf(example)])), "all.mjs": runner.replace("FILES", JSON.stringify(running.map(fileOf))) });
    const suites = async (): Promise<void> => {
      for (const example of all.filter(isSuite)) results.set(fileOf(example), await ended(folder, fileOf(example)));
    };
    const [types, together] = await Promise.all([typesOf(folder), ended(folder, "all.mjs", "hello\n"), suites()]);
    results.set("all", together);
    for (const [, file = "", printed = "", failed = ""] of together.printed.matchAll(/\u0001(\d+\.ts)\u0002([^\u0003]*)\u0003([^\u0001]*)/g)) results.set(file, { status: failed === "" ? 0 : 1, printed, complaints: failed });
    for (const complaint of types.printed.split(/\n(?=\S)/)) {
      const [, file = "", line = "", said = ""] = /(\d+\.ts)\((\d+),\d+\): ([^]*)/.exec(complaint) ?? [];
      complaints.set(file, [...(complaints.get(file) ?? []), `line ${Number(line) - 1}: ${said.trim()}`]); // line 1 of the file is of imports
    }
  }, 200_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const example of inSources) {
    const [first = ""] = example.code.split("\n").filter((line) => line !== "" && !line.startsWith("import "));
    test(`${example.place} ${first}`, () => {
      expect(complaints.get(fileOf(example)) ?? []).toEqual([]);
      const printed = isSuite(example) ? expect.stringMatching(/pass [1-9]/) : expect.stringMatching(promised(example.code));
      if (!asksService(example)) expect(results.get(fileOf(example))).toEqual({ status: 0, printed, complaints: "" });
    });
  }

  test("and nothing that one of them opens keeps the program alive", () => expect(results.get("all")).toMatchObject({ status: 0, complaints: "" }));

  test("there are many, none is overlooked, and all are run but some of adapters", () => {
    const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
    expect(inSources.length).toBe(sources.reduce((sum, path) => sum + readFileSync(join(root, "src", path), "utf8").split("@example").length - 1, 0));
    expect(inSources.filter((example) => !asksService(example)).length).toBeGreaterThan(80);
    expect(inSources.filter(asksService).map(({ place }) => place).filter((place) => !place.startsWith("src/adapters/"))).toEqual([]);
  });

  test("each that is wrong is found", () => {
    const of = (fault: Fault): string => fileOf(planted[faults.indexOf(fault)] ?? { place: "", entry: "", code: "" });
    const typesFound = faults.map((fault) => complaints.get(of(fault))?.map((complaint) => complaint.slice(0, 20)) ?? []);
    expect(typesFound).toEqual([["line 1: error TS2322"], ["line 1: error TS2304"], ["line 2: error TS6133"], [], [], [], []]);
    expect(faults.map((fault) => results.get(of(fault))?.status)).toEqual([0, 1, 0, 0, 1, 1, 1]);
    expect(results.get(of("output"))?.printed).not.toMatch(promised(wrong.output));
    expect(results.get(of("unheard"))?.complaints).toContain("unheard");
  });
});

describe("an example", () => {
  test("ends at the next tag and at the end of its comment, wherever the comment stands", () => {
    const source = "/**\n * Text.\n *\n * @example\n * a();\n *\n * b(\"**\\/x\");\n */\n  /**\n   * @example\n   * c();\n   * @see d\n   */";
    expect(examplesIn(source)).toEqual([{ line: 5, code: 'a();\n\nb("**/x");' }, { line: 11, code: "c();" }]);
  });

  test("has in scope what the package exports, its own entry first, and what it uses alone", () => {
    const scopeOf = (entry: string, code: string): unknown => Object.fromEntries([...importsOf({ entry, code })].map(([from, names]) => [from, names.map(({ name, isType }) => (isType ? `type ${name}` : name)).toSorted()]));
    expect(scopeOf("millrace/adapters/memory", "const a: Part = text(`x ${run}`); // take\nmemoryBlobStore({ skip: split.merge, ...pipe, lines });")).toEqual({
      "millrace/adapters/memory": ["memoryBlobStore"],
      millrace: ["lines", "pipe", "run", "split", "text", "type Part"],
    });
    expect(scopeOf("millrace", 'import { text } from "elsewhere";\ntext("pipe");')).toEqual({});
  });

  test("that uses a service is not run, unless it brings the service along", () => {
    const asks = (code: string): boolean => asksService({ place: "", entry: "millrace", code });
    expect(asks('openai({ model: "m" })')).toBe(true);
    expect(asks('openaiChat({ model: "m", baseUrl: "http://127.0.0.1:8000" })')).toBe(true);
    expect(asks('fetchUrls({ allowHosts: ["a"] })')).toBe(true);
    expect(asks("openai({ model: m, baseUrl: server.url })")).toBe(false);
    expect(asks("openai({ model: m, client })")).toBe(false);
    expect(asks("const options: OpenAIOptions = { model: m }")).toBe(false);
    expect(asks("memoryBlobStore()")).toBe(false);
  });
});

test("what a program promises to print is compared with all that it prints", () => {
  const loop = promised("for (const x of y) console.log(x); // a  b\nconsole.log(z);\nconsole.log(1.5); // 1.5 …\n");
  expect("a\nb\nz\nzz\n1.5 and more\n").toMatch(loop);
  expect("a  b\n1.5 \n").toMatch(loop);
  for (const printed of ["a\n1.5 x\n", "a\nb\n", "a\nb\n1x5 x\n", "a\nb\n1.5 x\nmore\n", "more\na\nb\n1.5 x\n"]) expect(printed).not.toMatch(loop);
  expect("anything\n").toMatch(promised("process.stdout.write(x); // by other means"));
});
