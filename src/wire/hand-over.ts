/**
 * Values from one who makes them to one who takes them, one at a time, made when they are asked for.
 *
 * @module
 */

/** The place where values change hands. One gives, one takes. */
export interface HandOver<T> {
  /** Gives a value and waits until the next one is asked for; `false` when nobody wants another. */
  give(value: T): Promise<boolean>;
  /** No more will come. */
  end(): void;
  /** No more will come, and why. */
  fail(error: unknown): void;
  /** Asks for the next value, before it is needed. */
  ask(): void;
  /** The value that was given, else asks for one and waits; `undefined` after the end. */
  take(): Promise<T | undefined>;
  /** Wants no more. */
  leave(): void;
}

/** Opens one; the first value is asked for by opening it. */
export function handOver<T>(): HandOver<T> {
  let given: { readonly value: T } | undefined;
  let over: { readonly error: unknown } | "end" | undefined;
  let wanted: boolean | undefined;
  let wakeGiver: ((more: boolean) => void) | undefined;
  let wakeTaker: (() => void) | undefined;
  const want = (more: boolean): void => {
    wanted ??= more;
    wakeGiver?.(more);
    wakeGiver = undefined;
  };
  const close = (how: typeof over): void => {
    over ??= how;
    wakeTaker?.();
  };
  return {
    async give(value) {
      given = { value };
      wakeTaker?.();
      if (wanted === false) return false;
      wanted = undefined;
      return new Promise((resolve) => {
        wakeGiver = resolve;
      });
    },
    end: () => close("end"),
    fail: (error) => close({ error }),
    ask: () => want(true),
    async take() {
      if (given === undefined && over === undefined) {
        want(true);
        await new Promise<void>((resolve) => {
          wakeTaker = resolve;
        });
        wakeTaker = undefined;
      }
      if (given !== undefined) {
        const { value } = given;
        given = undefined;
        return value;
      }
      if (typeof over === "object") throw over.error;
      return undefined;
    },
    leave() {
      wanted = undefined;
      want(false);
    },
  };
}
