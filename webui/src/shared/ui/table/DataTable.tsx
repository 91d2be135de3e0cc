import { Box } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { IconChevronDown, IconChevronUp } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type CSSProperties, type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { ProblemBox } from '../ProblemBox';
import { text } from '../text';
import { ALL, isChosen, NONE, type Selection, toggled } from './selection';
import styles from './table.module.css';
import type { Window } from './useWindow';

export type Column<Row> = {
  id: string;
  title: string;
  /** As in `grid-template-columns`. */
  width: string;
  cell: (row: Row) => ReactNode;
  /** The field to sort by; none where it cannot be sorted. */
  sort?: string;
};

type Props<Row> = {
  /** What the rows are, for who does not see them. */
  name: string;
  rows: Window<Row>;
  columns: readonly Column<Row>[];
  id: (row: Row) => string;
  /** A row on a narrow screen: two lines of a card. */
  card: (row: Row) => ReactNode;
  /** What stands there where nothing is found. */
  empty: ReactNode;
  open?: (row: Row) => void;
  sort?: string;
  onSort?: (sort: string) => void;
  selection?: Selection;
  onSelect?: (selection: Selection) => void;
  height?: CSSProperties['height'];
  /** The least width of the columns together, in pixels; below it the table scrolls sideways. */
  least?: number;
};

const ROW = 38;
const CARD = 66;

/**
 * A list of any length: the rows on the screen are there, the others are not.
 *
 * Arrow keys or j and k move, x or space chooses, Enter opens.
 */
export function DataTable<Row>(props: Props<Row>) {
  const { rows, columns, selection, onSelect, open } = props;
  const box = useRef<HTMLDivElement>(null);
  const isNarrow = useMediaQuery('(max-width: 48em)') ?? false;
  const own = useId();
  const [here, setHere] = useState(-1);
  const total = rows.total ?? 0;
  const list = useVirtualizer({
    count: rows.total ?? 12,
    getScrollElement: () => box.current,
    estimateSize: () => (isNarrow ? CARD : ROW),
    overscan: 6,
  });
  const shown = list.getVirtualItems();
  const first = shown[0]?.index ?? 0;
  const last = shown.at(-1)?.index ?? 0;
  const { show } = rows;
  useEffect(() => show(first, last), [show, first, last]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another size of rows
  useEffect(() => list.measure(), [isNarrow]);

  const choose = (row: Row) => onSelect?.(toggled(selection ?? NONE, props.id(row)));
  const go = (to: number) => {
    const next = Math.min(total - 1, Math.max(0, to));
    setHere(next);
    list.scrollToIndex(next);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.target !== box.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows.row(here);
    const page = Math.max(1, last - first - 12);
    const to = target(event.key, here, page, total);
    if (to !== null) go(to);
    else if (row !== undefined && event.key === 'Enter') open?.(row);
    else if (row !== undefined && (event.key === 'x' || event.key === ' ')) choose(row);
    else return;
    event.preventDefault();
  };

  if (rows.problem !== null && rows.total === null) return <ProblemBox problem={rows.problem} again={rows.again} />;
  if (rows.total === 0) return <Box py="xl">{props.empty}</Box>;
  const template = [...(onSelect ? ['16px'] : []), ...columns.map((column) => column.width)].join(' ');
  const variables = { '--columns': template, '--least': isNarrow ? '0' : `${props.least ?? 0}px` } as CSSProperties;
  return (
    <div
      ref={box}
      className={styles.box}
      style={{ height: props.height ?? '60vh', ...variables }}
      role="grid"
      aria-label={props.name}
      aria-rowcount={(rows.total ?? 0) + 1}
      aria-multiselectable={onSelect !== undefined || undefined}
      aria-activedescendant={here >= first && here <= last && here >= 0 ? `${own}-${here}` : undefined}
      aria-busy={rows.total === null}
      tabIndex={0}
      onKeyDown={onKey}
    >
      <div className={styles.inner}>
        <Head {...props} isNarrow={isNarrow} />
        <div role="rowgroup" style={{ height: list.getTotalSize(), position: 'relative' }}>
          {shown.map((item) => {
            const row = rows.row(item.index);
            const chosen = row !== undefined && selection !== undefined && isChosen(selection, props.id(row));
            return (
              // biome-ignore lint/a11y/useKeyWithClickEvents: the grid around it takes the keys
              <div
                key={item.key}
                id={`${own}-${item.index}`}
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={onSelect ? chosen : undefined}
                data-chosen={chosen || undefined}
                data-here={item.index === here || undefined}
                data-opens={open !== undefined || undefined}
                className={isNarrow ? `${styles.row} ${styles.card}` : styles.row}
                style={{ top: item.start }}
                onClick={(event) => {
                  if ((event.target as HTMLElement).closest('a, button, input') !== null) return;
                  setHere(item.index);
                  if (row !== undefined && String(getSelection()) === '') open?.(row);
                }}
              >
                {onSelect && (
                  <span role="gridcell">
                    <input
                      type="checkbox"
                      tabIndex={-1}
                      className={styles.check}
                      checked={chosen}
                      aria-label={text.table.choose(row === undefined ? '' : props.id(row))}
                      onChange={() => row !== undefined && choose(row)}
                    />
                  </span>
                )}
                {isNarrow ? (
                  <span role="gridcell" className={styles.cell}>
                    {row === undefined ? <div className={styles.blank} /> : props.card(row)}
                  </span>
                ) : (
                  columns.map((column) => (
                    <span key={column.id} role="gridcell" className={styles.cell}>
                      {row === undefined ? <div className={styles.blank} /> : column.cell(row)}
                    </span>
                  ))
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** The row that a key leads to, or null if the key leads to none. */
function target(key: string, here: number, page: number, total: number): number | null {
  switch (key) {
    case 'ArrowDown':
    case 'j':
      return here + 1;
    case 'ArrowUp':
    case 'k':
      return here - 1;
    case 'PageDown':
      return here + page;
    case 'PageUp':
      return here - page;
    case 'Home':
      return 0;
    case 'End':
      return total - 1;
    default:
      return null;
  }
}

function Head<Row>({ columns, selection, onSelect, sort, onSort, isNarrow }: Props<Row> & { isNarrow: boolean }) {
  return (
    <div role="rowgroup" className={styles.head} style={isNarrow ? { display: 'flex' } : undefined}>
      <div role="row" aria-rowindex={1} style={{ display: 'contents' }}>
        {onSelect && (
          <span role="columnheader">
            <input
              type="checkbox"
              className={styles.check}
              checked={selection?.all ?? false}
              aria-label={text.table.all}
              onChange={() => onSelect(selection?.all ? NONE : ALL)}
            />
          </span>
        )}
        {(isNarrow ? columns.slice(0, 1) : columns).map((column) => {
          const field = column.sort;
          const state =
            field === undefined ? null : sort === field ? 'ascending' : sort === `-${field}` ? 'descending' : 'none';
          return (
            <span key={column.id} role="columnheader" aria-sort={state ?? undefined} className={styles.cell}>
              {field === undefined || onSort === undefined ? (
                column.title
              ) : (
                <button
                  type="button"
                  className={styles.sort}
                  onClick={() => onSort(state === 'ascending' ? `-${field}` : field)}
                >
                  {column.title}
                  {state === 'ascending' && <IconChevronUp size={13} aria-hidden="true" />}
                  {state === 'descending' && <IconChevronDown size={13} aria-hidden="true" />}
                </button>
              )}
            </span>
          );
        })}
      </div>
    </div>
  );
}
