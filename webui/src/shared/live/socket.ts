import { session } from '../session';
import { Store } from '../store';
import {
  backOff,
  heard,
  type Link,
  type LiveMessage,
  type LiveState,
  readFrame,
  type Saying,
  START,
  subscribe,
} from './state';

type Follower = {
  topics: ReadonlySet<string>;
  hand: (messages: readonly LiveMessage[]) => void;
  refetch: () => void;
  waiting: LiveMessage[];
};

/** Pages are told four times a second at most, however much is said. */
const FLUSH_MS = 250;
const PING_MS = 20_000;
const PATIENCE_MS = 10_000;
const EXPIRED = 4401;

/** One connection to `/api/ws`, open while somebody follows a topic of it. */
export class Live {
  readonly link = new Store<Link>({ state: 'idle', since: Date.now() });
  private readonly followers = new Set<Follower>();
  private state: LiveState = START;
  private socket: WebSocket | null = null;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private beat: ReturnType<typeof setTimeout> | undefined;
  private flushing: ReturnType<typeof setTimeout> | undefined;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private asked = '';

  /** @param devices ids that it is about; null for all. */
  constructor(private readonly devices: readonly string[] | null = null) {
    session.stage.follow(() => this.settle());
    if (typeof addEventListener === 'function') addEventListener('online', () => this.hurry());
  }

  /**
   * Hear topics until the returned function is called.
   *
   * @param refetch is called when messages may have been missed.
   */
  follow(topics: readonly string[], hand: Follower['hand'], refetch: () => void): () => void {
    const follower: Follower = { topics: new Set(topics), hand, refetch, waiting: [] };
    this.followers.add(follower);
    this.settle();
    return () => {
      this.followers.delete(follower);
      this.settle();
    };
  }

  private get topics(): string[] {
    return [...new Set([...this.followers].flatMap((one) => [...one.topics]))].sort();
  }

  /** Bring the connection to what is wanted now; a page that changes leaves and follows at once. */
  private settle(): void {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      const isIn = session.stage.get().name === 'in';
      if (!isIn || this.followers.size === 0) this.close();
      else if (this.socket === null) this.hurry();
      else this.choose();
    }, 20);
  }

  private choose(): void {
    const topics = this.topics;
    const text = topics.join(' ');
    if (this.socket?.readyState !== WebSocket.OPEN || text === this.asked) return;
    const gone = this.asked.split(' ').filter((topic) => topic !== '' && !topics.includes(topic));
    if (gone.length > 0) this.say({ type: 'unsubscribe', topics: gone });
    this.say(subscribe({ topics, devices: this.devices }));
    this.asked = text;
  }

  private hurry(): void {
    clearTimeout(this.retry);
    if (this.socket === null && this.followers.size > 0 && session.stage.get().name === 'in') this.open();
  }

  private open(): void {
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/api/ws`);
    this.socket = socket;
    if (this.link.get().state !== 'down') this.tell('connecting');
    socket.onmessage = (event) => this.hear(String(event.data));
    socket.onclose = (event) => {
      if (this.socket === socket) this.lost(event.code);
    };
    this.watch();
  }

  private hear(text: string): void {
    this.watch();
    const frame = readFrame(text);
    if (frame === null) return;
    const [state, deeds] = heard(this.state, frame, { topics: this.topics, devices: this.devices });
    this.state = state;
    for (const deed of deeds) {
      if (deed.do === 'say') {
        this.say(deed.what);
        if (deed.what.type === 'subscribe') this.asked = this.topics.join(' ');
      } else if (deed.do === 'hand') this.queue(deed.message);
      else if (deed.do === 'refetch') for (const one of this.followers) one.refetch();
      else this.tell('up');
    }
  }

  private queue(message: LiveMessage): void {
    for (const one of this.followers) if (one.topics.has(message.topic)) one.waiting.push(message);
    this.flushing ??= setTimeout(() => {
      this.flushing = undefined;
      for (const one of this.followers) if (one.waiting.length > 0) one.hand(one.waiting.splice(0));
    }, FLUSH_MS);
  }

  private say(what: Saying): void {
    this.socket?.send(JSON.stringify(what));
  }

  /** A socket that says nothing is asked, and given up if it does not answer. */
  private watch(): void {
    clearTimeout(this.beat);
    this.beat = setTimeout(() => {
      if (this.socket?.readyState === WebSocket.OPEN) this.say({ type: 'ping' });
      this.beat = setTimeout(() => this.drop(), PATIENCE_MS);
    }, PING_MS);
  }

  /** A dead connection may take minutes to say that it is closed. */
  private drop(): void {
    const socket = this.socket;
    if (socket === null) return;
    this.lost(0);
    socket.close();
  }

  private lost(code: number): void {
    this.socket = null;
    this.asked = '';
    clearTimeout(this.beat);
    this.tell('down');
    if (code === EXPIRED) {
      session.lose();
      return;
    }
    const wait = backOff(this.state.attempts, Math.random());
    this.state = { ...this.state, attempts: this.state.attempts + 1 };
    this.retry = setTimeout(() => this.hurry(), wait);
  }

  private close(): void {
    clearTimeout(this.retry);
    clearTimeout(this.beat);
    const socket = this.socket;
    this.socket = null;
    this.asked = '';
    // What is said while nobody listens is not missed: who follows again fetches first.
    this.state = START;
    socket?.close();
    this.tell('idle');
  }

  private tell(state: Link['state']): void {
    if (this.link.get().state !== state) this.link.set({ state, since: Date.now() });
  }
}

/** What is said of the whole fleet and of the hub. */
export const fleet = new Live();
