/**
 * Readers that wait, in a process of their own: what else is in a process would be measured with them.
 *
 * @module
 */
import { idle } from "./idle.ts";
import { idleKinds } from "./idle-kinds.ts";

const [title, url = "", readers, idleMs] = process.argv.slice(2);
const kind = idleKinds.find((each) => each.title === title);
if (kind === undefined) throw new Error(`nobody waits as ${title}`);
await idle(() => kind.open(url, 1), 0); // what is loaded and kept once is no reader's
process.send?.(await idle(() => kind.open(url, Number(readers)), Number(idleMs)), () => process.disconnect());
