/**
 * Imported before a program: sends it a SIGTERM when it prints its first line, and lets whoever has printed that wait until it has come.
 *
 * @module
 */
import { once } from "node:events";

const { log } = console;
const first = async (...words: readonly unknown[]): Promise<void> => {
  console.log = log;
  log(...words);
  const come = once(process, "SIGTERM");
  process.kill(process.pid, "SIGTERM");
  await come;
};
console.log = first;
