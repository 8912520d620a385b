/**
 * The examples in the comments of the sources, each made into a program.
 *
 * An example is a module in which every name that the package exports is in scope: its own entry's first, then those of `millrace`,
 * of the other entries, of the kit. All else it imports or declares.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { root } from "./programs.ts";

const src = join(root, "src");
const read = (path: string): string => readFileSync(join(src, path), "utf8");
const paths: readonly string[] = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((path) => path.split(sep).join("/"))
  .filter((path) => path.endsWith(".ts"))
  .toSorted();

/** One example as it stands in a source. */
export interface Example {
  /** Source and line of its first line: `src/streams/take.ts:9`. */
  readonly place: string;
  /** What a user imports to have what it is about. */
  readonly entry: string;
  readonly code: string;
}

/** Every example below src. */
export function examples(): Example[] {
  return paths.flatMap((path) => examplesIn(read(path)).map(({ line, code }) => ({ place: `src/${path}:${line}`, entry: entryOf(path), code })));
}

/** The examples of one source: what stands between `@example` and the next tag or the end of the comment. */
export function examplesIn(source: string): { readonly line: number; readonly code: string }[] {
  return [...source.matchAll(/^( *) \* @example\n((?:\1 \*(?:| (?!@).*)\n)+)/gm)].map((match) => {
    const code = (match[2] ?? "").replace(/^ *\* ?/gm, "").replaceAll("*\\/", "*/").trimEnd();
    return { line: source.slice(0, match.index).split("\n").length + 1, code };
  });
}

function entryOf(path: string): string {
  const [folder, service] = path.split("/");
  if (folder === "adapters") return `millrace/adapters/${service}`;
  return folder === "testing" ? "millrace/testing" : "millrace";
}

const adapters = readdirSync(join(src, "adapters")).filter((name) => existsSync(join(src, "adapters", name, "index.ts")));
const entries: Readonly<Record<string, string>> = {
  millrace: "index.ts",
  ...Object.fromEntries(adapters.map((name) => [`millrace/adapters/${name}`, `adapters/${name}/index.ts`])),
  "millrace/testing": "testing/index.ts",
  "millrace/kit": "kit.ts",
};

/** A name that an entry exports, and whether it is a type alone. */
interface Exported {
  readonly name: string;
  readonly isType: boolean;
}

function exportsOf(path: string): Exported[] {
  const code = read(path).replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const declared = [...code.matchAll(/^export (?:declare )?(?:async )?(interface|type|const|class|function\*?) (\w+)/gm)].map(([, what = "", name = ""]) => ({ name, isType: what === "interface" || what === "type" }));
  const passedOn = [...code.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, type, list = ""]) =>
    list.split(",").map((each) => each.trim()).filter((each) => each !== "").map((each) => ({ name: each.replace(/^type |^.* as /g, ""), isType: type !== undefined || each.startsWith("type ") })),
  );
  return [...declared, ...passedOn];
}

const exported: ReadonlyMap<string, readonly Exported[]> = new Map(Object.entries(entries).map(([entry, path]) => [entry, exportsOf(path)]));

/** The imports that an example leaves out, by entry. */
export function importsOf({ entry, code }: Pick<Example, "entry" | "code">): Map<string, Exported[]> {
  const own = new Set([...code.matchAll(/^import (?:type )?\{([^}]*)\}/gm)].flatMap(([, list = ""]) => list.split(",").map((each) => each.trim().replace(/^.* as |^type /g, ""))));
  const used = namesUsedIn(code);
  const imports = new Map<string, Exported[]>();
  for (const from of new Set([entry, ...exported.keys()])) {
    const found = (exported.get(from) ?? []).filter(({ name }) => used.has(name) && !own.has(name));
    for (const { name } of found) own.add(name);
    if (found.length > 0) imports.set(from, found);
  }
  return imports;
}

/** The words of a program that may be names of others: not in texts and comments, no fields. */
function namesUsedIn(code: string): ReadonlySet<string> {
  const bare = code
    .replace(/^import .*$/gm, "")
    .replace(/\/\/ .*$/gm, "")
    .replace(/"(?:\\.|[^"\\])*"/g, '""')
    .replace(/`(?:\\.|[^`\\])*`/g, (template) => ["``", ...[...template.matchAll(/\$\{([^}]*)\}/g)].map((match) => match[1])].join(" "));
  return new Set([...bare.matchAll(/(?<![\w$]|(?<!\.\.)\.)[A-Za-z_$][\w$]*(?!\w|: )/g)].map(([name]) => name));
}

/** The example as a program: all that it left out in the first line, so that line 2 is its own first. */
export function programOf(example: Example): string {
  const imports = [...importsOf(example)].map(([from, names]) => `import { ${names.map(({ name, isType }) => `${isType ? "type " : ""}${name}`).join(", ")} } from "${from}";`);
  return `${[...imports, "export {};"].join(" ")}\n${example.code}\n`;
}

/** What the sources of an adapter use that asks for keys, or that connects to a service. */
const asking = /\b(?:keySource|openExchange|guardedGet|lazyClient)(?:<\w+>)?\(/;
const serviceEntries: ReadonlySet<string> = new Set(
  adapters.filter((name) => paths.some((path) => path.startsWith(`adapters/${name}/`) && asking.test(read(path)))).map((name) => `millrace/adapters/${name}`),
);

/** Would it ask a service? It uses an adapter that does, and brings no client, no `fetch` and no server of its own. */
export function asksService(example: Example): boolean {
  const imports = importsOf(example);
  const uses = [...serviceEntries].some((entry) => (imports.get(entry) ?? []).some(({ isType }) => !isType));
  return uses && !/[{,] (?:client|fetch|baseUrl)(?:,| \}|: (?!"))/.test(example.code);
}
