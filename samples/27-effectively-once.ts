// What "once" means. A worker dies after its outputs are written and before its message is acknowledged, so the message comes again, and the
// model answers otherwise. Every message is worked on at least once, by every way; what differs is what is in the store afterwards.
//
// prints: a plain sink: Pay it. / Wait. / Pay half of it. (asked 2 times)
// prints: keys alone: Pay it. / Pay half of it. (asked 2 times)
// prints: keys and a journal: Pay it. (asked 1 time)
// prints: sqlSink: Pay it. (asked 1 time)
// prints: sqlSink, died before that: Wait. / Pay half of it. (asked 2 times)
import { PGlite } from "@electric-sql/pglite";
import { consume, type ConsumeOptions, each, isText, journal, type Part, pipe, type Queue, run, type SinkContext, type SinkLike, sqlSink, text } from "millrace";
import { memoryKeyValue, memoryQueue } from "millrace/adapters/memory";
import { postgres } from "millrace/adapters/postgres";
import { mockModel } from "millrace/testing";

/** What a process does that is no more. */
const never = (): Promise<never> => new Promise(() => {});

/** Has one message worked on by a worker that dies, and then by another. Gives how often the model was asked. */
async function twice(sink: SinkLike, options: ConsumeOptions = {}, dies: "before the ack" | "before the sink" = "before the ack"): Promise<number> {
  const claims = memoryQueue({ name: "claims" });
  await claims.send([text("Claim 7: the kettle leaks.")]);
  const model = mockModel(["Pay it.", "Wait. Pay half of it."]);
  const judge = each(async (claim, { signal }) => (await run(model, claim, { signal }).text()).split(/(?<=\.) /).map((sentence) => text(sentence)));

  const death = new AbortController();
  const die = (): Promise<never> => {
    death.abort(new Error("died"));
    return never();
  };
  const unacknowledged: Queue = {
    ...claims,
    async *open(opening) {
      for await (const delivery of claims.open(opening)) yield { ...delivery, ack: die };
    },
  };
  const [queue, pipeline] = dies === "before the ack" ? [unacknowledged, judge] : [claims, pipe(judge, each(die))];
  await consume(queue, pipeline, sink, { ...options, signal: death.signal }).finished.catch(() => {});
  const next = consume(claims, judge, sink, { ...options, onEvent: ({ kind }) => void (kind === "acked" && next.stop()) });
  await next.finished;
  return model.calls.length;
}

function tell(way: string, stored: Iterable<string>, asked: number): void {
  console.log(`${way}: ${[...stored].join(" / ")} (asked ${asked} time${asked === 1 ? "" : "s"})`);
}

const wordsOf = (part: Part): string => (isText(part) ? part.text : "");

// It is confirmed, and so nothing is lost. What was written is written again.
const plain: string[] = [];
tell("a plain sink", plain, await twice(async (part) => void plain.push(wordsOf(part))));

// The trap. `key` is "claims/1:0", "claims/1:1" …, the same at every try, and what there is under a key is left alone. That is once for an
// output that is a function of the message. A model is none: what is stored is an answer that nobody gave.
const keyed = new Map<string, string>();
const keep = (store: Map<string, string>) => async (part: Part, { key }: SinkContext) => void (store.has(key) || store.set(key, wordsOf(part)));
tell("keys alone", keyed.values(), await twice(keep(keyed)));

// The first complete answer is recorded before any of it is written, and every try writes that. In earnest `postgresJournal({ … })`.
const recorded = new Map<string, string>();
tell("keys and a journal", recorded.values(), await twice(keep(recorded), { journal: journal(memoryKeyValue()) }));

// All that is written for a message is written in one transaction, with the message's id: the next try finds the id, and asks nobody.
const client = await PGlite.create();
const sql = postgres({ client });
await sql.execute({ text: "create table verdicts (place integer generated always as identity, words text not null)" });
const inSql = sqlSink(sql, {
  inbox: "verdicts_inbox",
  write: (session, part) => session.execute({ text: "insert into verdicts (words) values ($1)", values: [wordsOf(part)] }),
});
await inSql.setup();
/** What was stored; it is taken away, and the inbox emptied, as the next way begins anew. */
async function verdicts(): Promise<string[]> {
  const { rows } = await sql.execute({
    text: "with taken as (delete from verdicts returning *), emptied as (delete from verdicts_inbox) select words from taken order by place",
  });
  return rows.map(({ words }) => String(words));
}
const once = await twice(inSql);
tell("sqlSink", await verdicts(), once);

// Never once, by no way: the call of the model, billed per try; mail; a POST without a key; what was streamed to somebody. Of the first
// answer here nothing is left but the bill.
const again = await twice(inSql, {}, "before the sink");
tell("sqlSink, died before that", await verdicts(), again);
await client.close();
