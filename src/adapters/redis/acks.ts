/**
 * Acknowledgements that are asked for while others are on their way go together in the next call.
 *
 * @module
 */

/** Of one call at most: a script that takes long keeps everybody waiting. */
const maxIds = 500;
/** Calls on their way at most: while one is answered, the server works on the other. */
const maxCalls = 2;

/** Turns of the loop until an acknowledgement that is asked for is written: one here, one or two in the client. */
const turnsToSend = 3;

/** Gives for each whether it was still the consumer's. */
export type Settle = () => readonly boolean[];

interface Asked {
  readonly id: string;
  readonly resolve: (had: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** Acknowledges one message; gives whether it was still the consumer's. Of `maxInFlight` messages no call has more than its share. */
export function gatheredAcks(maxInFlight: number, ack: (ids: readonly string[]) => Promise<Settle>): (id: string) => Promise<boolean> {
  const share = Math.min(maxIds, Math.ceil(maxInFlight / maxCalls));
  let waiting: Asked[] = [];
  let calls = 0;
  let gathering = false;
  let last: Promise<void> = Promise.resolve();
  /**
   * Of answers that came together each is worked on by itself, some turns of the loop after the one before: what follows from that one is then on
   * its way to the server, which works on it meanwhile. They would come and go together for ever otherwise, and one side always wait for the other.
   */
  const alone = (): Promise<void> => {
    const before = last;
    last = before.then(() => turns(turnsToSend));
    return before;
  };
  const gather = (): void => {
    if (gathering || waiting.length === 0 || calls >= maxCalls) return;
    gathering = true;
    setImmediate(() => {
      gathering = false;
      const batch = waiting.slice(0, share);
      waiting = waiting.slice(share);
      void send(batch);
      gather();
    });
  };
  const send = async (batch: readonly Asked[]): Promise<void> => {
    calls += 1;
    try {
      const settle = await ack(batch.map(({ id }) => id));
      await alone();
      const had = settle();
      for (const [at, { resolve }] of batch.entries()) resolve(had[at] === true);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    calls -= 1;
    gather();
  };
  return (id) =>
    new Promise((resolve, reject) => {
      waiting.push({ id, resolve, reject });
      gather(); // with those that are asked for in the same turn: a server that writes its log before each answer does so once for all of them
    });
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
