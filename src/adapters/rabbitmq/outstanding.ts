/**
 * Messages that are handed out, until they are settled or lost.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import { LinkedList, type ListNode } from "../../core/linked-list.ts";
import type { MessageFormat } from "../../kinds/envelope.ts";
import { handOut, type Hands } from "../../kinds/hand-out.ts";
import type { Delivery, NackOptions } from "../../kinds/queue.ts";
import type { AmqpChannel, AmqpMessage } from "./client.ts";
import { type Dialing, service } from "./dial.ts";
import type { Link } from "./link.ts";
import { copyOf, opened, type Packet } from "./packet.ts";
import type { Sender } from "./sender.ts";
import { delayQueueFor, lacksDelay } from "./topology.ts";

/** Of the queue that is read. */
export interface OutstandingSettings {
  readonly name: string;
  readonly format: MessageFormat;
  readonly maxMessageBytes: number;
  /** The broker counts how often it has delivered a message. */
  readonly counts: boolean;
  /** Queues that must be there besides, for what is given back with a delay. */
  readonly delayQueues: readonly string[];
  readonly dialing: Dialing;
  readonly sender: Sender;
  readonly clock: Clock;
}

/** How long a copy may take; then the message itself is given back. */
const copyMs = 10_000;

/** One connection, from its opening to its loss. */
export interface Session {
  readonly link: Link;
  readonly channel: AmqpChannel;
  /** Numbers the sessions: tags of deliveries mean something in one alone. */
  readonly epoch: number;
  /** Of the consumer; none before the broker has answered. */
  tag: string | undefined;
  /** Its consumer has not been ended. */
  isConsuming: boolean;
  /** Frames that settled something since the queue has last answered for all before. */
  unanswered: number;
  /** Why it is over, if it is. */
  over: MillraceError | undefined;
}

/** A message that was handed out and is not settled. */
class Out {
  readonly came: AmqpMessage;
  readonly session: Session;
  readonly id: string;
  readonly place: string;
  readonly attempt: number;
  readonly controller: AbortController = new AbortController();
  node: ListNode<Out> | undefined = undefined;

  get tag(): number {
    return this.came.fields.deliveryTag;
  }

  constructor(came: AmqpMessage, session: Session, id: string, place: string, attempt: number) {
    this.came = came;
    this.session = session;
    this.id = id;
    this.place = place;
    this.attempt = attempt;
  }
}

/** Gives back what was not handed out. */
export function giveBack(session: Session, came: AmqpMessage): void {
  session.unanswered += 1;
  try {
    session.channel.nack(came, false, true);
  } catch {
    // the channel is gone, and with it all that was out
  }
}

/** What one reader has handed out. */
export class Outstanding {
  private readonly settings: OutstandingSettings;
  private readonly settled: () => void;
  private readonly out = new LinkedList<Out>();
  private readonly hands: Hands<Out>;
  /** Acknowledged by their holders, and not yet to the broker. */
  private acked: Out[] = [];

  /** `settled` hears of each. */
  constructor(settings: OutstandingSettings, settled: () => void) {
    this.settings = settings;
    this.settled = settled;
    this.hands = {
      service,
      lacks: settings.delayQueues.length === 0 ? { nackDelay: lacksDelay } : {},
      ack: (out) => this.ack(out),
      nack: (out, options) => this.nack(out, options),
    };
  }

  get size(): number {
    return this.out.size;
  }

  /** All are their holders' no more; acknowledgements that were not written come too late. */
  lose(why: string): void {
    const lost = [...this.out];
    this.out.clear();
    this.acked = [];
    for (const { controller } of lost) controller.abort(new MillraceError("closed", `${service}: a delivery of ${this.settings.name} is lost: ${why}`, { service }));
  }

  /** Hands out a message. */
  deliver(came: AmqpMessage, session: Session): Delivery {
    const { name, format, maxMessageBytes, counts } = this.settings;
    const { message, place = `${came.fields.deliveryTag}@${session.epoch}`, attempt } = opened(came, format, maxMessageBytes, counts);
    const id = `${name}/${place}`;
    const out = new Out(came, session, id, place, attempt);
    out.node = this.out.push(out);
    return handOut(this.hands, out, message, { id, attempt, signal: out.controller.signal });
  }

  /**
   * An acknowledgement, which is written a moment later with those of the same moment. AMQP confirms none: one that is lost with its
   * connection brings the message again.
   */
  private ack(out: Out): void {
    const node = this.nodeOf(out);
    if (this.acked.push(out) === 1) setImmediate(() => this.flush());
    this.out.delete(node);
    this.settled();
  }

  /** Writes the acknowledgements that are due: one for all that are older than what is still out, as messages are handed out in order. */
  flush(): void {
    const { acked } = this;
    const [first] = acked;
    if (first === undefined) return;
    this.acked = [];
    const { session } = first;
    const { channel, link } = session;
    const oldestTag = this.out.first?.value.tag ?? Infinity;
    let last: Out | undefined;
    const write = (out: Out, allUpTo: boolean): void => {
      session.unanswered += 1;
      channel.ack(out.came, allUpTo);
    };
    link.gather();
    try {
      for (const out of acked) {
        if (out.tag > oldestTag) write(out, false);
        else if (last === undefined || out.tag > last.tag) last = out;
      }
      if (last !== undefined) write(last, true);
    } catch {
      // the channel is gone, and they come again
    }
  }

  /** Gives back. */
  private back(out: Out): void {
    const node = this.nodeOf(out);
    out.session.link.gather();
    giveBack(out.session, out.came);
    this.out.delete(node);
    this.settled();
  }

  private nodeOf({ node, id }: Out): ListNode<Out> {
    if (node !== undefined && this.out.has(node)) return node;
    throw new MillraceError("closed", `${service}: delivery ${id} is this reader's no more`, { service });
  }

  /** What the broker cannot do with a message it can do with a copy, which is confirmed before the message itself is acknowledged. */
  private async nack(out: Out, { delayMs, counted }: Required<NackOptions>): Promise<void> {
    const { name, counts } = this.settings;
    const { place, attempt } = out;
    if (delayMs === 0 && (counted || !counts)) return this.back(out);
    this.nodeOf(out); // or a copy would be made of what comes again anyway
    const copy = copyOf(out.came, place, counted ? attempt : attempt - 1);
    const isCopied =
      delayMs === 0
        ? await this.isSent(name, copy)
        : await this.isSent(delayQueueFor(name, delayMs), { ...copy, properties: { ...copy.properties, expiration: String(delayMs) } });
    if (isCopied) this.ack(out);
    else this.back(out);
  }

  /** Is the copy safe? Where that is not known, the message goes back as well: twice is better than never. */
  private async isSent(queue: string, packet: Packet): Promise<boolean> {
    const late = new AbortController();
    const cancel = this.settings.clock.timeout(copyMs, () => late.abort());
    try {
      await this.settings.sender.send(queue, packet, late.signal);
      return true;
    } catch {
      return false;
    } finally {
      cancel();
    }
  }
}
