// ETL: reviews in one Postgres become moods in another, with a model in between. Where the last run stopped is read from the target
// itself, and rows are stored by upsert: a run that broke is started again, and what had been stored is not asked for again.
//
// prints: unavailable: the model is down
// prints: stored by then: 1 glad, 2 cross
// prints: the rest: 3 more
// prints: nothing new: 0 more
// prints: a review changed: 1 more
// prints: stored: 1 cross, 2 cross, 3 glad, 4 glad, 5 cross
import { PGlite } from "@electric-sql/pglite";
import { each, insert, isJson, isMillraceError, json, MillraceError, type Part, pipe, rows, run, structured } from "millrace";
import { postgres } from "millrace/adapters/postgres";
import { mockModel } from "millrace/testing";
import { z } from "zod";

const Mood = z.object({ mood: z.enum(["glad", "cross"]) });
type Mood = z.infer<typeof Mood>;

// Two databases in this process. Of real ones: `postgres({ connectionString: "postgres://…" })`.
const [source, target] = [await PGlite.create(), await PGlite.create()];
const [from, to] = [postgres({ client: source }), postgres({ client: target })];
await from.execute({ text: "create table reviews (id integer primary key, words text not null, changed timestamptz not null default clock_timestamp())" });
await to.execute({ text: "create table moods (id integer primary key, mood text not null, changed timestamptz not null)" });
for (const words of ["Lovely!", "Broken again.", "Lovely, thanks.", "A lovely tea pot.", "Never again."]) {
  await from.execute({ text: "insert into reviews (id, words) select count(*) + 1, $1 from reviews", values: [words] });
}

// In place of `openai({ model: "gpt-5-mini" })`, within `retry` and `rateLimit`; it is down when it gets to the fourth review.
let isDown = true;
const model = mockModel(({ text }) => {
  if (isDown && text.includes("tea pot")) return [{ error: new MillraceError("unavailable", "the model is down") }];
  return JSON.stringify({ mood: /lovely/i.test(text) ? "glad" : "cross" });
});

const transform = each(
  async (part, { signal }) => {
    if (!isJson(part)) return part;
    const { id, words, changed } = part.value as { readonly id: number; readonly words: string; readonly changed: string };
    const { mood } = await run(structured(model, Mood), words, { signal }).json<Mood>();
    return json({ id, changed, mood });
  },
  { concurrency: 2 }, // calls at once; rows keep their order, so that what is stored is all there is up to some row
);

const field = (name: string) => (part: Part) => (isJson(part) ? (part.value as Readonly<Record<string, string>>)[name] : null);
// Stored by two, to show a run that stops half way; without `batch` it is by a thousand.
const load = insert(to, {
  table: "moods",
  columns: {
    id: { type: "integer", value: field("id") },
    mood: { type: "text", value: field("mood") },
    changed: { type: "timestamptz", value: field("changed") },
  },
  conflict: { columns: ["id"], update: "all" },
  batch: 2,
});

/** Takes over what is new since the last row that was stored; gives how many rows that were. */
async function transfer(): Promise<number> {
  const { rows: [last] } = await to.execute({ text: "select changed, id from moods order by changed desc, id desc limit 1" });
  // A row may become visible with a time that is past already. Where many write at once, begin some minutes before the mark:
  // what is stored twice is there once.
  const extract = rows(from, {
    text: "select id, words, changed from reviews where (changed, id) > ($1, $2) order by changed, id",
    values: [last?.changed ?? "-infinity", last?.id ?? 0],
  });
  let count = 0;
  await run(pipe(extract, transform, load), "go").forEach(() => void (count += 1));
  return count;
}

async function stored(): Promise<string> {
  const { rows: all } = await to.execute({ text: "select id, mood from moods order by id" });
  return all.map(({ id, mood }) => `${id} ${mood}`).join(", ");
}

await transfer().catch((error: unknown) => console.log(isMillraceError(error) ? `${error.code}: ${error.message}` : error));
console.log("stored by then:", await stored());
isDown = false;
console.log("the rest:", await transfer(), "more");
console.log("nothing new:", await transfer(), "more");
await from.execute({ text: "update reviews set words = 'Broken by now.', changed = clock_timestamp() where id = 1" });
console.log("a review changed:", await transfer(), "more");
console.log("stored:", await stored());
await Promise.all([source.close(), target.close()]);
