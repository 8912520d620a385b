/**
 * `npm run services -- install <names>`: fetches what the tests' servers need, without root and without touching the system.
 * `npm run services -- sweep`: ends servers that killed runs left behind.
 *
 * @module
 */
import { sweep } from "./host.ts";
import { installServices, serviceNames } from "./registry.ts";

const [command, ...names] = process.argv.slice(2);
if (command === "install") {
  const { lines, complete } = installServices(names.length > 0 ? names : serviceNames);
  for (const line of lines) console.log(line);
  process.exitCode = complete ? 0 : 1;
} else if (command === "sweep") {
  console.log(`ended ${sweep().length} servers`);
} else {
  console.log(`npm run services -- install [${serviceNames.join("] [")}]\nnpm run services -- sweep`);
  process.exitCode = 1;
}
