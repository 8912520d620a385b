import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as millrace from "../src/index.ts";
import { ended, programFolder, promised, root } from "./programs.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({ language: match[1] ?? "", code: match[2] ?? "" }));

describe("every program in the README runs and prints what its comments say", () => {
  const programs = blocks.filter((block) => block.language === "ts");
  let folder = "";
  beforeAll(() => {
    folder = programFolder(Object.fromEntries(programs.map(({ code }, index) => [`${index}.ts`, code])));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("there are some", () => expect(programs.length).toBeGreaterThan(3));

  for (const [index, { code }] of programs.entries()) {
    test(code.split("\n").find((line) => line.trim() !== "" && !line.startsWith("import")) ?? "", async () => {
      expect(await ended(folder, `${index}.ts`)).toEqual({ status: 0, printed: expect.stringMatching(promised(code)), complaints: "" });
    });
  }
});

test("every command in the README is one that the project has", () => {
  const scripts = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly scripts: object }).scripts;
  const commands = blocks.filter((block) => block.language === "sh").flatMap((block) => block.code.split("\n"));
  const run = commands.flatMap((line) => [...line.matchAll(/npm (?:run ([\w:-]+)|(test|start))/g)]).map((match) => match[1] ?? match[2] ?? "");
  expect(run.length).toBeGreaterThan(0);
  expect(run.filter((name) => !(name in scripts))).toEqual([]);
});

/** The first cells of the table under a heading, without back quotes. */
function table(heading: string): string[] {
  const section = readme.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1] ?? "");
}

/** What a file is named after. */
function nameOf(file: string): string {
  return file.replace(/\.ts$/, "").replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

test("the table of errors has every code and no other", () => {
  expect(table("Errors").toSorted()).toEqual([...millrace.errorCodes].toSorted());
});

test("the table of verbs names every verb file, and only what is exported", () => {
  const verbs = table("Verbs").map((cell) => cell.replace(/\(.*$/, ""));
  const sources = readdirSync(join(root, "src", "streams")).filter((file) => file.endsWith(".ts"));
  const files = sources.map(nameOf);
  const inner = ["perGroup", "sequence", "errorBudget"]; // shared by batch and window; by prepend, append and prompt; of isolate
  expect(files.filter((name) => !inner.includes(name) && !verbs.includes(name))).toEqual([]);
  expect(verbs.filter((name) => !(name in millrace))).toEqual([]);
});

test("the table of resilience names every wrapper, and only what is exported", () => {
  const wrappers = table("Resilience").map((cell) => cell.replace(/\(.*$/, ""));
  const files = readdirSync(join(root, "src", "resilience"), { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => nameOf(name));
  const inner = ["partWeight", "retryBudget"]; // what others are made with
  expect(files.filter((name) => !inner.includes(name)).toSorted()).toEqual(wrappers.toSorted());
  expect(wrappers.filter((name) => !(name in millrace))).toEqual([]);
});

test("the table of adapters names only adapters that there are, and every one that the changelog names", () => {
  const adapters = readdirSync(join(root, "src", "adapters")).filter((name) => existsSync(join(root, "src", "adapters", name, "index.ts")));
  const listed = table("Adapters");
  expect(listed.length).toBeGreaterThan(0);
  expect(listed.filter((name) => !adapters.includes(name))).toEqual([]);
  const told = [...readFileSync(join(root, "CHANGELOG.md"), "utf8").matchAll(/`millrace\/adapters\/([\w-]+)`/g)].map((match) => match[1] ?? "");
  expect(told.length).toBeGreaterThan(0);
  expect(told.filter((name) => !listed.includes(name))).toEqual([]);
});
