/**
 * One connection that listens on any number of channels, for any number of listeners: opened for the first, closed after the last.
 *
 * What comes is handed over at once, whoever is slow, so that no listener keeps another waiting.
 *
 * @module
 */
import { ignore } from "../../core/flow.ts";
import type { RedisOptions, RedisSettings } from "./client.ts";
import { isPassing } from "./errors.ts";
import { type Line, Link } from "./link.ts";

/** Milliseconds before another attempt, the first time and at most; half of it at random. */
const baseRetryMs = 300;
const maxRetryMs = 2_000;

/** Who listens on a channel. */
export interface Listener {
  take(body: Uint8Array): void;
  /** The connection was lost: what comes until it is back is missed. */
  missed(): void;
  /** It is back, after so many milliseconds. */
  back(awayMs: number): void;
  /** It is no listener any more, as nothing could be heard so far, or no waiting helps. */
  failed(error: unknown): void;
}

/** How it stands with a listener. */
interface State {
  /** It was subscribed once: before that, a failure is told and not waited for. */
  heard: boolean;
  /** When the connection was lost, if it is not back. */
  lostMs: number | undefined;
}

/** A channel with its listeners. */
interface Channel {
  readonly name: string;
  readonly listeners: Map<Listener, State>;
  /** On this one the server has been asked for it. */
  asked: Line | undefined;
}

/** Listens. */
export class Channels {
  private readonly settings: RedisSettings;
  private readonly pingMs: number;
  private readonly channels = new Map<string, Channel>();
  /** A client forgets a channel when the server has answered, also one that was asked for again meanwhile. */
  private readonly leaving = new Map<string, Promise<unknown>>();
  private link: Link | undefined;
  private line: Line | undefined;
  private stop = new AbortController();

  constructor(settings: RedisSettings, pingMs: number) {
    this.settings = settings;
    this.pingMs = pingMs;
  }

  fits({ clock, connectMs, timeoutMs }: RedisSettings, pingMs: number): boolean {
    const own = this.settings;
    return own.clock === clock && own.connectMs === connectMs && own.timeoutMs === timeoutMs && this.pingMs === pingMs;
  }

  /** Adds a listener; gives what takes it away again. */
  listen(name: string, listener: Listener): () => void {
    const channel: Channel = this.channels.get(name) ?? { name, listeners: new Map(), asked: undefined };
    this.channels.set(name, channel);
    const isSubscribed = [...channel.listeners.values()].some(({ heard }) => heard) && channel.asked !== undefined && channel.asked === this.line;
    channel.listeners.set(listener, { heard: isSubscribed, lostMs: undefined });
    if (this.link === undefined) void this.run((this.link = new Link(this.settings)));
    else if (this.line !== undefined) void this.subscribe(this.link, this.line, channel).catch(ignore); // a lost connection is seen where it is watched
    return () => this.remove(channel, listener);
  }

  private remove(channel: Channel, listener: Listener): void {
    if (!channel.listeners.delete(listener) || channel.listeners.size > 0) return;
    const { name } = channel;
    this.channels.delete(name);
    const { link, line } = this;
    if (this.channels.size === 0) {
      this.link = undefined;
      this.line = undefined;
      this.stop.abort();
      this.stop = new AbortController();
      this.leaving.clear();
      link?.close();
    } else if (link !== undefined && line !== undefined && channel.asked === line) {
      const left = link.within(line, "unsubscribe", (connection) => connection.unsubscribe(name)).catch(ignore);
      this.leaving.set(name, left);
      void left.then(() => {
        if (this.leaving.get(name) === left) this.leaving.delete(name);
      });
    }
  }

  /** Keeps a connection until nobody listens any more. */
  private async run(link: Link): Promise<void> {
    const { clock } = this.settings;
    const { signal } = this.stop;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const line = await link.get(signal);
        if (signal.aborted) return;
        this.line = line;
        await Promise.all([...this.channels.values()].map((channel) => this.subscribe(link, line, channel)));
        failures = 0;
        for (;;) {
          await clock.sleep(this.pingMs, line.down.signal);
          await link.within(line, "listen", (connection) => connection.ping());
        }
      } catch (error) {
        if (signal.aborted) return;
        this.line = undefined;
        this.lost(error, failures === 0);
        await clock.sleep(Math.min(maxRetryMs, baseRetryMs * 2 ** Math.min(failures, 8)) * (0.5 + Math.random() / 2), signal).catch(ignore);
      }
    }
  }

  /** Asks for a channel, once on each connection. Throws what may pass with another connection. */
  private async subscribe(link: Link, line: Line, channel: Channel): Promise<void> {
    if (channel.asked === line) return;
    channel.asked = line;
    await this.leaving.get(channel.name);
    if (channel.listeners.size === 0) return;
    try {
      await link.within(line, "subscribe", (connection) => connection.subscribe(channel.name, (body) => take(channel, body)));
      for (const [listener, state] of channel.listeners) this.isSubscribed(listener, state);
    } catch (error) {
      channel.asked = undefined;
      if (line.lost === undefined) this.drop(channel, error); // refused: of no concern to other channels
      if (channel.listeners.size > 0) throw error;
    }
  }

  private isSubscribed(listener: Listener, state: State): void {
    const { lostMs } = state;
    state.heard = true;
    state.lostMs = undefined;
    if (lostMs !== undefined) listener.back(this.settings.clock.now() - lostMs);
  }

  private isLost(listener: Listener, state: State): void {
    state.lostMs ??= this.settings.clock.now();
    listener.missed();
  }

  private lost(error: unknown, first: boolean): void {
    for (const channel of this.channels.values()) {
      this.drop(channel, error);
      if (first) for (const [listener, state] of channel.listeners) this.isLost(listener, state);
    }
  }

  /** Those for whom waiting is no help listen no more. */
  private drop(channel: Channel, error: unknown): void {
    for (const [listener, { heard }] of channel.listeners) {
      if (heard && isPassing(error)) continue;
      this.remove(channel, listener);
      listener.failed(error);
    }
  }
}

function take({ listeners }: Channel, body: Uint8Array): void {
  for (const listener of listeners.keys()) listener.take(body);
}

const ofClients = new WeakMap<object, Channels[]>();

/** Where to listen: queues that were given one client do so on one duplicate of it. */
export function channelsFor({ client }: RedisOptions, settings: RedisSettings, pingMs: number): Channels {
  const known = client === undefined ? [] : (ofClients.get(client) ?? []);
  const found = known.find((each) => each.fits(settings, pingMs)) ?? new Channels(settings, pingMs);
  if (client !== undefined && !known.includes(found)) ofClients.set(client, [...known, found]);
  return found;
}
