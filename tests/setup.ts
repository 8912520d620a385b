/**
 * After each test file: no socket, server or child process may be left open.
 *
 * Only Node tells what is open; on the other runtimes the suites watch their own sources and sockets.
 *
 * @module
 */
import { afterAll, beforeAll } from "vitest";

const watched = new Set(["TCPSocketWrap", "TCPServerWrap", "TLSWrap", "UDPWrap", "ProcessWrap", "FSEventWrap"]);
const isNode = !("Bun" in globalThis) && !("Deno" in globalThis);

function open(): string[] {
  return isNode ? process.getActiveResourcesInfo().filter((name) => watched.has(name)) : [];
}

let before = 0;
beforeAll(() => {
  before = open().length;
});

afterAll(async () => {
  // What was closed at the very end of a test needs some turns of the loop to go.
  for (let turn = 0; turn < 40 && open().length > before; turn += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  const left = open();
  if (left.length > before) throw new Error(`left open after this file: ${left.join(", ")}`);
});
