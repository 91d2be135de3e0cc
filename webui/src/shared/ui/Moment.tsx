import { Tooltip } from '@mantine/core';
import { absolute, ago } from '../format';

/** When something was, as a span up to now, and exactly where one looks closer. */
export function Moment({ at, never }: { at: string | null | undefined; never?: string }) {
  if (at === null || at === undefined) return <span>{never ?? '–'}</span>;
  return (
    <Tooltip label={absolute(at)}>
      <time dateTime={at} className="tabular">
        {ago(at)}
      </time>
    </Tooltip>
  );
}
