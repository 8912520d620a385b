/**
 * The end of a reader's channel, behind which nothing that was written to it is lost.
 *
 * A channel keeps the acknowledgements for a quorum queue that has not yet answered for the ones before, and forgets them when it is closed
 * in order: the messages come again. A consumer that ends has its answer from the queue, behind all of them.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { within } from "./link.ts";
import { giveBack, type Session } from "./outstanding.ts";

/** How long the broker may take. */
const closeMs = 1_000;
/** Frames that a channel hands on to a quorum queue without an answer: SOFT_LIMIT of the broker's rabbit_fifo_client.erl, measured with 3.10, the same in 4. */
const maxUnanswered = 32;

/** Ends the consumer, the channel and the connection. `isQuorum`: the queue is one. */
export async function endSession(session: Session, name: string, isQuorum: boolean, clock: Clock): Promise<void> {
  const { channel, link } = session;
  const end = async (): Promise<void> => {
    if (session.isConsuming && session.tag !== undefined) await channel.cancel(session.tag);
    else if (isQuorum && session.unanswered > maxUnanswered) await consumeNothing(session, name);
    await channel.close();
  };
  if (!link.lost.aborted) await within(closeMs, clock, end);
  await link.close();
}

/** A consumer for its end alone, as the one before has ended too early; a message that comes meanwhile goes back, as one that failed once. */
async function consumeNothing(session: Session, name: string): Promise<void> {
  const { channel } = session;
  await channel.prefetch(1);
  const { consumerTag } = await channel.consume(name, (came) => void (came !== null && giveBack(session, came)));
  await channel.cancel(consumerTag);
}
