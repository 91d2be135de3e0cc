import { useEffect, useMemo, useRef } from 'react';
import { fleet, Live } from './socket';
import type { LiveMessage } from './state';

type Hand = (messages: readonly LiveMessage[]) => void;

/**
 * Follow topics of the whole fleet while the component is there.
 *
 * @param hand is given messages four times a second at most.
 * @param refetch is called when some may have been missed: fetch again what is shown.
 */
export function useLive(topics: readonly string[], hand: Hand, refetch: () => void): void {
  useFollowing(fleet, topics, hand, refetch);
}

/** The same for one device: a connection of its own, so that what others say is not sent here. */
export function useDeviceLive(device: string, topics: readonly string[], hand: Hand, refetch: () => void): Live {
  const live = useMemo(() => new Live([device]), [device]);
  useFollowing(live, topics, hand, refetch);
  return live;
}

function useFollowing(live: Live, topics: readonly string[], hand: Hand, refetch: () => void): void {
  const now = useRef({ hand, refetch });
  useEffect(() => {
    now.current = { hand, refetch };
  });
  const names = topics.join(' ');
  useEffect(() => {
    if (names === '') return;
    return live.follow(
      names.split(' '),
      (messages) => now.current.hand(messages),
      () => now.current.refetch(),
    );
  }, [live, names]);
}
