/**
 * A message of JetStream as a delivery, and how the server is told what became of it.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { isMillraceError, MillraceError, wholeNumber } from "../../core/errors.ts";
import { type MessageFormat, readMessage } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import type { Delivery, Queue } from "../../kinds/queue.ts";
import { heard } from "../../wire/heard.ts";
import type { Connection } from "./connection.ts";
import { type Held, negative } from "./held.ts";
import type { Reader } from "./reader.ts";

/** What JetStream understands in answer to a message. */
const positive = "+ACK";
const working = "+WPI";

/** Milliseconds before an acknowledgement that nobody heard is said again: leaders of a cluster change in less. */
const unheardMs = 250;

/** What deliveries of a queue have in common. */
export interface DeliverySettings extends Pick<Queue, "service" | "lacks"> {
  readonly connection: Connection;
  readonly format: MessageFormat;
  readonly leaseMs: number;
  readonly clock: Clock;
}

/** How a reader settles what it has handed out. */
export function handsOf(settings: DeliverySettings, reader: Reader): Hands<Held> {
  const { service, lacks, leaseMs, clock } = settings;
  const settle = async (held: Held, what: "ack" | "nack", payload: string): Promise<void> => {
    held.settling = what;
    try {
      await tell(settings, reader, held, what, payload);
    } finally {
      held.settling = undefined;
    }
    reader.release(held);
  };
  return {
    service,
    lacks,
    ack: (held) => settle(held, "ack", positive),
    nack: (held, { delayMs }) => settle(held, "nack", delayMs === 0 ? negative : `${negative} ${JSON.stringify({ delay: delayMs * 1_000_000 })}`),
    async extend(held, ms) {
      wholeNumber(`${service}: extend`, "ms", ms, 1, leaseMs); // the server knows one length of lease, and begins it again
      const askedMs = clock.now();
      await tell(settings, reader, held, "extend", working);
      reader.prolong(held, askedMs);
    },
  };
}

/** Hands out a message that the reader holds. */
export function deliveryOf({ service, format }: DeliverySettings, hands: Hands<Held>, held: Held): Delivery {
  const { id, attempt, message: { data, headers }, controller: { signal } } = held;
  const message = readMessage(service, format, data);
  return handOut(hands, held, message, { id, attempt, messageId: message.id ?? (headers?.get("Nats-Msg-Id") || undefined), signal });
}

/**
 * Tells the server, which confirms. That a message is done with may be said twice, so it is, until its lease is over; the rest is said once.
 * Nobody hears it where there is no consumer, and while one of a cluster has no leader: which of them it is, is asked first.
 */
async function tell({ service, connection, clock }: DeliverySettings, reader: Reader, held: Held, what: "ack" | "nack" | "extend", payload: string): Promise<void> {
  const { signal } = held.controller;
  for (;;) {
    if (!reader.isHeld(held)) throw new MillraceError("closed", `${service}: delivery ${held.id} is this reader's no more`, { service });
    try {
      return void (await connection.ask(what, held.reply, payload, signal));
    } catch (error) {
      const unheard = isMillraceError(error, "not_found");
      const passes = unheard || isMillraceError(error, "interrupted") || isMillraceError(error, "unavailable");
      if (!passes || (what !== "ack" && !unheard)) throw error;
      const isThere = await heard(reader.check(), signal); // whose lease ends meanwhile is not kept waiting
      if (!isThere) throw new MillraceError("closed", `${service}: delivery ${held.id} is lost: the consumer is gone`, { service, cause: error });
      if (what !== "ack") throw new MillraceError("unavailable", `${service}: ${what}: nobody hears it now; nothing was done`, { service, cause: error });
      if (unheard) await clock.sleep(unheardMs, signal);
    }
  }
}
