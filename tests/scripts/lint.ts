/**
 * Lints the sources with type information. The linter is installed beside the project at first use.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { installed, root } from "./side-folder.ts";

const bin = join(installed("tests/scripts"), ".bin");
const { status } = spawnSync(join(bin, "oxlint"), ["--type-aware", "src", "tests", "samples"], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` }, // it looks for its type checker there
});
process.exitCode = status ?? 1;
