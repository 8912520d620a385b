import { describe, expect, test } from "vitest";
import { buffer, each, type Observer, pipe, run, status, text } from "../../src/index.ts";

/** Writes down what it hears. */
function recorder(): { readonly observer: Observer; readonly heard: string[] } {
  const heard: string[] = [];
  const observer: Observer = {
    run: ({ correlationId }) => {
      heard.push(`run ${correlationId}`);
      return {
        stage: ({ name, index }) => ({
          part: (direction, part) => {
            heard.push(`${index} ${name} ${direction} ${part.kind === "text" ? part.text : part.kind}`);
          },
          end: (outcome) => {
            heard.push(`${index} ${name} ${outcome.kind}`);
          },
        }),
        end: (outcome) => {
          heard.push(`end ${outcome.kind}`);
        },
      };
    },
  };
  return { observer, heard };
}

const upper = each((part) => (part.kind === "text" ? part.text.toUpperCase() : part), { name: "upper" });
const twice = each((part) => [part, part], { name: "twice", concurrency: 2 });
async function* opaque(input: AsyncIterable<Parameters<typeof String>[0]>) {
  for await (const part of input) yield part;
}

describe("observers", () => {
  test("hear each part at each boundary, in the order of the pipeline", async () => {
    const { observer, heard } = recorder();
    await run(pipe(upper, opaque, upper), "a", { observe: observer, correlationId: "c" }).collect();
    expect(heard).toEqual([
      "run c",
      "0 upper in a",
      "1 opaque in A",
      "1 opaque out A",
      "2 upper in A",
      "0 upper complete",
      "1 opaque complete",
      "2 upper complete",
      "end complete",
    ]);
  });

  test("hear every kind of stage: concurrent ones and those that pull for themselves", async () => {
    const { observer, heard } = recorder();
    await run(pipe(twice, buffer(2), upper), "a", { observe: observer }).collect();
    expect(heard.filter((line) => line.includes("twice out")).length).toBe(2);
    expect(heard.filter((line) => line.includes("buffer out")).length).toBe(2);
    expect(heard.filter((line) => line.includes("upper in")).length).toBe(2);
  });

  test("do not hear reserved parts as parts of a later stage", async () => {
    const { observer, heard } = recorder();
    await run(pipe(each(() => [status("s"), text("x")], { name: "both" }), upper), "a", { observe: observer }).collect();
    expect(heard.some((line) => line.includes(" s"))).toBe(false);
  });

  test("hear how a run ended: failed with the error, left", async () => {
    const failed = recorder();
    const broken = each(() => {
      throw new Error("no");
    });
    await expect(run(broken, "a", { observe: failed.observer }).collect()).rejects.toThrow("no");
    expect(failed.heard.at(-1)).toBe("end failed");
    const leaving = recorder();
    for await (const _ of run(upper, ["a", "b"], { observe: leaving.observer })) break;
    expect(leaving.heard.at(-1)).toBe("end left");
  });

  test("a listener that throws breaks nothing", async () => {
    const observer: Observer = {
      run: () => ({
        stage: () => ({
          part: () => {
            throw new Error("listener");
          },
        }),
        end: () => {
          throw new Error("listener");
        },
      }),
    };
    expect(await run(upper, "a", { observe: observer }).text()).toBe("A");
  });

  test("an async listener that rejects is no unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const hear = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", hear);
    const rejecting = (): Promise<never> => Promise.reject(new Error("listener"));
    expect(await run(upper, "a", { observe: { run: () => ({ stage: () => ({ part: rejecting, end: rejecting }), end: rejecting }) } }).text()).toBe("A");
    await new Promise((resolve) => setTimeout(resolve, 0));
    process.off("unhandledRejection", hear);
    expect(unhandled).toEqual([]);
  });

  test("run each call inside of enter", async () => {
    let depth = 0;
    const depths: number[] = [];
    const observer: Observer = {
      run: () => ({
        stage: () => ({
          enter: (call) => {
            depth += 1;
            try {
              return call();
            } finally {
              depth -= 1;
            }
          },
        }),
      }),
    };
    const note = each((part) => {
      depths.push(depth);
      return part;
    });
    for await (const _ of run(pipe(note, note), ["a", "b"], { observe: observer })) depths.push(depth);
    expect(depths).toEqual([1, 1, 0, 1, 1, 0]);
  });
});
