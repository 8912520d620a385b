/**
 * Who knows the truth: what was confirmed to the senders, and what the workers said they had written.
 *
 * It lives in a process that is never killed. A message is owed from the moment the broker has confirmed it.
 *
 * @module
 */

/** What came of all messages. */
export interface Account {
  readonly owed: number;
  /** Owed, and never written. */
  readonly lost: number;
  /** Written more than once: further copies. */
  readonly duplicates: number;
  /** Written, and never sent; or not what was sent. */
  readonly wrong: number;
}

/** Keeps the account. */
export class Oracle {
  private readonly sent = new Set<number>();
  private readonly owed = new Set<number>();
  private readonly missing = new Set<number>();
  private readonly written = new Map<number, number>();
  private wrong = 0;
  private waiting: (() => void)[] = [];

  /** It is on its way; whether the broker gets it is not known yet. */
  begins(id: number): void {
    this.sent.add(id);
  }

  /** The broker has confirmed it. */
  owes(id: number): void {
    this.owed.add(id);
    if (!this.written.has(id)) this.missing.add(id);
  }

  /** A worker has written it; `undefined` is something that nobody has sent. */
  writes(id: number | undefined): void {
    if (id === undefined || !this.sent.has(id)) {
      this.wrong += 1;
      return;
    }
    this.written.set(id, (this.written.get(id) ?? 0) + 1);
    this.missing.delete(id);
    for (const wake of this.waiting.splice(0)) wake();
  }

  /** Different messages that were written. */
  get done(): number {
    return this.written.size;
  }

  /** Messages in the order in which each was first written. */
  get firsts(): readonly number[] {
    return [...this.written.keys()];
  }

  get left(): number {
    return this.missing.size;
  }

  wrote(id: number): boolean {
    return this.written.has(id);
  }

  /** Resolves when something more was written, or after `ms`. */
  async news(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  account(): Account {
    let duplicates = 0;
    for (const count of this.written.values()) duplicates += count - 1;
    return { owed: this.owed.size, lost: this.missing.size, duplicates, wrong: this.wrong };
  }
}
