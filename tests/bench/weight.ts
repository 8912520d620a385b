/**
 * What the package weighs: bytes of the bundle, time of the import, work of the type checker.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..", "..");

/** What a program imports: the core, the core with every verb, all of it, or what the first sample needs. */
const imports: Readonly<Record<"core" | "verbs" | "everything" | "first", string>> = {
  core: `${publicNames("core")}; export { each, pipe } from "./src/index.ts";`,
  verbs: publicNames("core|streams"),
  everything: `export * from "./src/index.ts";`,
  first: `export { each, filter, from, pipe, run, tap, text, bytes, json, derive, isText, isMillraceError } from "./src/index.ts";`,
};

/** The public names that come from these folders. */
function publicNames(folders: string): string {
  const statements = readFileSync(join(root, "src", "index.ts"), "utf8").split(/;\n/);
  const wanted = new RegExp(`from "\\./(?:${folders})/`);
  return statements.filter((statement) => wanted.test(statement)).join(";\n").replaceAll('"./', '"./src/');
}

/** Bytes of a bundle, minified, and gzipped. */
export async function bundleBytes(what: keyof typeof imports): Promise<{ readonly minified: number; readonly gzipped: number }> {
  const stdin = { contents: imports[what], resolveDir: root, loader: "ts" as const };
  const result = await build({ stdin, bundle: true, minify: true, format: "esm", write: false, target: "es2024" });
  const code = result.outputFiles[0]?.contents ?? new Uint8Array();
  return { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length };
}

/** Milliseconds to import the built package, the least of nine processes; and of an empty program. */
export function importMs(): { readonly millrace: number; readonly nothing: number } {
  execFileSync(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", join(root, "tsconfig.build.json")]);
  const time = (script: string): number => {
    const code = `const start = performance.now(); ${script}; console.log(performance.now() - start)`;
    const runs = Array.from({ length: 9 }, () => Number(execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: root, encoding: "utf8" })));
    return Math.min(...runs);
  };
  return { millrace: time(`await import(${JSON.stringify(join(root, "dist", "index.js"))})`), nothing: time(`await import("data:text/javascript,")`) };
}

/** What the type checker does for a pipeline of ten stages, beyond an import alone. */
export function typeCheck(): { readonly instantiations: number; readonly seconds: number } {
  const folder = mkdtempSync(join(root, "tests", "bench", ".types-"));
  const check = (source: string): { readonly instantiations: number; readonly seconds: number } => {
    writeFileSync(join(folder, "a.ts"), source);
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: "../../../tsconfig.json", include: ["a.ts"], exclude: [] }));
    const out = execFileSync(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", folder, "--extendedDiagnostics"], { encoding: "utf8" });
    return { instantiations: Number(/Instantiations:\s+(\d+)/.exec(out)?.[1]), seconds: Number(/Check time:\s+([\d.]+)s/.exec(out)?.[1]) };
  };
  try {
    const head = `import { each, filter, isText, pipe, run } from "../../../src/index.ts";\n`;
    const stages = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? `each((part) => (isText(part) ? part.text : part))` : `filter(isText)`));
    const empty = check(`${head}export const used: readonly unknown[] = [each, filter, isText, pipe, run];\n`);
    const full = check(`${head}export const out: Promise<string> = run(pipe(${stages.join(", ")}), "a").text();\n`);
    return { instantiations: full.instantiations - empty.instantiations, seconds: full.seconds };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
