/**
 * The pipeline of this sample. It is the same in every process: in one alone, in those that work, in the one that reads.
 *
 * @module
 */
import { derive, each, isText, json, type Part } from "millrace";
import { type Durable, durableBatch, keyed, restate } from "millrace/adapters/restate";

/** Orders as text: `ada:12.50`. The customer is the key: what is one's own stays in order. */
const customerOf = (part: Part): string => (isText(part) ? (part.text.split(":")[0] ?? "") : "");

/** A part function maps as it is. The wait stands for work that is worth sending elsewhere. */
const priced = each(async (part) => {
  await new Promise((resolve) => setTimeout(resolve, 5));
  return isText(part) ? derive(part, { metadata: { cents: Math.round(Number(part.text.split(":")[1]) * 100) } }) : part;
}, { name: "priced" });

/** What adds up over the stream keeps its sum with the engine, not in a variable: the next batch may be elsewhere. */
const summed = keyed(async function* summed(input, context) {
  const batch = context === undefined ? undefined : durableBatch(context);
  let cents = Number(batch?.get() ?? 0);
  for await (const part of input) {
    cents += Number(part.metadata["cents"]);
    yield json({ customer: customerOf(part), cents });
  }
  batch?.set(cents);
});

/** What differs from place to place. */
export interface Place {
  readonly baseUrl?: string;
  readonly adminUrl?: string;
  readonly allowHttp?: boolean;
}

export function orders(place: Place = {}): Durable {
  return restate({ name: "orders", batch: 8, ahead: 8, key: customerOf, stages: [priced, summed], ...place });
}

/** 240 orders of four customers. */
export const input: readonly string[] = Array.from({ length: 240 }, (_, index) => `${["ada", "bob", "cyd", "dot"][index % 4]}:${(index % 7) + 0.5}`);
