import { keepPreviousData, useQueries } from '@tanstack/react-query';
import { useCallback, useMemo, useRef, useState } from 'react';
import type { Page } from '../../api/client';

const SIZE = 100;

/** A long list of which only what is on the screen has been fetched. */
export type Window<Row> = {
  /** How many there are in all; null before the first answer. */
  total: number | null;
  row: (at: number) => Row | undefined;
  /** Say which rows are on the screen. */
  show: (first: number, last: number) => void;
  problem: unknown;
  again: () => void;
};

/**
 * Pages of a hundred rows, of those that are on the screen.
 *
 * @param key of the list with everything that it depends on.
 * @param load fetches a page; it is told when nobody waits for it any more.
 */
export function useWindow<Row>(
  key: readonly unknown[],
  load: (offset: number, limit: number, signal: AbortSignal) => Promise<Page<Row>>,
): Window<Row> {
  const [shown, setShown] = useState<readonly [number, number]>([0, 0]);
  const last = useRef<number | null>(null);
  const pages = useMemo(() => {
    const wanted: number[] = [];
    for (let at = shown[0]; at <= shown[1]; at++) wanted.push(at);
    return wanted;
  }, [shown]);
  const asked = useQueries({
    queries: pages.map((at) => ({
      queryKey: [...key, 'page', at],
      queryFn: ({ signal }: { signal: AbortSignal }) => load(at * SIZE, SIZE, signal),
      placeholderData: keepPreviousData,
    })),
  });
  const told = asked.find((one) => one.data !== undefined && !one.isPlaceholderData)?.data?.total;
  if (told !== undefined) last.current = told;
  const show = useCallback((first: number, end: number) => {
    const next = [Math.floor(Math.max(0, first) / SIZE), Math.floor(Math.max(0, end) / SIZE)] as const;
    setShown((before) => (before[0] === next[0] && before[1] === next[1] ? before : next));
  }, []);
  return {
    // While another query is under way the rows of the one before stay, so that nothing flickers.
    total: last.current,
    row: (at) => {
      const index = pages.indexOf(Math.floor(at / SIZE));
      return index < 0 ? undefined : asked[index]?.data?.rows[at % SIZE];
    },
    show,
    problem: asked.find((one) => one.error !== null)?.error ?? null,
    again: () => {
      for (const one of asked) void one.refetch();
    },
  };
}
