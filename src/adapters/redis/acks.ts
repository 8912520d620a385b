/**
 * Acknowledgements that are asked for while others are on their way go together in the next call.
 *
 * @module
 */

/** Of one call at most: a script that takes long keeps everybody waiting. */
const maxIds = 500;

interface Asked {
  readonly id: string;
  readonly resolve: (had: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** Acknowledges one message; gives whether it was still the consumer's. */
export function gatheredAcks(ack: (ids: readonly string[]) => Promise<readonly boolean[]>): (id: string) => Promise<boolean> {
  let waiting: Asked[] = [];
  let busy = false;
  const send = async (): Promise<void> => {
    busy = true;
    // those that are asked for in the same turn of the loop: a server that writes its log before each answer does so once for all of them
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const batch = waiting.slice(0, maxIds);
      waiting = waiting.slice(maxIds);
      try {
        const had = await ack(batch.map(({ id }) => id));
        for (const [at, { resolve }] of batch.entries()) resolve(had[at] === true);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    busy = false;
  };
  return (id) =>
    new Promise((resolve, reject) => {
      waiting.push({ id, resolve, reject });
      if (!busy) void send();
    });
}
