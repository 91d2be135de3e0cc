import { Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';

/** Nothing to show: why, and what to do next. */
export function Blank({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Stack align="center" gap="xs" py="lg" px="md">
      <Text fw={600}>{title}</Text>
      {typeof children === 'string' ? (
        <Text size="sm" c="dimmed" ta="center" maw={460}>
          {children}
        </Text>
      ) : (
        children
      )}
    </Stack>
  );
}
