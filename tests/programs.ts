/**
 * Programs that documents hold: each is written into a folder inside the project, so that it imports the package by its name, and is
 * started as a user would start it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const root: string = join(import.meta.dirname, "..");

/** A new folder with these files; whoever makes it removes it. */
export function programFolder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(root, "samples", ".programs-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** How a program ended and all that it printed. */
export interface Ended {
  readonly status: number | null;
  readonly printed: string;
  readonly complaints: string;
}

/** Starts a program of a folder with this runtime, and waits for its end. */
export function ended(folder: string, file: string, input = ""): Promise<Ended> {
  return node(folder, ["--conditions=millrace-source", join(folder, file)], input);
}

/** Checks the types of all the programs of a folder at once, as strictly as the project's own. */
export function typesOf(folder: string): Promise<Ended> {
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: join(root, "tsconfig.json"), include: ["*.ts"], exclude: [] }));
  return node(folder, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", folder, "--pretty", "false"], "");
}

function node(cwd: string, args: readonly string[], input: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, timeout: 100_000, env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, NODE_OPTIONS: undefined } });
    let [printed, complaints] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (printed += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (complaints += chunk));
    child.on("error", reject).on("close", (status) => resolve({ status, printed, complaints }));
    child.stdin.on("error", () => {}).end(input); // most end without reading it
  });
}

/**
 * What a program says that it prints: the comment behind each `console.log`, in the order of the code. Two spaces may be a new line,
 * for a `console.log` in a loop; `…` is anything on its line; without a comment it may print anything.
 */
export function promised(code: string): RegExp {
  const said = [...code.matchAll(/console\.log\(.*$/gm)].map(([line]) => / \/\/ (.*)$/.exec(line)?.[1]);
  if (said.length === 0) return /^/; // it may still write by other means
  const patterns = said.map((comment) => {
    if (comment === undefined) return "(?:.*\n)*";
    return `${comment.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replaceAll("…", ".*").replace(/ {2,}/g, "(?: +|\n)")}\n`;
  });
  return new RegExp(`^${patterns.join("")}$`);
}
