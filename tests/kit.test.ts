import { readdirSync, readFileSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { describe, expect, test } from "vitest";
import * as kit from "../src/kit.ts";
import * as millrace from "../src/index.ts";

const src = join(import.meta.dirname, "..", "src");
const read = (path: string): string => readFileSync(join(src, path), "utf8");
const paths = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => path.split(sep).join("/"));

/** A name and the source that it comes from, below src. */
interface Name {
  readonly from: string;
  readonly name: string;
  /** What it is called where it goes. */
  readonly as: string;
}

/** The names that a source imports of others, or exports of them. */
function namesIn(path: string, what: "import" | "export"): Name[] {
  const code = read(path).replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return [...code.matchAll(new RegExp(`^${what} (?:type )?\\{([^}]*)\\} from "(\\.[^"]*)"`, "gm"))].flatMap(([, list = "", file = ""]) =>
    list.split(",").map((each) => each.trim()).filter((each) => each !== "").map((each) => {
      const [name = "", as = name] = each.replace(/^type /, "").split(" as ");
      return { from: posix.join(posix.dirname(path), file), name, as };
    }),
  );
}

const key = ({ from, name }: Name): string => `${name} of ${from}`;
const inIndex = namesIn("index.ts", "export");
const inKit = namesIn("kit.ts", "export");
const exported = new Set([...inIndex, ...inKit].map(key));

/** Shared by adapters of ours that speak to one service; too special for others. */
const isSpecial = (path: string): boolean => /^(?:wire\/(?:[\w-]+\/|postgres|sql)|kinds\/sql-)/.test(path);

describe("the kit", () => {
  const adapters = paths.filter((path) => path.startsWith("adapters/"));
  const used = adapters.flatMap((path) => [...namesIn(path, "import"), ...namesIn(path, "export")].filter(({ from }) => !from.startsWith("adapters/")));

  test("has all that an adapter uses and millrace has not, but for what is special to one service", () => {
    expect(used.length).toBeGreaterThan(50);
    expect([...new Set(used.filter((name) => !isSpecial(name.from) && !exported.has(key(name))).map(key))]).toEqual([]);
  });

  test("no adapter takes a whole module, whose names could not be told", () => {
    const whole = /^(?:import|export) (?!\{|type \{)[^"{}]*"\.\.\/\.\.\/|import\("\.\.\/\.\.\//m;
    expect(adapters.filter((path) => whole.test(read(path)))).toEqual([]);
  });

  test("has no name that millrace has too, and none twice", () => {
    const known = new Set(inIndex.map(({ as }) => as));
    expect(inKit.map(({ as }) => as).filter((name) => known.has(name))).toEqual([]);
    expect(Object.keys(kit).filter((name) => name in millrace)).toEqual([]);
    expect(new Set(inKit.map(({ as }) => as)).size).toBe(inKit.length);
  });

  test("has nothing special to one service", () => {
    expect(inKit.map(({ from }) => from).filter(isSpecial)).toEqual([]);
  });

  test("what its names are declared with can be named too", () => {
    const types = new Map(paths.flatMap((path) => [...read(path).matchAll(/^export (?:interface|type|class) (\w+)/gm)].map((match) => [match[1] ?? "", path] as const)));
    const nameable = new Set([...inIndex, ...inKit].map(({ name }) => name));
    const missing = inKit.flatMap((entry) => {
      const declared = declarationOf(read(entry.from), entry.name);
      expect(declared, `${entry.name} of ${entry.from}`).not.toBe("");
      return [...declared.matchAll(/(?<!["'`\w])[A-Z]\w+/g)].map(([name]) => name).filter((name) => types.has(name) && !nameable.has(name)).map((name) => `${name}, for ${entry.name}`);
    });
    expect([...new Set(missing)]).toEqual([]);
  });

  test("says in a line what each group of names is for", () => {
    const blocks = read("kit.ts").replace(/^\/\*\*[\s\S]*?\*\/\n/, "").trim().split("\n\n");
    expect(blocks.length).toBeGreaterThan(5);
    expect(blocks.filter((block) => !/^\/\/ [^\n]+\n(?:export [^\n]+\n?)+$/.test(block))).toEqual([]);
  });
});

/** The declaration of a name without its body and its comments. */
function declarationOf(source: string, name: string): string {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/ .*$/gm, "");
  const start = code.search(new RegExp(`^export (?:async )?(?:function\\*?|interface|type|const|class) ${name}\\b`, "m"));
  if (start < 0) return "";
  const rest = code.slice(start);
  const end = /^export (?:interface|class)/.test(rest) ? /^\}/m : rest.startsWith("export type") ? /;$/m : rest.startsWith("export const") ? / =/ : / \{$/m;
  return rest.slice(0, rest.search(end));
}
