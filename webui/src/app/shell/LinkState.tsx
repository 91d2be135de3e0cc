import { Box, Group, Text, Tooltip } from '@mantine/core';
import { IconPlugConnectedX } from '@tabler/icons-react';
import { clock } from '../../shared/format';
import { fleet } from '../../shared/live/socket';
import { useStore } from '../../shared/store';
import { text } from '../text';

const COLOURS = {
  up: 'var(--hub-good)',
  connecting: 'var(--hub-quiet)',
  idle: 'var(--hub-quiet)',
  down: 'var(--hub-bad)',
};

/** Whether what is shown follows the hub: a filled dot is live, a ring is not. */
export function LinkState() {
  const link = useStore(fleet.link);
  const colour = COLOURS[link.state];
  return (
    <Tooltip label={link.state === 'down' ? text.link.asOf(clock(link.since)) : text.link[link.state]}>
      <Group gap={6} wrap="nowrap" role="status" px={4}>
        <Box
          w={9}
          h={9}
          bg={link.state === 'up' ? colour : 'transparent'}
          style={{ borderRadius: 9, border: `2px solid ${colour}` }}
          aria-hidden="true"
        />
        <Text size="xs" visibleFrom="sm">
          {text.link[link.state]}
        </Text>
        <Box hiddenFrom="sm" className="visually-hidden">
          {text.link[link.state]}
        </Box>
      </Group>
    </Tooltip>
  );
}

/** Says above the page since when it is not live any more. */
export function LinkBanner() {
  const link = useStore(fleet.link);
  if (link.state !== 'down') return null;
  return (
    <Group
      role="alert"
      gap="xs"
      px="md"
      py={6}
      wrap="nowrap"
      style={{ borderBottom: '1px solid var(--hub-line)' }}
      c="var(--hub-warn)"
    >
      <IconPlugConnectedX size={17} aria-hidden="true" />
      <Text size="sm">{text.link.asOf(clock(link.since))}</Text>
    </Group>
  );
}
