/**
 * W13: messages of brokers received and sent, against what one would write by hand on the client, with the same guarantees.
 *
 * @module
 */
import { openHost } from "../services/host.ts";
import { openServices } from "../services/registry.ts";
import type { Variant } from "./measure.ts";
import { kafkaBench } from "./queues/kafka.ts";
import { natsBench } from "./queues/nats.ts";
import { postgresBench } from "./queues/postgres.ts";
import type { QueueBench, QueueBenchOf } from "./queues/queue-bench.ts";
import { rabbitmqBench } from "./queues/rabbitmq.ts";
import { redisBench } from "./queues/redis.ts";

const messages = 20_000;
/** Who is compared with. */
export const byHand = "a loop on the client";
/** Each sample takes a second or so, on two processes. */
export const mostRounds = 7;

const all: readonly QueueBenchOf[] = [redisBench, rabbitmqBench, kafkaBench, natsBench, postgresBench];

/** One broker: what is measured, or why nothing is. */
export interface Throughput {
  readonly name: string;
  readonly skip?: string;
  readonly workloads: readonly { readonly title: string; readonly gate: string; readonly variants: readonly Variant[] }[];
}

/** One broker after the other, each there for as long as it is looked at. */
export async function* throughputs(): AsyncGenerator<Throughput> {
  const services = openServices(openHost);
  try {
    for (const { name, service, open } of all) {
      const server = await services.service(service);
      if (server.skip !== undefined) {
        yield { name, skip: server.skip, workloads: [] };
        continue;
      }
      await using bench = await open(server.url);
      yield { name, workloads: workloadsOf(name, bench) };
    }
  } finally {
    await services.close();
  }
}

function workloadsOf(name: string, bench: QueueBench): Throughput["workloads"] {
  const variant = (who: string, before: number, work: (count: number) => Promise<number>): Variant => ({
    name: who,
    group: "for await",
    parts: messages,
    before: () => bench.fill(before),
    run: async () => `${await work(messages)} messages`,
  });
  const title = (what: string): string => `W13: ${messages.toLocaleString("en")} messages of ${name} ${what}, wall time`;
  return [
    {
      title: title("received"),
      gate: `W13 ${name}, received`,
      variants: [
        variant(byHand, messages, (count) => bench.receiveByHand(count)),
        ...(bench.receiveInBatches === undefined ? [] : [variant("a loop that settles a batch with its last message", messages, (count: number) => bench.receiveInBatches?.(count) ?? Promise.resolve(0))]),
        variant("millrace", messages, (count) => bench.receive(count)),
      ],
    },
    {
      title: title("sent"),
      gate: `W13 ${name}, sent`,
      variants: [variant(byHand, 0, (count) => bench.sendByHand(count)), variant("millrace", 0, (count) => bench.send(count))],
    },
  ];
}
