/** The server as a program. `--stubborn`: it does not end by itself. `--crash`: it complains and ends at once. */
import { appendFileSync } from "node:fs";
import { StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { toolServer } from "./tools.ts";

const [mode] = process.argv.slice(2);
const log = process.env.MCP_TEST_LOG;
const seen = (event: string): void => {
  if (log !== undefined) appendFileSync(log, `${event}\n`);
};
if (mode === "--crash") {
  console.error(`no licence for ${process.env.MCP_TEST_KEY}`);
  process.exit(2);
}
if (mode === "--stubborn") {
  setInterval(() => {}, 60_000);
  process.on("SIGTERM", () => seen("asked to end"));
}
console.error("a word on the error output");
if (mode !== "--mute") await toolServer(seen).connect(new StdioServerTransport());
else {
  seen(String(process.pid));
  process.stdin.resume();
}
