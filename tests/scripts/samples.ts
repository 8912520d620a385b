/**
 * Runs the numbered samples one after the other, each with what it says it is about.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./side-folder.ts";

for (const name of readdirSync(join(root, "samples")).filter((file) => /^\d\d-.*\.ts$/.test(file))) {
  const about = /^\/\/ (.*)$/m.exec(readFileSync(join(root, "samples", name), "utf8"))?.[1] ?? "";
  console.log(`\n${name}: ${about}`);
  const { status } = spawnSync(process.execPath, ["--conditions=millrace-source", join("samples", name)], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
