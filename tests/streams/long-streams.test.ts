import { describe, expect, test } from "vitest";
import { each, isText, type Part, pipe, type Processor, run, text } from "../../src/index.ts";
import { watchedSource } from "../../src/testing/watched-source.ts";
import { numbers, opaque } from "./support.ts";

const tenStages = (): Processor => pipe(...Array.from({ length: 10 }, () => each((part) => (isText(part) ? text(part.text) : part))));

describe("S18: streams of any length", () => {
  const collect = (globalThis as { gc?: () => void }).gc;

  test.skipIf(collect === undefined)("a million parts and a slow consumer: memory stays flat, and nothing is read ahead", async () => {
    const total = 1_000_000;
    let made = 0;
    const source = async function* (): AsyncGenerator<Part> {
      for (; made < total; ) {
        made += 1;
        yield text("a part of the stream");
      }
    };
    const megabytes = (): number => {
      collect?.();
      return process.memoryUsage().heapUsed / 2 ** 20;
    };
    const before = megabytes();
    let highest = 0;
    let lead = 0;
    let taken = 0;
    for await (const _ of run(tenStages(), source())) {
      taken += 1;
      lead = Math.max(lead, made - taken);
      if (taken % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (taken % 100_000 === 0) highest = Math.max(highest, megabytes());
    }
    expect(taken).toBe(total);
    expect(lead).toBeLessThanOrEqual(1);
    expect(highest - before).toBeLessThan(6);
  });

  const pipelines: Readonly<Record<string, () => Processor>> = {
    "ten part functions": tenStages,
    "stages that cannot be seen into": () => pipe(opaque, opaque, opaque),
    "eight calls at once": () => pipe(each(async (part) => part, { concurrency: 8 }), opaque),
  };
  for (const [name, make] of Object.entries(pipelines)) {
    test(`the first part through ${name} takes as many pulls of twenty parts as of a million`, async () => {
      const pulls = async (length: number): Promise<number> => {
        const source = watchedSource(length === Infinity ? Infinity : numbers(length));
        for await (const _ of run(make(), source)) break;
        return source.pulls;
      };
      const [short, long] = [await pulls(20), await pulls(1_000_000)];
      expect(long).toBe(short);
      expect(long).toBeLessThanOrEqual(10);
    });
  }
});
