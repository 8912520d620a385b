/**
 * Stores version after version of five sources until it is killed; says each write before it begins.
 *
 * node writer.ts <pgvector or chroma> <url> <table or collection> <first version> <versions>
 */
import { writeSync } from "node:fs";
import { run } from "../../../src/index.ts";
import { remember } from "../../../src/kinds/remember.ts";
import type { VectorStore } from "../../../src/kinds/vector-store.ts";
import { letters } from "../../kinds/letters.ts";
import { contentsOf, openStore } from "./stores.ts";

const [kind = "", url = "", name = "", first = "1", versions = "1"] = process.argv.slice(2);
const store = openStore(kind, url, name);

// at once, so that who listens can kill this process within the write
const say = (what: string): void => void writeSync(1, `${what}\n`);
const { replace } = store;
const telling: VectorStore = {
  ...store,
  upsert: (records, context) => (say("upsert"), store.upsert(records, context)),
  delete: (selection, context) => (say("delete"), store.delete(selection, context)),
  ...(replace === undefined ? {} : { replace: (filter, records, context) => (say("replace"), replace(filter, records, context)) }),
};
for (let version = Number(first); version < Number(first) + Number(versions); version += 1) {
  await run(remember(telling, letters(), { removeMissing: true }), contentsOf(version)).collect();
  say(`stored ${version}`);
}
await store.close();
