/** A message of a topic, as the hub frames it. */
export type LiveMessage = {
  type: 'message';
  topic: string;
  deviceId?: string;
  timestamp?: string;
  data: unknown;
  seq: number;
};

/** What is known of the connection. `since` is when it came to be so, in milliseconds. */
export type Link = { state: 'idle' | 'connecting' | 'up' | 'down'; since: number };

export type LiveState = {
  /** Number of the last message that was heard; 0 before the first. */
  seq: number;
  /** Attempts to connect since the last good connection. */
  attempts: number;
  /** Whether a connection was up before this one, so that something may have been missed. */
  wasUp: boolean;
};

export type Saying = { type: string; [key: string]: unknown };

/** What is to be done after a frame or a change of the connection. */
export type Deed =
  | { do: 'say'; what: Saying }
  | { do: 'hand'; message: LiveMessage }
  | { do: 'refetch' }
  | { do: 'up' };

export const START: LiveState = { seq: 0, attempts: 0, wasUp: false };

export type Wanted = { topics: readonly string[]; devices: readonly string[] | null };

/** Read a frame of the hub; null for what is none. */
export function readFrame(text: string): Saying | null {
  try {
    const told: unknown = JSON.parse(text);
    return typeof told === 'object' && told !== null && 'type' in told ? (told as Saying) : null;
  } catch {
    return null;
  }
}

/** What a frame changes, and what is to be done on it. */
export function heard(state: LiveState, frame: Saying, wanted: Wanted): [LiveState, Deed[]] {
  switch (frame.type) {
    case 'connected':
      return [{ ...state, attempts: 0, wasUp: true }, [{ do: 'up' }, ...greet(state, wanted)]];
    case 'gap':
      return [state, [{ do: 'refetch' }]];
    case 'message': {
      const message = frame as unknown as LiveMessage;
      // What is told again after `resume` is known already.
      if (message.seq <= state.seq) return [state, []];
      return [{ ...state, seq: message.seq }, [{ do: 'hand', message }]];
    }
    default:
      return [state, []];
  }
}

/** What to say first: the topics, and what was heard last. */
function greet(state: LiveState, wanted: Wanted): Deed[] {
  if (wanted.topics.length === 0) return [];
  const deeds: Deed[] = [{ do: 'say', what: subscribe(wanted) }];
  if (state.seq > 0) deeds.push({ do: 'say', what: { type: 'resume', seq: state.seq } });
  // Nothing was heard to resume from, and something may have been missed.
  else if (state.wasUp) deeds.push({ do: 'refetch' });
  return deeds;
}

/** The frame that subscribes to topics. */
export function subscribe(wanted: Wanted): Saying {
  return { type: 'subscribe', topics: wanted.topics, ...(wanted.devices === null ? {} : { devices: wanted.devices }) };
}

/** Milliseconds to wait before an attempt: doubling from half a second to fifteen, spread so that not all come at once. */
export function backOff(attempts: number, chance: number): number {
  return Math.min(15_000, 500 * 2 ** Math.min(attempts, 6)) * (0.5 + chance / 2);
}
