import { describe, expect, test } from "vitest";
import { each, finish, isMillraceError, MillraceError, type Part, pipe, type Processor, retry, run, text } from "../../src/index.ts";
import { DONE, type Flow } from "../../src/core/flow.ts";
import { processorOf } from "../../src/core/pipeline.ts";
import { Scope } from "../../src/core/scope.ts";
import { Admitted, type Door, type Ending, type Permit } from "../../src/resilience/admission/door.ts";
import { watchedSource } from "../../src/testing/watched-source.ts";
import { gate, opaque, soon, turns } from "../streams/support.ts";

/** A door that lets everyone in, at once or later, and writes down what came out, how calls ended, and who left the queue. */
function openDoor(later = false): { readonly door: Door; readonly outcomes: Ending[]; readonly seen: Part[]; readonly leaves: () => number } {
  const outcomes: Ending[] = [];
  const seen: Part[] = [];
  let leaves = 0;
  const permit: Permit = { see: (part) => seen.push(part), release: (outcome) => outcomes.push(outcome) };
  const leave = (): void => { leaves += 1; };
  return { outcomes, seen, leaves: () => leaves, door: { enter: () => (later ? { permit: Promise.resolve(permit), leave } : permit) } };
}

/** An input as a flow that gives these parts, and what was done to it; it has closed when the promise of closing has settled. */
function input(parts: readonly Part[] = [], closing?: Promise<unknown>): Flow & { readonly done: string[] } {
  const done: string[] = [];
  const rest = [...parts];
  return {
    done,
    pull: () => { done.push("pull"); return rest.shift() ?? DONE; },
    close: () => { done.push("close"); return closing?.then(() => {}); },
  };
}
const scope = (): Scope => new Scope({}, { emit: () => {} });
const isSettled = async (promise: Promise<unknown> | undefined): Promise<boolean> => {
  let settled = promise === undefined;
  void promise?.then(() => { settled = true; }, () => { settled = true; });
  await turns(1);
  return settled;
};

const behind = (door: Door, processor: Processor): Processor =>
  processorOf([{ kind: "flow", name: "door", open: (upstream, scope) => new Admitted(door, processor, upstream, scope) }]);
const kinds = (outcomes: readonly Ending[]): string[] => outcomes.map(({ kind }) => kind);

for (const later of [false, true]) {
  describe(`P0: a call that is let in ${later ? "later" : "at once"} says once how it ended`, () => {
    test("complete at the end, and when the consumer leaves after the finish part", async () => {
      const { door, outcomes } = openDoor(later);
      await run(behind(door, opaque), ["a", "b"]).collect();
      expect(kinds(outcomes)).toEqual(["complete"]);
      const model = each((part) => [part, finish({ reason: "stop" })]);
      for await (const part of run(behind(door, model), "a")) if (part.kind === "finish") break;
      expect(kinds(outcomes)).toEqual(["complete", "complete"]);
    });

    test("sees each part that the call gives, and leaves no queue when it is let in", async () => {
      const { door, seen, leaves } = openDoor(later);
      const parts = [text("a"), text("b"), text("c")];
      for await (const part of run(behind(door, opaque), parts)) if (part === parts[1]) break;
      expect([seen, leaves()]).toEqual([parts.slice(0, 2), 0]);
    });

    test("left when the consumer goes before that, and on an abort, also of a processor that rejects with something else", async () => {
      const { door, outcomes } = openDoor(later);
      const model = each((part) => [part, finish({ reason: "stop" })]);
      for await (const _ of run(behind(door, model), "a")) break;
      expect(kinds(outcomes)).toEqual(["left"]);
      const controller = new AbortController();
      const deaf = each((_part, context) => new Promise<Part>((_, reject) => context.signal.addEventListener("abort", () => reject(new Error("aborted")))));
      const reading = run(behind(door, deaf), "a", { signal: controller.signal }).collect();
      await turns(1);
      controller.abort("enough");
      await expect(soon(reading)).rejects.toBe("enough");
      await turns(1);
      expect(kinds(outcomes)).toEqual(["left", "left"]);
    });

    test("failed with the error of the processor", async () => {
      const { door, outcomes } = openDoor(later);
      const error = new MillraceError("unavailable", "down");
      for (const fail of [each(() => { throw error; }), each(async () => { throw error; }), async function* (): AsyncGenerator<Part> { yield text("x"); throw error; }]) {
        await expect(run(behind(door, fail), "a").collect()).rejects.toBe(error);
      }
      expect(outcomes).toEqual(Array.from({ length: 3 }, () => ({ kind: "failed", error })));
    });

    test("left when its input fails, which is not the processor's fault", async () => {
      const { door, outcomes } = openDoor(later);
      const input = new MillraceError("unavailable", "the input is down");
      await expect(run(behind(door, opaque), watchedSource(3, { failAt: 1, error: input })).collect()).rejects.toBe(input);
      expect(kinds(outcomes)).toEqual(["left"]);
    });

    test("failed when the processor gives up waiting for its input", async () => {
      const { door, outcomes } = openDoor(later);
      const error = new MillraceError("timeout", "too slow");
      // as a timeout does: it closes what is behind it, which ends its wait for the input with this very error
      const impatient = processorOf([{ kind: "flow", name: "impatient", open: (upstream) => new Impatient(upstream, error) }]);
      await expect(soon(run(behind(door, impatient), watchedSource(1, { stallAt: 0 })).collect())).rejects.toBe(error);
      expect(outcomes).toEqual([{ kind: "failed", error }]);
    });
  });
}

class Impatient implements Flow {
  private readonly upstream: Flow;
  private readonly error: unknown;
  private over = false;
  constructor(upstream: Flow, error: unknown) {
    this.upstream = upstream;
    this.error = error;
  }
  pull(): Promise<Part | typeof DONE> | typeof DONE {
    if (this.over) return DONE;
    this.over = true;
    const pulled = this.upstream.pull();
    void this.upstream.close(this.error);
    return pulled as Promise<Part | typeof DONE>; // the input is stalled
  }
  close(why: unknown): Promise<void> | undefined {
    return this.upstream.close(why);
  }
}

describe("a call that is let in", () => {
  test("hands on a part that is ready without a promise, then the end, each time it is asked", () => {
    const { door, outcomes } = openDoor();
    const parts = [text("a"), text("b")];
    const call = new Admitted(door, pipe(), input(parts), scope());
    expect([call.pull(), call.pull(), kinds(outcomes)]).toEqual([...parts, []]);
    expect([call.pull(), call.pull(), kinds(outcomes)]).toEqual([DONE, DONE, ["complete"]]);
  });

  test("gives the end as it comes, late too", async () => {
    const { door } = openDoor();
    const call = new Admitted(door, opaque, input(), scope());
    expect([await call.pull(), call.pull()]).toEqual([DONE, DONE]);
  });

  test("is left when its input has closed, and only then gives its permit back", async () => {
    const { door, outcomes } = openDoor();
    const closed = gate();
    const call = new Admitted(door, pipe(), input([text("a"), text("b")], closed.promise), scope());
    void call.pull();
    const closing = call.close("enough");
    expect([await isSettled(closing), kinds(outcomes)]).toEqual([false, []]);
    closed.open();
    await closing;
    expect(kinds(outcomes)).toEqual(["left"]);
  });
});

describe("a call that is not let in", () => {
  test("closes its input unread before it says why, and is over then", async () => {
    const error = new MillraceError("unavailable", "full");
    for (const door of [{ enter: () => { throw error; } }, { enter: () => ({ permit: Promise.reject(error), leave: () => {} }) }]) {
      const upstream = input();
      const call = new Admitted(door, opaque, upstream, scope());
      await expect(call.pull()).rejects.toBe(error);
      expect([upstream.done, call.pull()]).toEqual([["close"], DONE]);
    }
  });

  test("says why when its input has closed, also what is no error object", async () => {
    const closed = gate();
    const upstream = input([], closed.promise);
    const pulled = new Admitted({ enter: () => { throw "full"; } }, opaque, upstream, scope()).pull() as Promise<unknown>;
    expect([await isSettled(pulled), upstream.done]).toEqual([false, ["close"]]);
    closed.open();
    await expect(pulled).rejects.toBe("full");
  });

  test("is left when its input has closed, while it waits and before", async () => {
    for (const waits of [true, false]) {
      const closed = gate();
      const call = new Admitted({ enter: () => ({ permit: new Promise(() => {}), leave: () => {} }) }, opaque, input([], closed.promise), scope());
      if (waits) void (call.pull() as Promise<unknown>).catch(() => {});
      const closing = call.close("enough");
      expect(await isSettled(closing)).toBe(false);
      closed.open();
      await closing;
    }
  });

  test("P0: is unused at the doors outside, so that they give back what it took; not when something came out before", async () => {
    const { door, outcomes } = openDoor();
    const refused = new MillraceError("unavailable", "full");
    const refusing = behind({ enter: () => { throw refused; } }, opaque);
    await expect(run(behind(door, refusing), "a").collect()).rejects.toBe(refused);
    await expect(run(behind(door, pipe(refusing, opaque)), "a").collect()).rejects.toBe(refused);
    expect(kinds(outcomes)).toEqual(["unused", "unused"]);
    const second: Processor = async function* (input, context) {
      yield text("first");
      yield* refusing(input, context);
    };
    await expect(run(behind(door, second), "a").collect()).rejects.toBe(refused);
    expect(outcomes.at(-1)).toEqual({ kind: "failed", error: refused });
  });

  test("P0: is not unused at the doors outside when a call was made before it, and the refusal is of another attempt or another stage", async () => {
    const { door, outcomes } = openDoor();
    const refused = new MillraceError("unavailable", "full");
    let entered = 0;
    const once: Door = { enter: () => { if (entered > 0) throw refused; entered += 1; return { release: () => {} }; } };
    const down = behind(once, each(() => { throw new MillraceError("timeout", "slow"); }));
    await expect(run(behind(door, retry(down, { attempts: 2, baseMs: 0 })), "a").collect()).rejects.toBe(refused);
    const nothing = async function* (): AsyncGenerator<Part> {};
    const inner = behind(openDoor().door, each(() => undefined));
    const gathering: Processor = async function* (input, context) {
      for await (const _ of inner(input, context));
      yield* behind({ enter: () => { throw refused; } }, opaque)(nothing(), context);
    };
    await expect(run(behind(door, gathering), "a").collect()).rejects.toBe(refused);
    expect(outcomes).toEqual([{ kind: "failed", error: refused }, { kind: "failed", error: refused }]);
  });

  test("leaving while it waits rejects the wait with the reason, closes the input, and gives back a permit that comes late", async () => {
    const outcomes: Ending[] = [];
    const late = gate();
    let left = 0;
    const door: Door = { enter: () => ({ permit: late.promise as Promise<Permit>, leave: () => { left += 1; } }) };
    const upstream = input();
    const call = new Admitted(door, opaque, upstream, scope());
    const pulled = call.pull();
    await call.close("enough");
    await expect(pulled).rejects.toBe("enough");
    late.open({ release: (outcome: Ending) => outcomes.push(outcome) });
    await turns(1);
    expect([upstream.done, left, kinds(outcomes), call.pull()]).toEqual([["close"], 1, ["unused"], DONE]);
  });

  test("a processor that cannot even be opened fails the call, and its permit is given back", async () => {
    const { door, outcomes } = openDoor(true);
    const broken = processorOf([{ kind: "flow", name: "broken", open: () => { throw new MillraceError("invalid_input", "broken"); } }]);
    const error: unknown = await run(behind(door, broken), "a").collect().catch((error: unknown) => error);
    expect([isMillraceError(error, "invalid_input"), kinds(outcomes)]).toEqual([true, ["unused"]]);
  });
});
