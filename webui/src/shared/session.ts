import { Store } from './store';

export type Role = 'viewer' | 'operator' | 'admin';

/** Who is signed in, as `/api/auth/me` tells it. */
export type Me = {
  user: string;
  role: Role;
  session: string;
  expiresAt: string;
  endsAt: string;
  serverTime: string;
  version: string;
};

/** `again`: the session is over while a page is open; it stays, and a dialog asks for the password. */
export type Stage = { name: 'asking' } | { name: 'out' } | { name: 'in'; me: Me } | { name: 'again'; me: Me };

const RANKS: readonly Role[] = ['viewer', 'operator', 'admin'];
const MARK = 'devicehub.signed-in';

/** The session of this page: who, until when, and what waits for it to be renewed. */
class Session {
  readonly stage = new Store<Stage>({ name: 'asking' });
  /** When the session ends if it is not used any more, in this browser's time. */
  readonly ends = new Store(Number.POSITIVE_INFINITY);
  private idle = 0;
  private last = Number.POSITIVE_INFINITY;
  private offset = 0;
  private waiting: { go: () => void; fail: (why: unknown) => void }[] = [];

  /** Whether this browser has signed in and not out: asking without would be refused, which browsers report as a fault. */
  get isLikely(): boolean {
    return localStorage.getItem(MARK) !== null;
  }

  /** The hub's clock, by what it said last. */
  now(): number {
    return Date.now() + this.offset;
  }

  begin(me: Me): void {
    localStorage.setItem(MARK, me.user);
    const server = Date.parse(me.serverTime);
    this.offset = server - Date.now();
    this.idle = Date.parse(me.expiresAt) - server;
    this.last = Date.parse(me.endsAt) - this.offset;
    this.stage.set({ name: 'in', me });
    this.used();
    for (const one of this.waiting.splice(0)) one.go();
  }

  end(): void {
    localStorage.removeItem(MARK);
    this.stage.set({ name: 'out' });
    this.ends.set(Number.POSITIVE_INFINITY);
    for (const one of this.waiting.splice(0)) one.fail(new DOMException('signed out', 'AbortError'));
  }

  /** A request was answered: the session lasts from now on. */
  used(): void {
    if (this.stage.get().name !== 'in') return;
    const ends = Math.min(Date.now() + this.idle, this.last);
    // Half a minute more or less is of no interest to who reads it.
    if (Math.abs(ends - this.ends.get()) > 30_000 || ends === this.last) this.ends.set(ends);
  }

  /** Resolves when somebody has signed in again. */
  renewed(signal?: AbortSignal): Promise<void> {
    this.lose();
    if (this.stage.get().name !== 'again') return Promise.reject(new DOMException('signed out', 'AbortError'));
    return new Promise((go, fail) => {
      this.waiting.push({ go, fail });
      signal?.addEventListener('abort', () => fail(signal.reason));
    });
  }

  /** The hub does not know the session any more. */
  lose(): void {
    const stage = this.stage.get();
    if (stage.name === 'in') this.stage.set({ name: 'again', me: stage.me });
  }

  /** Whether who is signed in may do what needs a role. */
  may(least: Role): boolean {
    const stage = this.stage.get();
    return (stage.name === 'in' || stage.name === 'again') && RANKS.indexOf(stage.me.role) >= RANKS.indexOf(least);
  }
}

export const session = new Session();
