import { Skeleton, Stack } from '@mantine/core';
import { text } from './text';

/** What stands in a page's place until it is there: of its size, so that nothing jumps. */
export function PageSkeleton() {
  return (
    <Stack p="md" gap="md" role="status" aria-label={text.loading}>
      <Skeleton h={28} w={220} />
      <Skeleton h={36} />
      <Skeleton h={320} />
    </Stack>
  );
}

/** Lines in the place of a text or a list. */
export function LinesSkeleton({ lines = 3 }: { lines?: number }) {
  return (
    <Stack gap="xs" role="status" aria-label={text.loading}>
      {Array.from({ length: lines }, (_, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines are alike
        <Skeleton key={at} h={16} w={`${90 - (at % 3) * 14}%`} />
      ))}
    </Stack>
  );
}
