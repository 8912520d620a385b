/**
 * After each test file: no socket, server, child process, timer or open file may be left.
 *
 * Only Node tells what is open, and only Linux which files; elsewhere the suites watch their own sources and sockets.
 *
 * @module
 */
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll } from "vitest";

const watched = new Set(["TCPSocketWrap", "TCPServerWrap", "TLSWrap", "UDPWrap", "ProcessWrap", "FSEventWrap", "StatWatcher", "Timeout", "Immediate"]);
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);
const descriptors = "/proc/self/fd";
const hasDescriptors = isNode && existsSync(descriptors);

function open(): string[] {
  return isNode ? [...process.getActiveResourcesInfo().filter((name) => watched.has(name)), ...openFiles()] : [];
}

/** Files of the disk that this process holds; pipes, sockets and devices are the runtime's own. */
function openFiles(): string[] {
  if (!hasDescriptors) return [];
  return readdirSync(descriptors).flatMap((name) => {
    try {
      const path = readlinkSync(`${descriptors}/${name}`);
      return path.startsWith("/") && !/^\/(dev|proc|sys)\/|\/node_modules\//.test(path) ? [path] : [];
    } catch {
      return []; // the descriptor of this very listing
    }
  });
}

let before: readonly string[] = [];

/** What is open now and was not before this file, each as often as it is open too many times. */
function left(): string[] {
  const known = [...before];
  return open().filter((name) => {
    const index = known.indexOf(name);
    if (index !== -1) known.splice(index, 1);
    return index === -1;
  });
}

beforeAll(() => {
  before = open().filter((name) => name !== "Timeout"); // the runner's own, which is gone soon
});

afterAll(async () => {
  // What was closed at the very end of a test needs some turns of the loop to go.
  for (let turn = 0; turn < 40 && left().length > 0; turn += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  const names = left();
  if (names.length > 0) throw new Error(`left open after this file: ${names.join(", ")}`);
});
