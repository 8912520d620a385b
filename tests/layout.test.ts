import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const src = join(root, "src");

interface Source {
  /** Path below src, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => {
    const text = readFileSync(join(src, file), "utf8");
    const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
    const found = code.matchAll(/(?:^|\s)(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)/g);
    return { path: file.split(sep).join("/"), text, imports: [...found].map((match) => match[1] ?? match[2] ?? "") };
  });

/** The folder that a rule speaks of: `core`, `streams`, `adapters/files`, or the file itself at the top. */
const placeOf = (path: string): string => {
  const [first = "", second = ""] = path.split("/");
  return first === "adapters" ? `${first}/${second}` : first;
};

const own = (source: Source): string[] =>
  source.imports
    .filter((name) => name.startsWith("."))
    .map((name) => relative(src, join(src, dirname(source.path), name)).split(sep).join("/"));
const foreign = (source: Source): string[] => source.imports.filter((name) => !name.startsWith("."));

/** Who may import whom: arrows point one way. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  core: ["core"],
  streams: ["core", "streams"],
  wire: ["core", "wire"],
  kinds: ["core", "streams", "kinds"],
  resilience: ["core", "streams", "kinds", "resilience"],
  delivery: ["core", "streams", "kinds", "delivery"],
  tools: ["core", "streams", "kinds", "resilience", "wire", "tools"],
  testing: ["core", "streams", "kinds", "resilience", "wire", "testing"],
  "index.ts": ["core", "streams", "kinds", "resilience", "delivery", "tools"],
  "kit.ts": ["core", "streams", "kinds", "wire"],
};

describe("imports point one way", () => {
  test("every source has a rule", () => {
    const places = new Set(sources.map((source) => placeOf(source.path)));
    expect([...places].filter((place) => !(place in allowed) && !place.startsWith("adapters/"))).toEqual([]);
  });

  for (const source of sources) {
    const place = placeOf(source.path);
    const may = place.startsWith("adapters/") ? ["core", "streams", "kinds", "wire", place] : (allowed[place] ?? []);
    test(source.path, () => {
      expect(own(source).filter((target) => !may.includes(placeOf(target)))).toEqual([]);
    });
  }
});

describe("what a source may contain", () => {
  test("core, streams and kinds import no package and no module of a runtime", () => {
    const found = sources.filter((source) => /^(core|streams|kinds)\//.test(source.path)).flatMap((source) => foreign(source).map((name) => `${source.path}: ${name}`));
    expect(found).toEqual([]);
  });

  test("packages are imported by adapters and what they share on the wire, as types or at first use", () => {
    const found = sources
      .filter((source) => !/^(adapters|wire)\//.test(source.path))
      .flatMap((source) => foreign(source).filter((name) => !name.startsWith("node:")).map((name) => `${source.path}: ${name}`));
    expect(found).toEqual(["resilience/bulkhead.ts: p-limit"]); // the one dependency
    const eager = sources.flatMap((source) =>
      [...source.text.matchAll(/^import (?!type\b)[^;]*?from "(?!\.|node:)([^"]+)"/gm)].map((match) => `${source.path}: ${match[1]}`),
    );
    expect(eager).toEqual(["resilience/bulkhead.ts: p-limit"]);
  });

  const forbidden: Readonly<Record<string, RegExp>> = {
    "any as a type": /[:<|(,]\s*any\b(?!\w)|\bas any\b/,
    "a default export": /^export default/m,
    "an unfinished place": /\b(TODO|FIXME|XXX)\b/,
    "a silenced check": /@ts-(ignore|nocheck|expect-error)|oxlint-disable|eslint-disable/,
    "using, which Node 22 cannot read": /^\s*(await )?using \w+ = /m,
    "an enum or a namespace": /^\s*(export )?(const )?enum |^\s*(export )?namespace /m,
  };
  for (const [what, pattern] of Object.entries(forbidden)) {
    test(`no ${what}`, () => {
      const code = sources.filter((source) => pattern.test(source.text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "")));
      const all = ["an unfinished place", "a silenced check"].includes(what) ? sources.filter((source) => pattern.test(source.text)) : code;
      expect(all.map((source) => source.path)).toEqual([]);
    });
  }

  test("no file that is called utils or helpers", () => {
    expect(sources.map((source) => source.path).filter((path) => /(^|\/)(utils?|helpers?|common|misc)\.ts$/.test(path))).toEqual([]);
  });

  test("every file says what it is for", () => {
    expect(sources.filter((source) => !/^\/\*\*[\s\S]*?@module\s*\n? \*\//.test(source.text)).map((source) => source.path)).toEqual([]);
  });

  test("an index re-exports only at the top and in testing; an adapter's index is the adapter", () => {
    const barrels = sources.filter((source) => {
      if (source.path === "index.ts" || source.path === "kit.ts" || source.path === "testing/index.ts") return false;
      const code = source.text.replace(/\/\*[\s\S]*?\*\//g, "").trim();
      return code !== "" && code.split(/;\s*\n/).every((statement) => /^\s*export\s[\s\S]*from\s"/.test(statement) || statement.trim() === "");
    });
    expect(barrels.map((source) => source.path)).toEqual([]);
  });
});
