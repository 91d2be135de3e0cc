import { Stack, Title } from '@mantine/core';
import { useLive } from '../../shared/live/useLive';

export default function OverviewPage() {
  useLive(
    ['status'],
    () => undefined,
    () => undefined,
  );
  return (
    <Stack p="md">
      <Title order={1}>Overview</Title>
    </Stack>
  );
}
