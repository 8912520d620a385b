/**
 * Folders with packages of their own, which a plain install of the project does not bring.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** The top of the project. */
export const root: string = join(import.meta.dirname, "..", "..");

/** Installs a folder's packages if they are missing, without a lock: not every platform package is served everywhere. */
export function installed(folder: string): string {
  const modules = join(root, folder, "node_modules");
  if (!existsSync(modules)) {
    console.log(`installing ${folder} (once)`);
    const args = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
    const { status } = spawnSync("npm", args, { cwd: join(root, folder), stdio: "inherit" });
    if (status !== 0) throw new Error(`npm install failed in ${folder}`);
  }
  return modules;
}
